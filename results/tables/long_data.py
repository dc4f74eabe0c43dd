"""Tidy tables of stored records, for people's own analyses: runs, classes, images, sweeps. One record after the other.

`results.tables.data_dictionary` says what the columns mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.scoring.metrics import stack_accuracy, stack_iou
from results.store.confusion import counted, is_swept
from results.store.folders import Stored
from results.store.identity import identity
from results.tables.aggregate import RUN_FIELDS, run_values
from results.tables.data_dictionary import columns_of
from results.tables.statistics import means

Arrays = Mapping[str, NDArray[Any]]  # of `results.store.confusion`
OF_SHIFTS = ("hiou_unshifted", "hiou_best", "own_shift", "best_shift")  # empty where other shifts are unknown
_KINDS = {"text": "object", "integer": "Int64", "number": "float64", "boolean": "bool"}


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
        row |= {"drawn": evaluation.drawn, "tuned_on_test": evaluation.tuned_on_test}
        rows.append(row | (dict.fromkeys(OF_SHIFTS) if shifts_unknown(one) else {}))
    return typed(rows, "runs")


def shifts_unknown(stored: Stored) -> bool:
    """Is it of imported predictions that say nothing of other shifts than their own?"""
    result = stored.record.result
    if not result.train.predictions or result.evaluation.side.kind != "generalised":
        return False
    return not is_swept(counted(stored.confusion, ("shifts",))["shifts"])


def without_unknown_shifts(frame: pd.DataFrame, stored: Sequence[Stored]) -> pd.DataFrame:
    """A tidy frame of these records, its columns of shifts empty where other shifts are unknown."""
    results = (one.record.result for one in stored if shifts_unknown(one))
    unknown = {(result.train.folder, result.evaluation.key) for result in results}
    known = np.array([run not in unknown for run in zip(frame["run"], frame["evaluation"], strict=True)], dtype=bool)
    return frame.assign(**{name: frame[name].where(known) for name in OF_SHIFTS})


def classes(number: int, stored: Stored, found: Arrays) -> pd.DataFrame:
    """A row for each scored class of one record."""
    rows = [
        {"record": number, "class": c.name, "seen": c.seen, "tp": c.tp, "fp": c.fp, "fn": c.fn, "iou": c.iou}
        for c in stored.record.result.classes
    ]
    return typed(rows, "classes")


def images(number: int, stored: Stored, found: Arrays) -> pd.DataFrame:
    """A row for each pair of truth and prediction in each image of one record; none where images were not counted.

    Episodic items have no such pairs of classes: their counts are of blocks [others, class].
    """
    side = stored.record.result.evaluation.side
    if "per_image" not in found or side.kind != "generalised":
        return typed([], "images")
    image, truth, said, pixels = found["per_image"].T
    names = np.array(side.scored, dtype=object)
    columns = {"record": number, "image": image, "truth": names[truth], "prediction": names[said], "pixels": pixels}
    return typed(pd.DataFrame(columns), "images")


def sweeps(number: int, stored: Stored, found: Arrays) -> pd.DataFrame:
    """A row for each shift of the seen scores of one record; one row where nothing was swept."""
    side = stored.record.result.evaluation.side
    if side.kind != "generalised":
        return typed([], "sweeps")
    matrices, shifts, own = found["matrices"], found["shifts"], int(found["own_index"])
    scores = means(stack_iou(matrices, side.absent_class), np.array(side.scored_as_seen))
    of_shift = {"record": number, "shift": shifts, "own": np.arange(len(shifts)) == own}
    return typed(pd.DataFrame(of_shift | {"pacc": stack_accuracy(matrices)} | scores), "sweeps")


_PARTS: dict[str, Callable[[int, Stored, Arrays], pd.DataFrame]] = {
    "classes": classes,
    "images": images,
    "sweeps": sweeps,
}


def parts(number: int, stored: Stored) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of one record in every table but `runs`, by the table; what was counted is read once."""
    found = counted(stored.confusion, ("shifts", "own_index", "matrices", "per_image"))
    return ((table, rows(number, stored, found)) for table, rows in _PARTS.items())


def typed(rows: Sequence[Mapping[str, Any]] | pd.DataFrame, table: str) -> pd.DataFrame:
    """Rows with the columns of the dictionary, in its order and of its kinds."""
    kinds = columns_of(table)
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=list(kinds))
    return frame[list(kinds)].astype({name: _KINDS[kind] for name, kind in kinds.items()})
