"""A look at each record while it is read: are its numbers those of the matrices beside it?

`results verify` computes every number one by one. Tables read thousands of records, so here the same numbers are
computed for all shifts at once, and only where one is off by more than rounding the slow way is gone, which has the
last word. What neither finds: counts, record and hashes that were all made up together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.npz import SPOILT
from benchmarks.scoring.metrics import harmonic, iou
from results.store.folders import Stored
from results.store.record import Result, Scores
from results.store.verify import TOLERANCE, counts_beside, disagreements

_SCORES = ("pacc", "miou_seen", "miou_unseen", "hiou")


def doubt(stored: Stored) -> str:
    """What is wrong with a record's numbers, the first thing found; empty where they are those of its matrices."""
    result = stored.record.result
    if result.evaluation.side.kind == "generalised":
        try:
            if _agrees(result, counts_beside(stored.confusion)):
                return ""
        except SPOILT:
            pass  # below, in words
    return next(disagreements(stored), "")


def _agrees(result: Result, found: dict[str, NDArray[Any]]) -> bool:
    """Is every number that tables show of this record that of its counts?"""
    side, own, matrices = result.evaluation.side, int(found["own_index"]), found["matrices"]
    seen, classes = np.array(side.scored_as_seen), tuple(result.classes)
    if matrices.shape[1:] != (len(seen), len(seen)) or len(classes) != len(seen) or (matrices < 0).any():
        return False
    hit = np.diagonal(matrices, axis1=1, axis2=2)
    truth, said = matrices.sum(axis=2), matrices.sum(axis=1)
    per_class = iou(hit, truth, said, side.absent_class)
    pixels = truth.sum(axis=1)
    s, u = _mean(per_class[:, seen]), _mean(per_class[:, ~seen])
    accuracy = np.where(pixels > 0, hit.sum(axis=1) / np.maximum(pixels, 1), np.nan)
    scores = np.stack([accuracy, s, u, harmonic(s, u)], axis=1)  # (S, 4), as _SCORES
    counted = np.array([[c.tp, c.fp, c.fn] for c in classes]).T
    named = [(c.name, c.seen) for c in classes] == list(zip(side.scored, side.scored_as_seen, strict=True))
    return bool(
        named
        and result.labelled_pixels == pixels[own]
        and (counted == [hit[own], said[own] - hit[own], truth[own] - hit[own]]).all()
        and _close([c.iou for c in classes], per_class[own])
        and _close(_numbers(result.own), scores[own])
        and result.own.shift == found["shifts"][own]
        and _at_shift(result.unshifted, 0.0, found["shifts"], scores)
        and _best(result.best, found["shifts"], scores)
        and _counted_by_image(found, matrices[own], result.images)
    )


def _at_shift(stored: Scores, shift: float, shifts: NDArray[np.float64], scores: NDArray[np.float64]) -> bool:
    places = np.flatnonzero(shifts == shift)
    return stored.shift == shift and len(places) > 0 and _close(_numbers(stored), scores[places[0]])


def _best(stored: Scores, shifts: NDArray[np.float64], scores: NDArray[np.float64]) -> bool:
    """The highest hIoU of a finite shift; which of equal ones is left to the slow way."""
    finite = np.isfinite(shifts)
    highest = np.where(np.isnan(scores[:, 3]), -1.0, scores[:, 3])[finite].max(initial=-1.0)
    value = -1.0 if stored.hiou is None else stored.hiou
    return abs(value - highest) <= TOLERANCE and _at_shift(stored, stored.shift, shifts, scores)


def _counted_by_image(found: dict[str, NDArray[Any]], matrix: NDArray[np.int64], images: int) -> bool:
    """Do the counts of single images, which intervals are drawn from, add up to the matrix?"""
    if "per_image" not in found:
        return True
    image, truth, said, pixels = found["per_image"].T
    if (found["per_image"] < 0).any() or image.max(initial=-1) >= images:
        return False
    places = np.ravel_multi_index((truth, said), matrix.shape)  # raises ValueError for classes that are not there
    return bool((np.bincount(places, pixels, matrix.size) == matrix.ravel()).all())


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(S,)` over classes, of what is defined; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _numbers(scores: Scores) -> list[float | None]:
    return [getattr(scores, name) for name in _SCORES]


def _close(stored: list[float | None], expected: NDArray[np.float64]) -> bool:
    mine = np.array([np.nan if value is None else value for value in stored])
    return bool(((np.abs(mine - expected) <= TOLERANCE) | (np.isnan(mine) & np.isnan(expected))).all())
