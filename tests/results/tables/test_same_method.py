"""One method's seeds against its own other seeds: every verdict but "not separated" or "equivalent" is wrong.

`tests/golden/ten_seeds.npz` has the counts of single images (`per_image` of confusion.npz) of ten trainings of ZegCLIP
on fold 0 of shapes-5i, that differ in the seed alone; made with
`python harness.py run --methods zegclip --folds 0 --seeds 0 1 2 3 4 5 6 7 8 9 --set recipe.iterations=60`.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from results.tables.statistics import METRICS, Counts, counts_of
from results.tables.verdicts import Row, judged

FILE = Path(__file__).parents[2] / "golden" / "ten_seeds.npz"
DRAWS = 500  # enough to tell 1 wrong verdict in 20 from many
PAIRS = 200


@pytest.fixture(scope="module")
def runs() -> list[Counts]:
    with np.load(FILE) as stored:
        seen, images = stored["seen"], int(stored["images"])
        return [counts_of(stored[f"seed{seed}"], images, seen, name=f"seed{seed}") for seed in range(10)]


def rows(runs: list[Counts], order: np.ndarray, seeds: int, count: int) -> list[Row]:
    """So many rows, each of other seeds, taken from an order of them."""
    chosen = [order[seeds * k : seeds * (k + 1)] for k in range(count)]
    return [Row(f"m{k}", {(0, i): runs[seed] for i, seed in enumerate(own)}) for k, own in enumerate(chosen)]


def test_seeds_differ(runs):
    """Fails if the stored trainings are copies of one: then no verdict could be wrong."""
    scores = {counts.hit.sum() for counts in runs}
    assert len(scores) == 10


def test_at_three_seeds_one_in_twenty_is_wrong_at_most(runs):
    """Fails if a family's verdicts on one method's own seeds are wrong in more than 5 % of 200 pairs."""
    rng, wrong, pairs = np.random.default_rng(0), dict.fromkeys(METRICS, 0), 0
    while pairs < PAIRS:
        family = judged(rows(runs, rng.permutation(10), 3, 3), [0], draws=DRAWS)
        for a, b in combinations([row.name for row in family.rows], 2):
            pairs += 1
            for metric in METRICS:
                wrong[metric] += family.verdict(a, b, metric).separated
    assert all(count <= 0.05 * pairs for count in wrong.values()), wrong


def test_one_seed_is_never_wrong(runs):
    """Fails if one seed beside another gets a verdict: ten in thirty such pairs were once called higher."""
    family = judged(rows(runs, np.arange(10), 1, 10), [0], draws=DRAWS)
    assert not any(verdict.separated for verdict in family.verdicts.values())
    assert len(family.verdicts) == 45 * len(METRICS)
