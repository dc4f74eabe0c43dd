"""Brent's method against SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import stdtrit

from results.tables.roots import root


def test_every_bit_is_scipys() -> None:
    """Fails when a place differs from SciPy's in its last bit: p values and smallest differences stand in tables."""
    rng = np.random.default_rng(0)
    for degree in (1, 2, 3, 5, 9, 30):
        for at in rng.uniform(0.001, 0.999, 20):
            curves = (
                lambda x, at=at, degree=degree: x**degree - at**degree,
                lambda x, at=at, degree=degree: math.exp(degree * x) - math.exp(degree * at),
                lambda x, at=at, degree=degree: math.hypot(float(stdtrit(degree, 1 - x / 2)), degree) - degree - at,
            )
            for curve in curves:
                if curve(1e-12) * curve(1.0) < 0:
                    for within in (1e-15, 2e-12):
                        assert root(curve, 1e-12, 1.0, within) == brentq(curve, 1e-12, 1.0, xtol=within)


def test_ends_and_equal_signs() -> None:
    """Fails when a root at an end is missed, or one is told where there is none."""
    assert root(lambda x: x, 0.0, 1.0) == 0.0
    assert root(lambda x: x - 1, 0.0, 1.0) == 1.0
    with pytest.raises(ValueError, match="of one sign"):
        root(lambda x: x + 1, 0.0, 1.0)
