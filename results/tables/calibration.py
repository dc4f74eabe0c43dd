"""Calibration by one rule for every method: the shift of the seen scores that is best where constants are chosen.

A method has a shift of its own, or none, as its authors have it, so that two methods may differ by their calibration
alone. Here the shift of each run is the swept one with the highest hIoU on the tune part (ties: the smallest), and the
scored part is read off its stored sweep at that shift: nothing is scored again.

The tune part of the built-in world has masks of the fold's unseen classes: this calibration knows more than zero-shot
learning does. A `-tune` benchmark of photos hides further seen classes instead, and trains without them: the shift is
that of the training of the same method, fold and seed there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, Final

import pandas as pd

from benchmarks.values import canonical_json
from results.store.confusion import counted
from results.store.folders import Stored
from results.store.metrics import swept
from results.store.record import Result, RunRecord, Scores
from results.tables.aggregate import estimate
from results.tables.content import Content
from results.tables.stale_rows import stale_names, stale_notes
from results.tables.table import (
    HEADERS,
    PARTIAL_NOTE,
    SD_NOTE,
    UNDEFINED,
    Column,
    Row,
    Table,
    mean_and_sd,
    signed,
)
from results.tables.warned import warned
from splits.loader import load_split

TUNE: Final = "tune"  # the part, and the end of a benchmark's name
RunKey = tuple[str, str]
Tuned = Mapping[RunKey, Scores]
_SHOWN: Final = ("miou_seen", "miou_unseen", "hiou")
_NOTES: Final = (
    "Own: at the shift of the seen scores that the method has. Tuned: at the shift that was best on the tune part, one "
    "rule for every method: for each run the finite swept shift with the highest hIoU there, of equal ones the "
    "smallest.",
    "The tune part of the built-in world has masks of the fold's unseen classes, more than zero-shot learning may see; "
    "a -tune benchmark hides further seen classes instead.",
    f"Means over folds, then over the seeds of which every fold was scored on both parts. {SD_NOTE}; Δ: the difference "
    "of the two hIoU shown.",
)


def key_of(result: Result) -> RunKey:
    """What a run's calibrated scores are found by: the digests of its training and of its scoring."""
    return result.train.digest(), result.evaluation.digest()


def calibrated_table(
    content: Content,
    title: str,
    variants: Mapping[str, Sequence[RunRecord]],
    tuned: Tuned,
    stale: frozenset[str] = frozenset(),
) -> list[Table]:
    """Each method at its own shift and at the tuned one; no table where no run has a tuned one.

    variants: the records of each row, by its name. stale: folders of runs whose method sources, body weights or data
    have changed since.
    """
    folds = {fold.index for fold in content.split.folds}
    rows = [row for name, runs in variants.items() if (row := _row(name, runs, tuned, folds))]
    if not rows:
        return []
    old = stale_names(variants, stale)
    rows = [row | {"stale": row["name"] in old} for row in rows]
    columns = [Column.named()]
    for what in ("own", "tuned"):
        for metric in _SHOWN:
            key = f"{metric}_{what}"
            columns.append(Column.percent(f"{what}: {HEADERS[metric]}", key, partial(mean_and_sd, key=key)))
    columns += [
        Column.percent("Δ hIoU", "delta", _delta),
        Column.text("tuned shifts", "shifts"),
        Column.figure("seeds", "seeds", ".0f"),
    ]
    frame = pd.DataFrame(rows)
    return [
        Table(
            f"{title}: a shift tuned alike, in percent ± sd over seeds",
            frame,
            tuple(columns),
            (
                *_NOTES,
                *([PARTIAL_NOTE] if frame["partial"].any() else []),
                *warned(record.result for record in content.records),
                *stale_notes(content.records, stale),
            ),
            content.protocol,
            "calibrated",
        )
    ]


