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
from benchmarks.protocol import BACKGROUND
from benchmarks.scoring.metrics import harmonic, mean_of_rows, stack_accuracy, stack_iou
from results.store.folders import Stored
from results.store.record import LATER, Result, Scores
from results.store.verify import TOLERANCE, counts_beside, disagreements, impossible_beside

_SCORES = tuple(name for name in Scores.model_fields if name != "shift")


Arrays = dict[str, NDArray[Any]]  # of `confusion.npz`, by name


def doubt(stored: Stored) -> str:
    """What is wrong with a record's numbers, the first thing found; empty where they are those of its matrices."""
    return looked_at(stored)[0]


def looked_at(stored: Stored) -> tuple[str, Arrays]:
    """As `doubt`, with the arrays that agreed, so that nobody reads them again; none where the slow way was gone."""
    result = stored.record.result
    if result.evaluation.side.kind == "generalised":
        try:
            found = counts_beside(stored.confusion)
            if _agrees(result, found):
                return "", found
        except SPOILT:
            pass  # below, in words
    return next(disagreements(stored), ""), {}


def _agrees(result: Result, found: Arrays) -> bool:
    """Is every number that tables show of this record that of its counts?"""
    side, own, matrices = result.evaluation.side, int(found["own_index"]), found["matrices"]
    seen, classes = np.array(side.scored_as_seen), tuple(result.classes)
    if matrices.shape[1:] != (len(seen), len(seen)) or len(classes) != len(seen) or (matrices < 0).any():
        return False
    per_class = stack_iou(matrices, side.absent_class)
    scores = _scores(result, matrices, per_class)
    hit, truth, said = np.diag(matrices[own]), matrices[own].sum(axis=1), matrices[own].sum(axis=0)
    counted = np.array([[c.tp, c.fp, c.fn] for c in classes]).T
    named = [(c.name, c.seen) for c in classes] == list(zip(side.scored, side.scored_as_seen, strict=True))
    return bool(
        named
        and result.labelled_pixels == truth.sum()
        and (counted == [hit, said - hit, truth - hit]).all()
        and _close([c.iou for c in classes], per_class[own])
        and _says(result.own, scores[own])
        and result.own.shift == found["shifts"][own]
        and _at_shift(result.unshifted, 0.0, found["shifts"], scores)
        and _best(result.best, found["shifts"], scores)
        and not any(impossible_beside(found, matrices[own], result))
    )


def _scores(result: Result, matrices: NDArray[np.int64], per_class: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(S, len(_SCORES))` at every shift, from `(S, C, C)` counts and `(S, C)` IoUs; NaN where undefined."""
    side = result.evaluation.side
    seen, foreground = np.array(side.scored_as_seen), np.array([name != BACKGROUND for name in side.scored])
    undefined = np.full(len(matrices), np.nan)
    s, u = mean_of_rows(per_class[:, seen]), mean_of_rows(per_class[:, ~seen])
    known = {
        "pacc": stack_accuracy(matrices),
        "miou_seen": s,
        "miou_unseen": u,
        "hiou": harmonic(s, u),
        "miou": mean_of_rows(per_class),
        "miou_foreground": undefined if foreground.all() else mean_of_rows(per_class[:, foreground]),
        "fb_iou": undefined,  # of episodic items alone
    }
    return np.stack([known[name] for name in _SCORES], axis=1)


def _at_shift(stored: Scores, shift: float, shifts: NDArray[np.float64], scores: NDArray[np.float64]) -> bool:
    places = np.flatnonzero(shifts == shift)
    return stored.shift == shift and len(places) > 0 and _says(stored, scores[places[0]])


def _best(stored: Scores, shifts: NDArray[np.float64], scores: NDArray[np.float64]) -> bool:
    """The highest hIoU of a finite shift; which of equal ones is left to the slow way."""
    finite = np.isfinite(shifts)
    hiou = scores[:, _SCORES.index("hiou")]
    highest = np.where(np.isnan(hiou), -1.0, hiou)[finite].max(initial=-1.0)
    value = -1.0 if stored.hiou is None else stored.hiou
    return abs(value - highest) <= TOLERANCE and _at_shift(stored, stored.shift, shifts, scores)


def _says(stored: Scores, expected: NDArray[np.float64]) -> bool:
    """Are these the scores `(len(_SCORES),)`? What is not said in older records is not asked of them."""
    said = [getattr(stored, name) for name in _SCORES]
    asked = [value is not None or name not in LATER for name, value in zip(_SCORES, said, strict=True)]
    return _close(said, np.where(asked, expected, np.nan))


def _close(stored: list[float | None], expected: NDArray[np.float64]) -> bool:
    mine = np.array([np.nan if value is None else value for value in stored])
    return bool(((np.abs(mine - expected) <= TOLERANCE) | (np.isnan(mine) & np.isnan(expected))).all())
