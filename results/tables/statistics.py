"""Counts of single images, and the scores of any weighting of them, as `results.tables.bootstrap` draws weightings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.choices import AbsentRule
from benchmarks.scoring.metrics import harmonic, iou, mean_of_rows

Floats = NDArray[np.float64]
METRICS = ("miou_seen", "miou_unseen", "hiou")


@dataclass(frozen=True)
class Head:
    """What is known of a run's counts before they are read."""

    images: str  # which list of images: runs of one list share the draws
    size: int  # images
    seen: tuple[bool, ...]  # (C,)
    rule: AbsentRule = "skip"  # for absent classes
    name: str = ""  # what equal counts have in common (a hash)


@dataclass(frozen=True)
class Counts:
    """What one run counted: pixels per image and class, `(N, C)` each, and how the classes are averaged."""

    hit: NDArray[Any]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    seen: NDArray[np.bool_]  # (C,)
    images: str = ""  # which list of images: runs of one list share the draws
    rule: AbsentRule = "skip"  # for absent classes
    name: str = ""  # what equal counts have in common (a hash): draws of these are made once
    swept: bool = True  # are shifts of the seen scores known from end to end?

    @property
    def head(self) -> Head:
        """All but the counts."""
        return Head(self.images, len(self.hit), tuple(self.seen.tolist()), self.rule, self.name)


Runs = Mapping[tuple[int, int], Counts]  # (fold, seed) -> counts


def head_of(runs: Runs, place: tuple[int, int]) -> Head:
    """The head of one run, without reading its counts where `runs` knows it."""
    known = getattr(runs, "head", None)
    return known(place) if known is not None else runs[place].head


def counts_of(
    per_image: NDArray[np.int64],
    images: int,
    seen: Sequence[bool],
    rule: AbsentRule = "skip",
    listed: str = "",
    name: str = "",
) -> Counts:
    """Counts from the `(n, 4)` rows image, truth, prediction, pixels that lie beside a record."""
    image, truth, predicted, pixels = per_image.T
    shape, right = (images, len(seen)), np.where(truth == predicted, pixels, 0)

    def summed(classes: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.int32]:
        places = np.ravel_multi_index((image, classes), shape)  # raises ValueError for what lies outside
        return np.bincount(places, weights, images * len(seen)).astype(np.int32).reshape(shape)

    hit, labelled, said = summed(truth, right), summed(truth, pixels), summed(predicted, pixels)
    return Counts(hit, labelled, said, seen=np.asarray(seen, dtype=bool), images=listed, rule=rule, name=name)


def ious(counts: Counts, weights: Floats) -> Floats:
    """`(B, C)` IoU of each class under `(B, N)` weights of the images; NaN where a class is not averaged."""
    hit, truth, predicted = (weights @ part for part in (counts.hit, counts.truth, counts.predicted))
    return iou(hit, truth, predicted, counts.rule)


def means(per_class: Floats, seen: NDArray[np.bool_]) -> dict[str, Floats]:
    """`(B,)` mIoU(S), mIoU(U) and hIoU of `(B, C)` IoUs."""
    s, u = mean_of_rows(per_class[:, seen]), mean_of_rows(per_class[:, ~seen])
    return {"miou_seen": s, "miou_unseen": u, "hiou": harmonic(s, u)}


def shared(a: Runs, b: Runs) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The folds that both have with a common seed, and the seeds with which both have all of these."""
    both = a.keys() & b.keys()
    folds = tuple(sorted({fold for fold, _ in both}))
    seeds = sorted({seed for _, seed in both})
    return folds, tuple(seed for seed in seeds if all((fold, seed) in both for fold in folds))
