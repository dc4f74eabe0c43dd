"""How often do intervals hold the truth, and verdicts err? On simulated studies; prints the tables of docs/verdicts.md.

    python -m tests.coverage [--studies 1000]

In the studies here all methods are of one distribution: a difference of 0 is true, every "higher" or "lower" is an
error. Those of `differences` have a true one.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from benchmarks.simulated_studies import World
from results.tables.bootstrap import scores
from results.tables.inference import ALPHA
from results.tables.verdicts import judged
from tests.coverage import differences
from tests.coverage.studies import DRAWS, rows

BASE = World()
WORLDS = {
    "2 seeds": replace(BASE, seeds=2),
    "3 seeds": BASE,
    "5 seeds": replace(BASE, seeds=5),
    "10 seeds": replace(BASE, seeds=10),
    "3 seeds, folds of other images": replace(BASE, shared_images=False),
    "3 seeds, 1 in 10 collapses": replace(BASE, collapse=0.1),
    "10 seeds, 1 in 10 collapses": replace(BASE, seeds=10, collapse=0.1),
    "3 seeds, 30 images": replace(BASE, images=30),
    "3 seeds, seeds vary little": replace(BASE, seed=0.01, seed_fold=0.01, seed_class=0.02),
}


@dataclass(frozen=True)
class Held:
    """Shares of studies."""

    difference: float  # whose interval of one difference holds 0
    mean: float  # whose interval of one mean holds the true mean
    pair: float  # in which one pair alone would be called different
    family: float  # in which a fixed family calls any of its pairs different
    half: float  # median half-width of a difference, as a fraction


def truth(world: World, seeds: int = 60, images: int = 4000) -> float:
    """The expectation of a method's mean hIoU, over seeds, on so many images that they do not vary it."""
    vast = replace(world, images=images, seeds=seeds)
    (row,) = rows(vast, np.random.default_rng(1), methods=1)
    return float(np.mean([scores(run)["hiou"] for run in row.runs.values()]))


def held(world: World, studies: int) -> Held:
    """Over so many studies."""
    rng, true, found = np.random.default_rng([5, world.seeds, world.images]), truth(world), []
    for _ in range(studies):
        family = judged(rows(world, rng), range(world.folds), draws=DRAWS)
        by, mean = family.verdict("m0", "m1", "hiou").found.by, family.means["m0"]["hiou"]
        wrong = any(family.verdict(a.name, b.name, "hiou").separated for a, b in combinations(family.rows, 2))
        found.append(
            (abs(by.value) <= by.half(), abs(mean.value - true) <= mean.half(), by.p < ALPHA, wrong, by.half())
        )
    shares = np.array(found, dtype=float)
    return Held(*shares[:, :4].mean(axis=0).tolist(), float(np.median(shares[:, 4])))


def table(studies: int) -> Iterator[str]:
    """Markdown lines."""
    error = 100 * math.sqrt(ALPHA * (1 - ALPHA) / studies)
    yield "| studies | difference held, % | mean held, % | pair alone wrong, % | family of 10 wrong, % | half-width |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, world in WORLDS.items():
        of = held(world, studies)
        shares = (of.difference, of.mean, of.pair, of.family)
        yield f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in shares)} | {100 * of.half:.1f} |"
    yield ""
    yield from differences.tables(studies)
    yield ""
    yield f"{studies:,} studies a line: a share of 95 % or 5 % has a standard error of {error:.1f}."


def main() -> None:
    """Print the tables, line by line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--studies", type=int, default=1000)
    for line in table(parser.parse_args().studies):
        print(line, flush=True)


if __name__ == "__main__":
    main()
