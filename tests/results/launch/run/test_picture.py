"""Which images a sheet shows is a stated rule, not a taste."""

from __future__ import annotations

import numpy as np
import pytest

from results.launch.plan.request import Files, Pictures, Request
from results.launch.run.picture import most_different, prediction_sheets, spread
from splits.errors import UserError


def test_worst_and_best_are_always_there():
    """Fails if the worst or the best image is left out, or the order is not from worst to best."""
    shares = np.random.default_rng(0).random(50)
    chosen = spread(shares, 6)
    assert chosen[0] == shares.argmin()
    assert chosen[-1] == shares.argmax()
    assert (np.diff(shares[chosen]) > 0).all()
    ranks = [int((shares < shares[i]).sum()) for i in chosen]
    assert np.ptp(np.diff(ranks)) <= 1  # evenly spaced


@pytest.mark.parametrize("count", [1, 3, 9])
def test_few_images(count):
    """Fails if more images are asked for than there are, or one of no labelled pixel is chosen."""
    chosen = spread(np.array([0.2, np.nan, 0.1, 0.3]), count)
    assert len(chosen) == min(count, 3)
    assert 1 not in chosen
    assert len(set(chosen)) == len(chosen)


def test_the_most_different_images():
    """Fails if images are shown on which the two methods agree while there are others, or an undefined one is."""
    first = np.array([0.9, 0.5, 0.1, np.nan, 0.6, 0.5])
    second = np.array([0.2, 0.5, 0.8, 0.3, 0.5, 0.9])
    assert most_different(first, second, 4) == [0, 4, 2, 5]
    assert most_different(second, first, 2) == [2, 0]
    assert sorted(most_different(first, second, 9)) == [0, 1, 2, 4, 5]


def test_a_method_is_behind_only_where_it_is():
    """Fails if images on which a method is ahead fill the half that shows it behind."""
    first, second = np.array([0.9, 0.8, 0.7, 0.6, 0.1]), np.array([0.1, 0.2, 0.3, 0.4, 0.2])
    assert most_different(first, second, 4) == [0, 1, 2, 4]
    assert most_different(second, first, 4) == [4, 0, 1, 2]


def test_a_difference_is_of_two_methods(tmp_path):
    """Fails if a method is held against itself."""
    pictures = Pictures(tmp_path, choose="difference", between=("clip", "clip"))
    request = Request(methods=("clip",), benchmarks=("shapes-5i",), folds=(0,))
    with pytest.raises(UserError, match="--by-difference clip clip: expected two methods"):
        next(prediction_sheets(request, Files(), tmp_path, pictures))