def _row(name: str, runs: Sequence[RunRecord], tuned: Tuned, folds: set[int]) -> dict[str, Any] | None:
    """Means over folds, then over the seeds that have every fold; None where none has."""
    by_seed: dict[int, dict[int, tuple[Scores, Scores]]] = {}
    for result in (run.result for run in runs):
        if (at := tuned.get(key_of(result))) is not None:
            by_seed.setdefault(result.train.seed, {})[result.evaluation.fold] = (result.own, at)
    whole = [scores for scores in by_seed.values() if scores.keys() == folds]
    if not whole:
        return None
    row: dict[str, Any] = {"name": name, "seeds": len(whole), "partial": any(run.result.partial for run in runs)}
    for place, what in enumerate(("own", "tuned")):
        for metric in _SHOWN:
            values = [[_number(getattr(pair[place], metric)) for pair in seed.values()] for seed in whole]
            found = estimate([fmean(folds) for folds in values])
            row |= {f"{metric}_{what}": found.mean, f"{metric}_{what}_sd": found.sd}
    shifts = sorted({pair[1].shift for seed in whole for pair in seed.values()})
    shown = f"{shifts[0]:g}" if len(shifts) == 1 else f"{shifts[0]:g} to {shifts[-1]:g}"
    return row | {"delta": row["hiou_tuned"] - row["hiou_own"], "shifts": shown}


def _delta(row: Row) -> str:
    tuned, own = (round(100 * row[f"hiou_{what}"], 1) for what in ("tuned", "own"))
    return UNDEFINED if math.isnan(tuned - own) else signed(tuned - own)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def tuned_scores(stored: Iterable[Stored]) -> dict[RunKey, Scores]:
    """The scores at the tuned shift, of every run whose method was scored on the tune part too.

    Left out: what has no sweep (imported predictions, episodic items), and runs for which two tune records disagree.
    """
    known = [one for one in stored if _has_sweep(one.record.result)]
    shifts: dict[str, set[float]] = {}
    for one in known:
        if _is_tune(one.record.result):
            shifts.setdefault(_model(one.record.result), set()).add(best_shift(every_shift(one)))
    found: dict[RunKey, Scores] = {}
    for one in known:
        result = one.record.result
        chosen = shifts.get(_model(result), set())
        if len(chosen) == 1 and not _is_tune(result):
            found |= {key_of(result): scores for scores in every_shift(one) if scores.shift in chosen}
    return found


def every_shift(stored: Stored) -> list[Scores]:
    """A run's scores at each finite shift of its sweep, from the matrices beside its record."""
    arrays = counted(stored.confusion, ("shifts", "matrices"))
    return list(swept(stored.record.result.evaluation.side, arrays["shifts"], arrays["matrices"]).values())


def best_shift(scores: Iterable[Scores]) -> float:
    """The shift with the highest hIoU; of several the one next to none, and of those the lower."""
    return min(scores, key=lambda s: (-1.0 if s.hiou is None else -s.hiou, abs(s.shift), s.shift)).shift


def _is_tune(result: Result) -> bool:
    return result.evaluation.part == TUNE or load_split(result.evaluation.benchmark).tuning


def _has_sweep(result: Result) -> bool:
    elsewhere = result.train.predictions or result.evaluation.drawn or result.evaluation.transferred
    return not elsewhere and result.evaluation.side.kind == "generalised"


def _model(result: Result) -> str:
    """What a run and its tune record share: how it was trained but for the images, and how it is asked."""
    benchmark = result.train.benchmark.removesuffix(f"-{TUNE}")
    train: dict[str, Any] = result.train.model_dump(mode="json", exclude={"benchmark", "side"})
    setting = result.train.side.model_dump(mode="json", exclude={"data", "classes", "seen", "queries"})
    asked = result.evaluation.side.model_dump(mode="json", exclude={"data", "classes", "seen", "queries"})
    templates = result.evaluation.side.queries.templates
    return canonical_json([benchmark, train, setting, asked, list(templates), result.evaluation.fold])
