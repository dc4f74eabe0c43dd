"""Half-widths, p values, equivalence and power: against scipy and statsmodels where they can do them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from results.tables.inference import ALPHA, POWER, Uncertain, holm

SEEDS = [0.021, -0.004, 0.013, 0.030, 0.008]


def of_seeds(values: list[float], of_sample: float = 0.0) -> Uncertain:
    return Uncertain(float(np.mean(values)), of_sample, float(stats.sem(values)), len(values))


def test_without_a_sample_part_it_is_the_t_test():
    """Fails if, where images do not vary, interval or p differ from scipy's one-sample t test over seeds."""
    theirs, ours = stats.ttest_1samp(SEEDS, 0.0), of_seeds(SEEDS)
    interval = theirs.confidence_interval(1 - ALPHA)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6)
    assert (ours.value - ours.half(), ours.value + ours.half()) == pytest.approx((interval.low, interval.high))


def test_without_a_seed_part_it_is_the_normal_test():
    """Fails if, where seeds do not vary, interval or p are not those of a normal estimate."""
    ours = Uncertain(0.03, 0.02, 0.0, 3)
    assert ours.p == pytest.approx(2 * stats.norm.sf(1.5), rel=1e-6)
    assert ours.half() == pytest.approx(stats.norm.ppf(0.975) * 0.02)


def test_both_parts_add_as_squared_half_widths():
    """Fails if the parts are added otherwise than Howe does."""
    one, other = of_seeds(SEEDS), Uncertain(float(np.mean(SEEDS)), 0.006, 0.0, 5)
    assert of_seeds(SEEDS, 0.006).half() ** 2 == pytest.approx(one.half() ** 2 + other.half() ** 2)


@given(st.floats(-0.1, 0.1), st.floats(1e-4, 0.05), st.floats(0, 0.05), st.integers(2, 10))
def test_p_and_interval_agree(value: float, of_sample: float, of_seeds: float, seeds: int):
    """Fails if a p below 5 % stands beside an interval with 0 in it, or the other way round."""
    ours = Uncertain(value, of_sample, of_seeds, seeds)
    if abs(abs(value) - ours.half()) > 1e-9:
        assert (ours.p < ALPHA) == (abs(value) > ours.half())


def test_equivalence_is_the_two_one_sided_tests():
    """Fails if p of equivalence is not statsmodels' (`ttost_mean`), within the bounds or outside them."""
    for values in (SEEDS, [v / 10 for v in SEEDS], [v - 0.012 for v in SEEDS]):
        expected = DescrStatsW(values).ttost_mean(-0.01, 0.01)[0]
        assert of_seeds(values).p_equivalent(0.01) == pytest.approx(expected, rel=1e-6)


@given(st.floats(-0.03, 0.03), st.floats(1e-4, 0.02), st.floats(0, 0.02), st.integers(2, 10))
def test_equivalence_is_the_90_percent_interval_within_the_bounds(value, of_sample, of_seeds, seeds):
    """Fails if `p_equivalent` is under 5 % where the 90 % interval leaves the bounds, or not where it lies within."""
    ours = Uncertain(value, of_sample, of_seeds, seeds)
    room = 0.01 - abs(value) - ours.half(2 * ALPHA)
    if abs(room) > 1e-9:
        assert (ours.p_equivalent(0.01) < ALPHA) == (room > 0)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_detectable_difference_is_that_of_the_t_test(seeds):
    """Fails if the difference that seeds alone let one detect is not the one of statsmodels' power of a t test."""
    effect = TTestPower().solve_power(nobs=seeds, alpha=ALPHA, power=POWER)
    ours = Uncertain(0.0, 0.0, 0.01, seeds)
    assert ours.detectable == pytest.approx(effect * 0.01 * math.sqrt(seeds), rel=1e-3)


def test_the_detectable_difference_over_images_is_the_normal_one():
    """Fails if, without seed variance, it is not (1.96 + 0.84) standard errors."""
    assert Uncertain(0.0, 0.01, 0.0, 3).detectable == pytest.approx(0.01 * (1.959964 + 0.841621), rel=1e-5)


def test_one_seed_is_never_tested():
    """Fails if one seed has a p value, an equivalence or a detectable difference, or no interval over images."""
    ours = Uncertain(0.05, 0.01, math.nan, 1)
    assert not ours.tested
    assert all(math.isnan(v) for v in (ours.p, ours.p_equivalent(), ours.detectable))
    assert ours.half() == pytest.approx(0.0196, rel=1e-3)


def test_a_t_distributed_sample():
    """Fails if degrees of freedom of the sample are not used: interval and p of a t test over classes."""
    theirs = stats.ttest_1samp(SEEDS, 0.0)
    ours = Uncertain(float(np.mean(SEEDS)), float(stats.sem(SEEDS)), 0.0, 3, df=4)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6)


def test_skew_is_told():
    """Fails if a percentile interval far from the normal one passes unseen, or a near one is told."""
    assert Uncertain(0.0, 0.01, 0.0, 3, low=-0.0196, high=0.0240).skewed
    assert not Uncertain(0.0, 0.01, 0.0, 3, low=-0.0196, high=0.0200).skewed


def test_no_difference_and_a_vast_one():
    """Fails if a difference of exactly 0 is anything but p = 1, or a certain one stops the search for p."""
    assert Uncertain(0.0, 0.0, 0.0, 3).p == 1.0
    assert Uncertain(0.5, 0.0, 0.0, 3).p <= 1e-12
    assert math.isnan(Uncertain(math.nan, math.nan, math.nan, 3).p)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(values):
    """Fails if the correction is not Holm's."""
    assert holm(values) == pytest.approx(list(multipletests(values, method="holm")[1]))


def test_holm_passes_over_what_is_undefined():
    """Fails if an undefined p counts as a comparison."""
    assert holm([math.nan, 0.02, 0.04]) == pytest.approx([math.nan, 0.04, 0.04], nan_ok=True)
