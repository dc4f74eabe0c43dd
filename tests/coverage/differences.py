"""Where a difference is true: is it held, found with the right sign, taken for none? And where classes are others?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.simulated_studies import World
from results.tables.bootstrap import scores
from results.tables.inference import ALPHA
from results.tables.over_classes import over_classes
from results.tables.verdicts import Family, Row, judged
from tests.coverage.studies import DRAWS, rows

STEADY = World(seed=0.01, seed_fold=0.01, seed_class=0.02)
BETTER = {
    "3 seeds": World(better=0.25),
    "10 seeds": World(seeds=10, better=0.15),
    "10 seeds, 1 in 10 collapses": World(seeds=10, collapse=0.1, better=0.3),
    "3 seeds, seeds vary little": replace(STEADY, better=0.12),
    "10 seeds, seeds vary little": replace(STEADY, seeds=10, better=0.12),
}
OTHERS = {
    "3 unseen classes a fold": World(unseen_class=0.5),
    "5 unseen classes a fold": World(classes=20, unseen_class=0.5),
    "5, 10 seeds": World(classes=20, seeds=10, unseen_class=0.5),
    "20 unseen classes a fold": World(classes=80, images=100, unseen_class=0.5),
}


@dataclass(frozen=True)
class Found:
    """Of many studies in which the first of five methods is better: shares, but for the last."""

    held: float  # whose interval of the difference holds the true one
    higher: float  # in which the pair alone is called different, with the right sign ...
    lower: float  # ... with the wrong one
    equivalent: float  # in which the pair alone is called equivalent within the true difference
    ranks: float  # in which an interval of ranks leaves out the true place of any of the five
    detectable: float  # median of what is called detectable, as a fraction


def true_difference(world: World, seeds: int = 60, images: int = 4000) -> float:
    """Of the first method and its twin that is no better: both of one draw, so that it hardly varies."""
    vast = replace(world, seeds=seeds, images=images)
    (better,), (other,) = (
        rows(replace(vast, better=by), np.random.default_rng(1), methods=1) for by in (world.better, 0.0)
    )
    return float(np.mean([scores(run)["hiou"] - scores(other.runs[at])["hiou"] for at, run in better.runs.items()]))


def found(world: World, true: float, studies: int) -> Found:
    """Over so many studies."""
    rng, each = np.random.default_rng([7, world.seeds, world.images]), []
    for _ in range(studies):
        family = judged(rows(world, rng), range(world.folds), draws=DRAWS)
        by = family.verdict("m0", "m1", "hiou").found.by
        apart, sign = by.p < ALPHA, np.sign(by.value) == np.sign(true)
        each.append(
            (
                abs(by.value - true) <= by.half(),
                apart and sign,
                apart and not sign,
                by.p_equivalent(true) < ALPHA,
                _wrong_ranks(family),
                by.detectable,
            )
        )
    shares = np.array(each, dtype=float)
    return Found(*shares[:, :5].mean(axis=0).tolist(), float(np.median(shares[:, 5])))


def _wrong_ranks(family: Family) -> bool:
    """Is the better one not let be first, or any other not let be second to last?"""
    best, *others = (family.ranks(row.name, "hiou") for row in family.rows)
    return best[0] > 1 or any(last < 2 for _, last in others)


def held_over_classes(world: World, studies: int) -> tuple[float, float]:
    """How often the interval of a difference in mIoU(U) holds 0 over classes, and over images, where classes vary."""
    rng, each = np.random.default_rng([8, world.classes, world.seeds]), []
    for _ in range(studies):
        pair: list[Row] = rows(world, rng, methods=2)
        found = [
            judged(pair, range(world.folds), draws=DRAWS, over=over).verdict("m0", "m1", "miou_unseen").found.by
            for over in (over_classes, None)
        ]
        each.append([abs(by.value) <= by.half() for by in found])
    of_classes, of_images = np.mean(each, axis=0).tolist()
    return of_classes, of_images


def tables(studies: int) -> Iterator[str]:
    """Markdown lines."""
    columns = ("true", "detectable", "held, %", "higher, %", "lower, %", "equivalent, %", "ranks wrong, %")
    yield f"| studies | {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * len(columns)}"
    for name, world in BETTER.items():
        true = true_difference(world)
        of = found(world, true, studies)
        values = (true, of.detectable, of.held, of.higher, of.lower, of.equivalent, of.ranks)
        yield f"| {name} | {' | '.join(f'{100 * value:.1f}' for value in values)} |"
    yield ""
    yield "| studies with other unseen classes each | held over classes, % | held over images, % |"
    yield "| --- | ---: | ---: |"
    for name, world in OTHERS.items():
        yield f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in held_over_classes(world, studies))} |"
