"""Position tables at other sizes: recorded values of torch's interpolations, and the cubic kernel written out."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.interpolations import Interpolation
from methods.positions import interpolated, with_positions

SIZES = ((21, 21), (9, 17), (28, 14))
WAYS = get_args(Interpolation)
sides = st.integers(1, 12)


def kernel(x, how):
    """Weights at a distance: linear, or Keys' cubic with a = -0.75 (Keys 1981, equation 4)."""
    x, a = abs(x), -0.75
    if how == "bilinear":
        return max(0.0, 1 - x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def weights(old, new, how):
    """`(new, old)`: what each place takes of each, edges repeated, centres of pixels on centres of pixels."""
    step = old / (new + 0.1) if how == "bicubic-offset" else old / new
    table = np.zeros((new, old))
    for i in range(new):
        place = (i + 0.5) * step - 0.5
        if how == "bilinear":
            place = max(place, 0.0)
        for k in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            table[i, min(max(k, 0), old - 1)] += kernel(place - k, how)
    return table


@settings(deadline=None, max_examples=60)
@given(grid=st.tuples(sides, sides), size=st.tuples(sides, sides), how=st.sampled_from(WAYS), seed=st.integers(0, 99))
def test_any_size_is_the_kernel_written_out(grid, size, how, seed):
    """Fails on another kernel, another rule of places, sides mixed up, antialiasing, or a CLS row that is touched."""
    table = np.random.default_rng(seed).standard_normal((1 + grid[0] * grid[1], 3))
    found = interpolated(torch.from_numpy(table), grid, size, how).numpy()
    rows, columns = (weights(old, new, how) for old, new in zip(grid, size, strict=True))
    expected = np.einsum("ih,jw,hwd->ijd", rows, columns, table[1:].reshape(*grid, 3)).reshape(-1, 3)
    if size == grid:
        expected = table[1:]  # at its own size it is used as it is, whatever the factor
    np.testing.assert_allclose(found[1:], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found[0], table[0])


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("size", SIZES)
def test_recorded_values(golden, how, size):
    """Fails if a table of 14 x 14 is brought to another grid in another way than torch's, as the releases call it."""
    recorded = golden.arrays("positions")
    found = interpolated(torch.from_numpy(recorded["table"]), (14, 14), size, how)
    np.testing.assert_allclose(found[1:].numpy(), recorded[f"{how}.{size[0]}x{size[1]}"], rtol=0, atol=1e-13)


def test_the_ways_differ(golden):
    """Fails if two names are one interpolation: read-outs at 512 px then differ in some of their labels."""
    table = torch.from_numpy(golden.arrays("positions")["table"])
    found = [interpolated(table, (14, 14), (32, 32), how) for how in WAYS]
    assert not any(torch.allclose(one, other, atol=1e-2) for i, one in enumerate(found) for other in found[:i])


def test_tokens_get_their_places_as_dino_has_them(golden):
    """Fails if DINO's own tokens, and those of the read-outs made from it, get another table."""
    table = torch.from_numpy(golden.arrays("positions")["table"])
    tokens = with_positions(torch.zeros(1, 2, 9, 17, dtype=torch.float64), torch.ones(2), table, (14, 14))
    expected = interpolated(table, (14, 14), (9, 17), "bicubic-offset")
    assert torch.equal(tokens[0, 1:], expected[1:])
    assert torch.equal(tokens[0, 0], 1 + table[0])
