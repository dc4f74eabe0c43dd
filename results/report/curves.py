"""What the confusion matrices beside a record say more: the scores at every shift, and which errors are made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scoring.metrics import stack_iou
from results.store.confusion import counted
from results.store.lean import totals_of
from results.store.record import RunRecord
from results.tables.statistics import Floats, means

# the true class first
ERRORS = ("seen taken for unseen", "unseen taken for seen", "seen for another seen", "unseen for another unseen")


@dataclass(frozen=True)
class Sweep:
    """Scores at every shift of the seen scores, `(S,)` each; fractions, NaN where undefined."""

    shifts: Floats
    seen: Floats
    unseen: Floats
    hiou: Floats

    @property
    def area(self) -> float:
        """Area under the curve of U against S; NaN unless it reaches from all-seen to all-unseen.

        The AUSUC of Chao et al. (ECCV 2016), with mIoU for accuracy. Both mIoUs may fall towards one end of a sweep, so
        that the curve folds back: at each S of a swept shift the highest U counts that the curve has there (reading),
        with trapezoids between. Between finite shifts it would depend on how far the scores of a method lie apart.
        """
        if not (np.isneginf(self.shifts).any() and np.isposinf(self.shifts).any()):
            return math.nan
        at = np.unique(self.seen)[:, None]
        start, end = self.seen[:-1], self.seen[1:]  # of the lines between shifts
        first, last = self.unseen[:-1], self.unseen[1:]
        on = (at >= np.minimum(start, end)) & (at <= np.maximum(start, end))
        upright = start == end
        share = (at - start) / np.where(upright, 1.0, end - start)
        unseen = np.where(upright, np.maximum(first, last), (1 - share) * first + share * last)
        return float(np.trapezoid(np.where(on, unseen, -np.inf).max(axis=1), at[:, 0]))


@dataclass(frozen=True)
class Near:
    """The part of the errors that lies near boundaries of the truth, as `benchmarks.scoring.boundary` defines it."""

    pixels: float  # the share of the labelled pixels that lie there
    errors: Floats  # shares of all labelled pixels, in the order of ERRORS


@dataclass(frozen=True)
class Reading:
    """What one run's matrices say."""

    sweep: Sweep
    errors: Floats  # shares of the labelled pixels, in the order of ERRORS, at the method's own shift
    near: Near | None  # None: not measured


def read(record: RunRecord, path: Path) -> Reading:
    """Sweep and errors of one run from its confusion.npz."""
    return reading(record, counted(path, ("matrices", "shifts", "own_index", "boundary")))


def reading(record: RunRecord, found: Mapping[str, NDArray[Any]]) -> Reading:
    """The same from the arrays of that file."""
    side = record.result.evaluation.side
    seen = np.array(side.scored_as_seen)
    matrices, shifts, own = found["matrices"], found["shifts"], int(found["own_index"])
    scores = means(stack_iou(matrices, side.absent_class), seen)
    sweep = Sweep(shifts, scores["miou_seen"], scores["miou_unseen"], scores["hiou"])
    labelled = max(int(matrices[own].sum()), 1)
    near = found.get("boundary")
    return Reading(
        sweep,
        _errors(matrices[own], seen) / labelled,
        None if near is None else Near(int(near.sum()) / labelled, _errors(near, seen) / labelled),
    )


class Readings:
    """Of each record what its matrices say, found while they were in hand; a look for `store.selection.select`."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Reading] = {}

    @staticmethod
    def take(record: RunRecord, found: Mapping[str, NDArray[Any]], /) -> Reading:
        """What one record's matrices say."""
        return reading(record, found)

    def keep(self, record: RunRecord, taken: Reading) -> None:
        """Know it from now on."""
        self._known[_counted_as(record)] = taken

    def of(self, record: RunRecord, path: Path) -> Reading:
        """What was found, else what lies in the file."""
        return self._known.get(_counted_as(record)) or read(record, path)


def _counted_as(record: RunRecord) -> tuple[Any, ...]:
    """The counts, and what else a reading depends on: folds may be counted alike and see other classes."""
    side = record.result.evaluation.side
    return record.result.confusion_sha256, side.scored_as_seen, side.absent_class


def mean_sweep(sweeps: Sequence[Sweep]) -> Sweep:
    """Mean of runs that were swept over the same shifts; runs over others than the first's are left out."""
    same = swept_alike(sweeps)
    columns = (np.mean([getattr(s, name) for s in same], axis=0) for name in ("seen", "unseen", "hiou"))
    return Sweep(sweeps[0].shifts, *columns)


def swept_alike(sweeps: Sequence[Sweep]) -> list[Sweep]:
    """Those over the same shifts as the first."""
    return [sweep for sweep in sweeps if np.array_equal(sweep.shifts, sweeps[0].shifts)]


def mean_near(readings: Sequence[Reading]) -> Near | None:
    """Mean over runs; None where one of them was not measured: the others' mean would be one of other runs."""
    measured = [reading.near for reading in readings if reading.near is not None]
    if not measured or len(measured) < len(readings):
        return None
    errors: Floats = np.mean([near.errors for near in measured], axis=0)
    return Near(float(np.mean([near.pixels for near in measured])), errors)


def mean_losses(runs: Sequence[RunRecord]) -> tuple[list[int], list[float]]:
    """Steps, and the sum of the losses there, as the mean of the runs that have a point at that step."""
    found: dict[int, list[float]] = {}
    for run in runs:
        for step, total in totals_of(run.result.losses):
            found.setdefault(step, []).append(total)
    steps = sorted(found)
    return steps, [math.fsum(found[step]) / len(found[step]) for step in steps]


def _errors(matrix: NDArray[np.int64], seen: NDArray[np.bool_]) -> Floats:
    """Wrong pixels by kind, in the order of ERRORS."""
    wrong = matrix - np.diag(np.diag(matrix))
    parts = (wrong[seen][:, ~seen], wrong[~seen][:, seen], wrong[seen][:, seen], wrong[~seen][:, ~seen])
    return np.array([part.sum() for part in parts], dtype=np.float64)
