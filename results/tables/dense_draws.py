"""Draws of many runs at once, by products of dense matrices, where float32 counts exactly.

A sum of whole numbers is exact in float32, in any order, as long as it stays below 2**24. There a product of dense
matrices has the bits of a sparse one, which goes entry by entry, and takes a fifth of its time for each entry. So for
each class the runs are multiplied together: densely the images in which many of them have a pixel of it, sparsely those
in which few have. The counts of whole photographs are too large for that: `is_exact` says where it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.scoring.metrics import harmonic
from results.tables.statistics import METRICS, Counts

EXACT = 1 << 24  # whole numbers up to here are float32
FEWEST = 8  # runs: fewer are no faster together
COMMON = 0.2  # share of the runs from which on an image is multiplied densely
Floats32 = NDArray[np.float32]


def is_exact(run: Counts) -> bool:
    """Is every sum of counts of every draw a whole number that float32 holds?"""
    if not all(np.issubdtype(part.dtype, np.integer) for part in (run.hit, run.truth, run.predicted)):
        return False
    return len(run.truth) * (int(run.truth.max(initial=0)) + int(run.predicted.max(initial=0))) < EXACT


@dataclass(frozen=True)
class Few:
    """What is needed of an exact run until its block is full, in few bytes: `(N, C)` pixels each."""

    hit: NDArray[Any]
    wrong: NDArray[Any]

    @classmethod
    def of(cls, run: Counts) -> Few:
        """Of a run for which `is_exact`."""
        return cls(*(part.astype(np.min_scalar_type(part.max(initial=0))) for part in (run.hit, _wrong(run))))

    @property
    def nbytes(self) -> int:
        """Bytes of its counts."""
        return self.hit.nbytes + self.wrong.nbytes


def _wrong(run: Counts) -> NDArray[Any]:
    return run.predicted - run.hit


class _Pixels:
    """`(R, N)` counts of some runs in the images, so split that their product with weights takes the least time."""

    def __init__(self, counts: NDArray[Any]):
        common = (counts != 0).mean(axis=0) >= COMMON
        self._images = np.flatnonzero(common)
        self._common = counts[:, self._images].astype(np.float32)
        rest = np.where(common, counts.dtype.type(0), counts)
        self._rest = sparse.csr_matrix(rest.astype(np.float32)) if rest.any() else None

    def weighted(self, weights: Floats32) -> Floats32:
        """`(R, n)` sums over the images with `(N, n)` weights."""
        sums: Floats32 = self._common @ weights[self._images]
        if self._rest is not None:
            sums += self._rest @ weights
        return sums


@dataclass(frozen=True)
class _Class:
    """One class: pixels of each run that are right, those wrongly given to it, and whose runs see the class."""

    hit: _Pixels
    wrong: _Pixels
    seen: Sequence[slice]
    unseen: Sequence[slice]


class Dense:
    """Exact runs with one truth. A class may be seen in one and unseen in another."""

    def __init__(self, classes: Sequence[_Class], seen: NDArray[np.bool_], order: NDArray[np.int64]):
        self._classes, self._order = classes, order
        self._count = np.stack([seen.sum(axis=1), (~seen).sum(axis=1)]).astype(np.float32)  # (2, R)

    def scores(self, weights: Floats32, labelled: Floats32) -> Floats32:
        """`(R, len(METRICS), n)` from `(N, n)` weights and `(C, n)` sums of the truth, none of which is 0."""
        sums = np.zeros((2, len(self._order), weights.shape[1]), dtype=np.float32)  # over seen and unseen classes
        for of, truth in zip(self._classes, labelled, strict=True):
            iou, union = of.hit.weighted(weights), of.wrong.weighted(weights)
            union += truth
            iou /= union
            for total, parts in zip(sums, (of.seen, of.unseen), strict=True):
                for part in parts:
                    total[part] += iou[part]
        with np.errstate(invalid="ignore"):
            sums /= self._count[..., None]  # NaN where no class is of that kind
        found = np.empty((len(self._order), len(METRICS), weights.shape[1]), dtype=np.float32)
        found[self._order] = np.stack([*sums, harmonic(*sums).astype(np.float32)], axis=1)
        return found


def dense(runs: Sequence[Few], seen: Sequence[NDArray[np.bool_]]) -> Dense | None:
    """These runs together; None where they are too few to be faster so."""
    if len(runs) < FEWEST:
        return None
    # runs that see the same classes are neighbours, so that a class is of a few slices of them
    order = np.array(sorted(range(len(runs)), key=lambda place: tuple(seen[place].tolist())))
    sees = np.stack([seen[place] for place in order])  # (R, C)
    hit, wrong = (np.stack([getattr(runs[place], name) for place in order]) for name in ("hit", "wrong"))  # (R, N, C)
    classes = [_of_class(hit[..., c], wrong[..., c], sees[:, c]) for c in range(sees.shape[1])]
    return Dense(classes, sees, order)


def _of_class(hit: NDArray[Any], wrong: NDArray[Any], seen: NDArray[np.bool_]) -> _Class:
    edges = [0, *(np.flatnonzero(np.diff(seen)) + 1).tolist(), len(seen)]
    parts = [slice(start, end) for start, end in pairwise(edges)]
    return _Class(
        _Pixels(hit),
        _Pixels(wrong),
        seen=[part for part in parts if seen[part.start]],
        unseen=[part for part in parts if not seen[part.start]],
    )
