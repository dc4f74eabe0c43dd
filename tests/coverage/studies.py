"""Simulated studies as rows of a table."""

from __future__ import annotations

import numpy as np

from benchmarks.simulated_studies import Run, World, study
from results.tables.statistics import Counts, Runs
from results.tables.verdicts import Row

METHODS, DRAWS = 5, 400


def counts(run: Run, listed: str) -> Counts:
    """As inference wants them."""
    return Counts(run.hit, run.truth, run.predicted, run.seen, images=listed)


def rows(world: World, rng: np.random.Generator, methods: int = METHODS) -> list[Row]:
    """One study."""
    made = study(world, methods, rng)
    runs: list[Runs] = [
        {place: counts(run, "shared" if world.shared_images else f"fold {place[0]}") for place, run in of.items()}
        for of in made
    ]
    return [Row(f"m{i}", of) for i, of in enumerate(runs)]
