"""Simulated studies: two methods on the same images, whose images, seeds and crossing vary."""

from __future__ import annotations

import numpy as np

from results.tables.statistics import Counts

SEEN = [True, True, True, False, False]
Study = dict[tuple[int, int], Counts]


def study(
    rng: np.random.Generator, *, better: float = 0.0, images: int = 80, seeds: int = 3, folds: int = 1
) -> tuple[Study, Study]:
    """Two methods; A hits `better` more of the pixels."""
    easy = rng.normal(0, 0.10, (images, 1))  # shared by both methods and all seeds
    own = [rng.normal(0, 0.05, (images, 1)) for _ in range(2)]  # of a method on an image
    runs: list[Study] = [{}, {}]
    for seed in range(seeds):
        for which in range(2):
            hits = 0.5 + (better if which == 0 else 0.0) + easy + own[which] + rng.normal(0, 0.02)
            for fold in range(folds):
                share = np.clip(hits + rng.normal(0, 0.03, (images, len(SEEN))), 0.02, 0.98)
                pixels = np.full(share.shape, 100.0)
                runs[which][fold, seed] = Counts(100 * share, pixels, pixels, np.array(SEEN))
    return runs[0], runs[1]
