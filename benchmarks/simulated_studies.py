"""Made-up studies of segmentation methods, to see how often intervals hold what is true: counts of pixels, no pictures.

A world has classes of unequal frequency (Zipf) and area (log-normal); folds hide a part of the classes each and are
scored on the same images (correlated) or on their own. A method hits a share of the pixels of a class in an image:
logistic in how easy the class is, how easy the image is for all, and for this method; a seed shifts everything, its
fold and single classes a little; now and then a seed collapses on unseen classes. What is missed is given to other
classes. All methods of a study have the same expectation, so that every difference between them is chance; but the
first one where it is to be better, and each on unseen classes where these are drawn anew for every study.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What varies in a study, and how much; effects are in logits."""

    classes: int = 12
    folds: int = 4
    images: int = 200
    seeds: int = 3
    shared_images: bool = True  # are all folds scored on the same images?
    collapse: float = 0.0  # how often a seed loses the unseen classes
    image: float = 0.7  # sd of how easy an image is
    crossing: float = 0.4  # sd of what an image is to one method
    seed: float = 0.05  # sd of a seed ...
    seed_fold: float = 0.03  # ... in one fold ...
    seed_class: float = 0.10  # ... on one class
    better: float = 0.0  # what the first method has more on every class
    unseen_class: float = 0.0  # sd of what an unseen class is to one method; the classes are others in every study


@dataclass(frozen=True)
class Run:
    """Pixels per image and class `(N, C)` of one method, fold and seed, and which classes were seen."""

    hit: Floats
    truth: Floats
    predicted: Floats
    seen: NDArray[np.bool_]


def study(world: World, methods: int, rng: np.random.Generator) -> list[dict[tuple[int, int], Run]]:
    """The runs of each method by (fold, seed)."""
    lists = 1 if world.shared_images else world.folds
    truths = [_truth(world, rng) for _ in range(lists)]
    easy = [rng.normal(0, world.image, (world.images, 1)) for _ in range(lists)]
    found = []
    for method in range(methods):
        better = world.better if method == 0 else 0.0
        unseen = rng.normal(0, world.unseen_class, world.classes) if world.unseen_class else np.zeros(world.classes)
        own = [rng.normal(0, world.crossing, (world.images, 1)) for _ in range(lists)]
        runs = {}
        for seed in range(world.seeds):
            shift, by_class = rng.normal(0, world.seed), rng.normal(0, world.seed_class, world.classes)
            lost = rng.random() < world.collapse
            for fold in range(world.folds):
                at = fold % lists
                seen = np.arange(world.classes) % world.folds != fold
                skill = np.linspace(1.5, 0.2, world.classes) - 1.0 * ~seen * (1 + 1.5 * lost)
                own_class = better + unseen * ~seen
                logit = skill + own_class + by_class + shift + rng.normal(0, world.seed_fold) + easy[at] + own[at]
                runs[fold, seed] = _scored(truths[at], 1 / (1 + np.exp(-logit)), seen)
        found.append(runs)
    return found


def _truth(world: World, rng: np.random.Generator) -> Floats:
    """`(N, C)` pixels: a class is in an image or not, with an area of its own."""
    order = np.arange(world.classes)
    often = 0.9 / (1 + order[order % 5 * 7 % world.classes]) ** 0.7  # Zipf, in another order than how easy they are
    there = rng.random((world.images, world.classes)) < often
    areas: Floats = np.exp(rng.normal(np.log(400 / (1 + order % 3)), 0.6, (world.images, world.classes)))
    return np.round(areas) * there.astype(np.float64)


def _scored(truth: Floats, share: Floats, seen: NDArray[np.bool_]) -> Run:
    """What is missed is given to the other classes, by how much of the world they are."""
    hit = np.round(truth * share)
    weights = truth.sum(axis=0) + 1.0
    missed = (truth - hit).sum(axis=1, keepdims=True) * (weights / weights.sum())
    return Run(hit, truth, hit + np.round(missed), seen)
