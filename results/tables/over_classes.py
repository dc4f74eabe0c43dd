"""How far a difference holds for other unseen classes: the classes of each fold drawn with replacement, not the images.

A fold's unseen classes are a sample; a zero-shot claim is about classes that nobody chose yet. The folds are strata:
each keeps its number of classes. Both methods share the draws. A bootstrap of n values has (n - 1) / n of their
variance, so each fold's is multiplied by n / (n - 1); degrees of freedom are the sum of n - 1 over folds. The classes'
own variance has the images' in it, so images are not drawn besides. Seen classes stay: mIoU(S) has no such interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.scoring.metrics import harmonic
from results.tables.bootstrap import DRAWS, SEED
from results.tables.statistics import Counts, Floats, Runs, ious


def over_classes(
    a: Runs, b: Runs, metric: str, folds: Sequence[int], seeds: Sequence[int], draws: int = DRAWS
) -> tuple[float, float]:
    """Standard error over unseen classes of the difference of two rows' means, and its degrees of freedom.

    (NaN, inf) for mIoU(S), and where a fold has fewer than two unseen classes with an IoU in every run.
    """
    if metric == "miou_seen":
        return math.nan, math.inf
    variance, df = 0.0, 0
    for fold in folds:
        runs = [[_classes(of[fold, seed]) for seed in seeds] for of in (a, b)]
        known = np.all([~np.isnan(unseen) for both in runs for _, unseen in both], axis=0)
        count = int(known.sum())
        if count < 2:
            return math.nan, math.inf
        rng = np.random.default_rng([SEED, fold, count])
        weights = rng.multinomial(count, np.full(count, 1 / count), size=draws) / count  # (B, n)
        drawn = [np.mean([_score(s, unseen[known], weights, metric) for s, unseen in both], axis=0) for both in runs]
        variance += float((drawn[0] - drawn[1]).var(ddof=1)) * count / (count - 1)
        df += count - 1
    return math.sqrt(variance) / len(folds), float(df)


def _classes(run: Counts) -> tuple[float, Floats]:
    """mIoU over seen classes, and the IoU of each unseen one."""
    iou = ious(run, np.ones((1, len(run.hit))))[0]
    return float(np.nanmean(iou[run.seen])), iou[~run.seen]


def _score(seen: float, unseen: Floats, weights: Floats, metric: str) -> Floats:
    """`(B,)` from drawn unseen classes."""
    u = weights @ unseen
    if metric == "miou_unseen":
        return u
    return harmonic(np.full_like(u, seen), u)
