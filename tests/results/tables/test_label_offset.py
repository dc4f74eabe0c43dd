"""Shifts of class indices, held against a plain count over pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scoring.metrics import summary
from results.tables.label_offset import best_offset


@pytest.mark.parametrize("by", [-2, -1, 1, 2])
@given(seed=st.integers(0, 2**16))
def test_a_planted_offset_is_found(by: int, seed: int) -> None:
    """Fails when the sign is wrong, a class that falls out of the list breaks it, or its mean is not that of the
    shifted predictions counted anew.
    """
    rng, count = np.random.default_rng(seed), 6
    truth = rng.integers(0, count, 400)
    said = np.where(rng.random(400) < 0.9, truth + by, rng.integers(0, count, 400))
    kept = (said >= 0) & (said < count)
    truth, said = truth[kept], said[kept]
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (truth, said), 1)
    seen = [True, False, True, True, False, True]
    found = best_offset(matrix, seen)
    assert found is not None
    assert found.by == by
    whole = np.zeros((count + 1, count + 1), np.int64)  # one class more takes what leaves the list
    back = said - by
    np.add.at(whole, (truth, np.where((back < 0) | (back >= count), count, back)), 1)
    assert found.miou_seen == pytest.approx(summary(whole, [*seen, False]).miou_seen)


def test_right_indices_have_none() -> None:
    """Fails when good predictions, or a matrix without a pixel, are given a shift."""
    assert best_offset(np.diag([3, 4, 5]), [True, True, False]) is None
    assert best_offset(np.zeros((3, 3), np.int64), [True, True, False]) is None
    assert best_offset(np.array([[0, 9], [0, 9]]), [True, False]) is None
