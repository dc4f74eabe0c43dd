"""Tidy tables of stored records, for people's own analyses: runs, classes, images, sweeps. One record after the other.

`results.tables.data_dictionary` says what the columns mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.scoring.metrics import iou
from results.store.confusion import counted
from results.store.folders import Stored
from results.store.identity import identity
from results.tables.aggregate import RUN_FIELDS, run_values
from results.tables.data_dictionary import columns_of
from results.tables.statistics import means

_KINDS = {"text": "object", "integer": "Int64", "number": "float64", "truth": "bool"}


def in_order(stored: Iterable[Stored]) -> list[Stored]:
    """Records as stored, copies and conflicts included, by run, evaluation, time and counts."""

    def key(one: Stored) -> tuple[str, ...]:
        result, origin = one.record.result, one.record.provenance.scoring
        return result.train.folder, result.evaluation.key, origin.started, result.confusion_sha256, str(one.path)

    return sorted(stored, key=key)


def runs(stored: Sequence[Stored], stale: frozenset[str]) -> pd.DataFrame:
    """A row for each record, numbered from 0."""
    rows = []
    for number, one in enumerate(stored):
        result, evaluation = one.record.result, one.record.result.evaluation
        row = identity(one.record) | dict(zip(RUN_FIELDS, run_values(one.record), strict=True))
        row |= {"record": number, "stale": result.train.folder in stale, "fb_iou": result.own.fb_iou}
        rows.append(row | {"drawn": evaluation.drawn, "tuned_on_test": evaluation.tuned_on_test})
    return typed(rows, "runs")


def classes(number: int, stored: Stored) -> pd.DataFrame:
    """A row for each scored class of one record."""
    rows = [
        {"record": number, "class": c.name, "seen": c.seen, "tp": c.tp, "fp": c.fp, "fn": c.fn, "iou": c.iou}
        for c in stored.record.result.classes
    ]
    return typed(rows, "classes")


def images(number: int, stored: Stored) -> pd.DataFrame:
    """A row for each pair of truth and prediction in each image of one record; none where images were not counted.

    Episodic items have no such pairs of classes: their counts are of blocks [others, class].
    """
    found = counted(stored.confusion, ("per_image",))
    side = stored.record.result.evaluation.side
    if "per_image" not in found or side.kind != "generalised":
        return typed([], "images")
    image, truth, said, pixels = found["per_image"].T
    names = np.array(side.scored, dtype=object)
    columns = {"record": number, "image": image, "truth": names[truth], "prediction": names[said], "pixels": pixels}
    return typed(pd.DataFrame(columns), "images")


def sweeps(number: int, stored: Stored) -> pd.DataFrame:
    """A row for each shift of the seen scores of one record; one row where nothing was swept."""
    side = stored.record.result.evaluation.side
    found = counted(stored.confusion, ("shifts", "own_index", "matrices"))
    if side.kind != "generalised":
        return typed([], "sweeps")
    matrices, shifts, own = found["matrices"], found["shifts"], int(found["own_index"])
    hit, truth, said = np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(axis=2), matrices.sum(axis=1)
    scores = means(iou(hit, truth, said, side.absent_class), np.array(side.scored_as_seen))
    pixels = truth.sum(axis=1)
    pacc = np.where(pixels > 0, hit.sum(axis=1) / np.maximum(pixels, 1), np.nan)
    of_shift = {"record": number, "shift": shifts, "own": np.arange(len(shifts)) == own, "pacc": pacc}
    return typed(pd.DataFrame(of_shift | scores), "sweeps")


PARTS: dict[str, Callable[[int, Stored], pd.DataFrame]] = {"classes": classes, "images": images, "sweeps": sweeps}


def typed(rows: Sequence[Mapping[str, Any]] | pd.DataFrame, table: str) -> pd.DataFrame:
    """Rows with the columns of the dictionary, in its order and of its kinds."""
    kinds = columns_of(table)
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=list(kinds))
    return frame[list(kinds)].astype({name: _KINDS[kind] for name, kind in kinds.items()})
