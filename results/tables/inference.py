"""What can be said of a mean or a difference whose images and seeds vary: half-widths, p values, equivalence, power.

An estimate has two independent errors. That of the sample (images, or classes) is normal, or t with stated degrees of
freedom, with the standard error of a bootstrap. That of the seeds is the error of a mean of n values, t-distributed
with n - 1 degrees of freedom. The half-width of an interval is the root of the sum of the two parts' squared
half-widths: Howe (JASA 69, 1974, 789-794), as the method of variance estimates recovery (Zou and Donner, Statistics in
Medicine 27, 2008, 1693-1702). It is exact where one part is 0. A p value is the level whose interval just reaches the
value in question. With one seed nothing is known of the seeds' part: the interval is over the sample only, and there
is no p value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from scipy.optimize import brentq
from scipy.special import nctdtr, ndtri, stdtrit

ALPHA = 0.05  # of tests; intervals hold 1 - ALPHA
DELTA = 0.01  # one point: differences below it are called equivalent by default
POWER = 0.8
SMALLEST_P = 1e-12  # what is smaller is given as this
SKEWED = 0.1  # percentile interval and normal one differ by more than this share of the half-width


@dataclass(frozen=True)
class Uncertain:
    """A mean, or a difference of means, as a fraction, with the standard errors of its two parts."""

    value: float
    of_sample: float  # standard error over the images, or classes, that happened to be scored
    of_seeds: float  # standard error over seeds (sd / sqrt(n)); NaN with one seed
    seeds: int
    df: float = math.inf  # degrees of freedom of `of_sample`
    low: float = math.nan  # percentile interval of the sample's part: its lower end ...
    high: float = math.nan  # ... and its upper end
    simulated: float = 0.0  # Monte Carlo standard error of `of_sample`, from the finite number of draws

    @property
    def tested(self) -> bool:
        """Is anything known of the seeds' part, so that a test is one of the methods and not of these weights?"""
        return self.seeds > 1 and not math.isnan(self.value)

    @property
    def judged(self) -> bool:
        """Are both parts of the error known?"""
        return self.tested and not math.isnan(self.half())

    def half(self, alpha: float = ALPHA) -> float:
        """Half the `1 - alpha` interval; with one seed that over the sample only."""
        sample = _quantile(self.df, 1 - alpha / 2) * self.of_sample
        if self.seeds < 2:
            return sample
        return math.hypot(sample, _quantile(self.seeds - 1, 1 - alpha / 2) * self.of_seeds)

    @property
    def p(self) -> float:
        """Two-sided p of the value being 0; NaN with one seed."""
        return _level(abs(self.value), self.half) if self.tested else math.nan

    def p_equivalent(self, delta: float = DELTA) -> float:
        """p of the two one-sided tests that the value lies within `delta` of 0; NaN with one seed.

        The larger of the two: Schuirmann (J. Pharmacokinetics and Biopharmaceutics 15, 1987, 657-680).
        """
        if not self.tested:
            return math.nan
        distance = delta - abs(self.value)  # to the nearer bound
        p = _level(abs(distance), self.half) / 2
        return p if distance > 0 else 1 - p

    @property
    def detectable(self) -> float:
        """The true difference that a test at ALPHA, uncorrected, finds with a probability of POWER; NaN with one seed.

        Exact where one part is 0 (normal, or noncentral t), else the parts' ones combined as half-widths are.
        """
        if not self.tested:
            return math.nan
        return math.hypot(_noncentrality(self.df) * self.of_sample, _noncentrality(self.seeds - 1) * self.of_seeds)

    @property
    def skewed(self) -> bool:
        """Does an end of the sample's percentile interval lie a tenth of the half-width off the symmetric one's?"""
        if math.isnan(self.low):
            return False
        half = _quantile(self.df, 1 - ALPHA / 2) * self.of_sample
        return max(abs(self.value - half - self.low), abs(self.value + half - self.high)) > SKEWED * half


def _quantile(df: float, share: float) -> float:
    return float(ndtri(share)) if math.isinf(df) else float(stdtrit(df, share))


def _level(distance: float, half: Callable[[float], float]) -> float:
    """The level whose interval just reaches so far."""
    if math.isnan(distance) or math.isnan(half(0.5)):
        return math.nan
    if distance == 0:
        return 1.0
    if half(SMALLEST_P) <= distance:
        return SMALLEST_P
    return float(brentq(lambda p: half(p) - distance, SMALLEST_P, 1.0, xtol=1e-15))


@cache
def _noncentrality(df: float) -> float:
    """In standard errors: the difference that a test at ALPHA, two-sided, finds with a probability of POWER."""
    critical = _quantile(df, 1 - ALPHA / 2)
    if math.isinf(df):
        return critical + float(ndtri(POWER))

    def missing(shift: float) -> float:
        return 1 - float(nctdtr(df, shift, critical)) - POWER  # found with the right sign

    return float(brentq(missing, 0.0, 2 * critical))


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p values for several comparisons; NaN stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted((p, i) for i, p in enumerate(values) if not math.isnan(p))
    adjusted, highest = [math.nan] * len(values), 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        adjusted[i] = highest
    return adjusted
