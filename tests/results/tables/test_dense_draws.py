"""Runs drawn together have the bits of runs drawn one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from results.tables import bootstrap, dense_draws
from results.tables.bootstrap import mean_draws
from results.tables.dense_draws import Few, dense, is_exact
from results.tables.statistics import Counts

IMAGES, CLASSES, DRAWS = 60, 6, 1500
SEEN = ([True, True, True, True, False, False], [False, False, True, True, True, True], [True] * 6)


def runs(rng: np.random.Generator, count: int, *, pixels: int = 400, rule: Any = "skip", rare: bool = False):
    """Runs of few classes an image, with one truth; rare: one class is on one image alone, and said elsewhere."""
    truth = rng.integers(1, pixels, (IMAGES, CLASSES)) * (rng.random((IMAGES, CLASSES)) < 0.3)
    truth[:, 1] *= 1 - rare
    truth[0, 1] = pixels
    made = []
    for i in range(count):
        hit = (truth * rng.random(truth.shape)).astype(np.int32)
        wrong = rng.integers(0, pixels, truth.shape) * (rng.random(truth.shape) < 0.2)
        made.append(Counts(hit, truth.astype(np.int32), hit + wrong.astype(np.int32), np.array(SEEN[i % 3]), rule=rule))
    return made


def one_by_one(given: Sequence[Counts], wanted: Any, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "is_exact", lambda run: False)
        return mean_draws(given, wanted, DRAWS)


@pytest.mark.parametrize("rule", ["skip", "skip-absent-in-truth"])
@pytest.mark.parametrize("rare", [False, True])
def test_runs_drawn_together_have_the_bits_of_runs_drawn_alone(rule, rare, monkeypatch):
    """Fails when an interval depends on which runs stand beside a run, or a class without pixels in a draw counts."""
    given = runs(np.random.default_rng(1), 23, rule=rule, rare=rare)
    wanted = [{i: 1 / 23 for i in range(23)}, {4: 0.3, 17: 0.7}, {9: 1.0}]
    for one, other in zip(mean_draws(given, wanted, DRAWS), one_by_one(given, wanted, monkeypatch), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isnan(mean_draws(given, [{2: 1.0}], DRAWS)[0][1]).all()  # no class is unseen there


def test_runs_of_two_truths_and_inexact_ones_keep_their_place(monkeypatch):
    """Fails when runs of other images, or too large to be exact, are weighted as their neighbours are."""
    rng = np.random.default_rng(2)
    mixed = [
        run for three in zip(runs(rng, 12), runs(rng, 12), runs(rng, 12, pixels=1 << 20), strict=True) for run in three
    ]
    assert [is_exact(run) for run in mixed[:3]] == [True, True, False]
    wanted = [{i: 1.0 if i == k else 0.5 for i in range(36)} for k in (0, 17, 35)]
    for one, other in zip(mean_draws(mixed, wanted, DRAWS), one_by_one(mixed, wanted, monkeypatch), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("pixels", "exact"), [(1 << 14, True), (1 << 19, False)])
def test_what_float32_cannot_hold_is_not_exact(pixels, exact):
    """Fails when sums that float32 rounds are taken for whole numbers, whose order does not matter."""
    (run,) = runs(np.random.default_rng(3), 1, pixels=pixels)
    assert is_exact(run) is exact
    halves = Counts(run.hit / 2, run.truth, run.predicted, run.seen)
    assert not is_exact(halves)


def test_few_runs_are_left_to_sparse_products():
    """Fails when a handful of runs are put together, which takes longer than one by one."""
    given = [Few.of(run) for run in runs(np.random.default_rng(4), 10)]
    seen = [np.array(SEEN[0])] * 10
    assert dense(given, seen) is not None
    assert dense(given[: dense_draws.FEWEST - 1], seen[: dense_draws.FEWEST - 1]) is None


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_sums_are_those_of_a_product_wherever_the_pixels_lie(share):
    """Fails when an image is left out, or counted twice, because few runs have a pixel in it, or many, or all."""
    rng = np.random.default_rng(5)
    counts = rng.integers(1, 200, (40, IMAGES)) * (rng.random((40, IMAGES)) < share * rng.random(IMAGES))
    counts[:, 7] = 3 * (share > 0)  # one image that all runs have
    weights = rng.integers(0, 6, (IMAGES, 50)).astype(np.float32)
    pixels = dense_draws._Pixels(counts.astype(np.uint8))
    np.testing.assert_array_equal(pixels.weighted(weights), counts @ weights)
