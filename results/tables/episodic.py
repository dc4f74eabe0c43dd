"""Tables of episodic-binary runs, and what the literature printed there: the class of each item is given.

Such numbers have tables of their own: mIoU over the unseen classes of each fold, their mean over folds, and FB-IoU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import pandas as pd

from benchmarks.protocol import Protocol
from results.store.identity import by_identity, key_of
from results.store.record import RunRecord
from results.tables.aggregate import METRICS, estimate
from results.tables.content import Content
from results.tables.register import episodic
from results.tables.table import Column, Table, mean_and_sd

MEAN, FB_IOU = "miou_unseen", "fb_iou"
DROPPED = [f"{m}{suffix}" for m in METRICS if m not in (MEAN, "pacc") for suffix in ("", "_sd")]


def with_folds(frame: pd.DataFrame, records: Sequence[RunRecord], folds: Sequence[int]) -> pd.DataFrame:
    """An aggregated frame with mIoU of each fold and with FB-IoU; without what is no number of episodic items."""
    runs = by_identity(records)
    rows = [
        _of_variant(runs[key_of(row)], {int(s) for s in row["seed_list"].split()}, folds)
        for row in frame.to_dict("records")
    ]
    names = [f"{key}{suffix}" for key in (*map(_fold, folds), FB_IOU) for suffix in ("", "_sd")]
    return pd.concat([frame.drop(columns=DROPPED), pd.DataFrame(rows, columns=names)], axis=1)


def columns(folds: Sequence[int]) -> tuple[Column, ...]:
    """What follows the name of a row."""
    shown = [Column.percent(f"fold {fold}", _fold(fold), partial(mean_and_sd, key=_fold(fold))) for fold in folds]
    return (
        *(shown if len(folds) > 1 else ()),
        Column.percent("mIoU", MEAN, partial(mean_and_sd, key=MEAN)),
        Column.percent("FB-IoU", FB_IOU, partial(mean_and_sd, key=FB_IOU)),
        Column.figure("seeds", "seeds", ".0f"),
    )


def published_items(content: Content) -> list[Table]:
    """What the few-shot literature printed for this benchmark, as printed; none where nothing is."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for number in episodic(content.split.name):
        found.setdefault((number.method, number.backbone, number.source), {})[number.fold] = number.value
    if content.protocol is None or not found:
        return []
    places, reasons = [*(str(fold.index) for fold in content.split.folds), "mean"], _differences(content)
    rows = [
        {"method": method, "backbone": backbone, "source": source}
        | {place: round(of[place] / 100, 6) if place in of else math.nan for place in places}
        for (method, backbone, source), of in found.items()
    ]
    shown = [Column.figure(p if p == "mean" else f"fold {p}", p, ".1f", scale=100) for p in places]
    return [
        Table(
            title=f"{content.split.name}: published (episodic-binary), mIoU in percent",
            frame=pd.DataFrame([] if reasons else rows, columns=["method", "backbone", *places, "source"]),
            columns=(
                Column.text("published method", "method"),
                Column.text("backbone", "backbone"),
                *shown,
                Column.text("source", "source"),
            ),
            notes=(f"Published rows are not shown: {'; '.join(reasons)}.",) if reasons else _NOTES,
            protocol=content.protocol,
            name="published",
        )
    ]


_NOTES = (
    "As printed; the class of each item is given: no number here compares with generalised ones. None of these methods "
    "is among ours.",
    "The sources do not state the sizes of images, the sentences, and whether every item of HSNet's lists was scored "
    "or, as in its own test, 1,000 of them.",
)


def _differences(content: Content) -> list[str]:
    """In what these runs' protocol differs from the published one."""
    protocol, found = content.protocol, []
    assert isinstance(protocol, Protocol)
    if protocol.train.setting != "inductive":
        found.append(f"these runs are {protocol.train.setting}")
    if content.part not in ("", "val"):
        found.append(f"these runs are scored on the {content.part} part")
    if protocol.evaluation.data.partial or protocol.train.data.partial:
        found.append("these runs used part of the data")
    if protocol.evaluation.data.dataset == "coco" and protocol.evaluation.data.year != "2014":
        found.append(f"these runs are of COCO {protocol.evaluation.data.year}")
    return found


def _fold(fold: int) -> str:
    return f"miou_fold{fold}"


def _of_variant(runs: Sequence[RunRecord], complete: set[int], folds: Sequence[int]) -> dict[str, float]:
    """mIoU by fold over the seeds that have it, FB-IoU as the mean over folds of the seeds that have all."""
    own = {(run.result.train.seed, run.result.evaluation.fold): run.result.own for run in runs}
    row: dict[str, float] = {}
    for fold in folds:
        found = estimate([_known(scores.miou_unseen) for (_, of), scores in sorted(own.items()) if of == fold])
        row |= {_fold(fold): found.mean, f"{_fold(fold)}_sd": found.sd}
    means = [math.fsum(_known(own[seed, fold].fb_iou) for fold in folds) / len(folds) for seed in sorted(complete)]
    fb_iou = estimate(means)
    return row | {FB_IOU: fb_iou.mean, f"{FB_IOU}_sd": fb_iou.sd}


def _known(value: float | None) -> float:
    return math.nan if value is None else value
