"""Class indices that are all one too high, or too low: what shift of them would fit best? From a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Offset:
    """How far predicted indices are off, and what they would score without that."""

    by: int  # above 0: too high
    miou_seen: float

    def words(self) -> str:
        """For a warning."""
        size, way = abs(self.by), "high" if self.by > 0 else "low"
        read = f"index {'-' if self.by > 0 else '+'} {size}"
        return f"the class indices look {size} too {way}: read as {read}, mIoU(S) would be {100 * self.miou_seen:.2f}"


def best_offset(matrix: NDArray[np.int64], seen: Sequence[bool]) -> Offset | None:
    """The shift of predicted indices with the highest pixel accuracy; None where that is no shift at all.

    matrix: `(C, C)` [truth, prediction]; an index that a shift leads out of 0..C-1 is a miss. seen: of each class. The
    mean is over seen classes that are there.
    """
    count, truth, said = len(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    hits = {by: int(np.trace(matrix, offset=by)) for by in range(1 - count, count)}
    by = max(hits, key=lambda shift: (hits[shift], -abs(shift)))
    there = np.asarray(seen) & (truth > 0)
    if by == 0 or not there.any():
        return None
    columns = np.arange(count) + by
    inside = (columns >= 0) & (columns < count)
    hit, called = np.zeros(count, np.int64), np.zeros(count, np.int64)
    hit[inside] = matrix[np.flatnonzero(inside), columns[inside]]
    called[inside] = said[columns[inside]]
    return Offset(by, float(np.mean((hit / np.maximum(truth + called - hit, 1))[there])))
