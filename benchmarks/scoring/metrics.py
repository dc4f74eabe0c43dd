"""Scores from one confusion matrix accumulated over the whole val set. What is undefined is nan, never 0.

IoU_c = TP / (TP + FP + FN), pixel accuracy = correct / labelled pixels, both as mmsegmentation's `IoUMetric`, in
float64 from exact counts. hIoU = 2SU / (S + U) (Xian et al., SPNet, CVPR 2019). All values are fractions in
[0, 1], unrounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.choices import AbsentRule

Counts = NDArray[np.int64] | NDArray[np.float64]  # of pixels: whole numbers, float64 after weighting
REACH: Final = 5  # pixels: how far from a boundary of the truth `benchmarks.scoring.boundary` counts apart


@dataclass(frozen=True)
class Metrics:
    """Scores of one evaluation; nan where nothing defines a value (no labelled pixel, no such class present)."""

    pacc: float  # over all labelled pixels of all classes
    miou_seen: float
    miou_unseen: float
    hiou: float
    iou: tuple[float, ...]  # per class
    tp: tuple[int, ...]  # pixels, per class
    fp: tuple[int, ...]
    fn: tuple[int, ...]


def _checked(matrix: ArrayLike) -> NDArray[np.int64]:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"a confusion matrix is square [truth, prediction], got shape {counts.shape}")
    if not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise ValueError(
            f"a confusion matrix holds whole counts of pixels, got {counts.dtype} with minimum {counts.min()}"
        )
    return counts.astype(np.int64)


def iou(hit: Counts, truth: Counts, predicted: Counts, rule: AbsentRule = "skip") -> NDArray[np.float64]:
    """IoU from counts of pixels of equal shape: right ones, those of the class in the truth, those predicted as it.

    rule "skip": a class in neither truth nor prediction is nan, one that is only predicted 0 (mmsegmentation). Rule
    "skip-absent-in-truth": nan also for the class that is only predicted (detectron2 has had either, by version).
    """
    if rule not in get_args(AbsentRule):
        raise ValueError(f"unknown rule for absent classes {rule!r}; there are: {', '.join(get_args(AbsentRule))}")
    union = truth + predicted - hit
    defined = (union if rule == "skip" else truth) > 0
    return np.where(defined, hit / np.maximum(union, 1), np.nan)


def iou_per_class(matrix: ArrayLike, rule: AbsentRule = "skip") -> NDArray[np.float64]:
    """`(C,)` IoU from a `(C, C)` matrix [truth, prediction]; `rule` as in `iou`."""
    counts = _checked(matrix)
    return iou(np.diag(counts), counts.sum(axis=1), counts.sum(axis=0), rule)


def pixel_accuracy(matrix: ArrayLike) -> float:
    """Correct over labelled pixels; nan where no pixel is labelled."""
    counts = _checked(matrix)
    total = int(counts.sum())
    return int(np.trace(counts)) / total if total else float("nan")


def stack_iou(matrices: NDArray[np.int64], rule: AbsentRule = "skip") -> NDArray[np.float64]:
    """`(S, C)` IoU from `(S, C, C)` matrices [shift, truth, prediction], unchecked; `rule` as in `iou`."""
    return iou(np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(axis=2), matrices.sum(axis=1), rule)


def stack_accuracy(matrices: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(S,)` correct over labelled pixels from `(S, C, C)` matrices, unchecked; nan where no pixel is labelled."""
    hit, pixels = np.trace(matrices, axis1=1, axis2=2), matrices.sum(axis=(1, 2))
    return np.where(pixels > 0, hit / np.maximum(pixels, 1), np.nan)


def mean_of_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(S,)` means over `(S, C)` values, of what is not nan; nan where nothing is left."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def mean(values: ArrayLike, indices: Sequence[int] | NDArray[np.int64] | None = None) -> float:
    """The mean of the values (at `indices`) that are not nan; nan where none is left."""
    chosen = np.asarray(values, dtype=np.float64)
    if indices is not None:
        chosen = chosen[np.asarray(indices, dtype=np.int64)]
    chosen = chosen[~np.isnan(chosen)]
    return float(chosen.mean()) if chosen.size else float("nan")


def harmonic(seen: ArrayLike, unseen: ArrayLike) -> NDArray[np.float64]:
    """2SU / (S + U), of numbers or of arrays of one shape: 0 where both are 0, nan where either is nan."""
    s, u = np.asarray(seen, dtype=np.float64), np.asarray(unseen, dtype=np.float64)
    total = s + u
    return np.where(total == 0, 0.0, 2 * s * u / np.where(total == 0, 1.0, total))


def fb_iou(matrix: ArrayLike) -> float:
    """FB-IoU of a `(2K, 2K)` matrix of K blocks [others, class]: areas summed over the blocks, mean of the two IoUs."""
    counts = _checked(matrix)
    total = sum((counts[i : i + 2, i : i + 2] for i in range(0, len(counts), 2)), np.zeros((2, 2), np.int64))
    return float(iou_per_class(total).mean())  # nan where either has no pixel


def summary(matrix: ArrayLike, seen_mask: Sequence[bool], rule: AbsentRule = "skip") -> Metrics:
    """All scores of a `(C, C)` matrix [truth, prediction]; `seen_mask`: was the class labelled in training?

    Raises ValueError for a matrix that is not square, not whole counts, or of another size than the mask.
    """
    counts, seen = _checked(matrix), np.asarray(seen_mask, dtype=bool)
    if seen.shape != (len(counts),):
        raise ValueError(f"{len(counts)} classes in the matrix but {seen.shape} seen flags")
    ious, hit = iou_per_class(counts, rule), np.diag(counts)
    miou_seen, miou_unseen = mean(ious, np.flatnonzero(seen)), mean(ious, np.flatnonzero(~seen))
    return Metrics(
        pacc=pixel_accuracy(counts),
        miou_seen=miou_seen,
        miou_unseen=miou_unseen,
        hiou=float(harmonic(miou_seen, miou_unseen)),
        iou=tuple(ious.tolist()),
        tp=tuple(hit.tolist()),
        fp=tuple((counts.sum(axis=0) - hit).tolist()),
        fn=tuple((counts.sum(axis=1) - hit).tolist()),
    )
