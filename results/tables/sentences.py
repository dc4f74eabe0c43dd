"""What a family of verdicts says of a pair, in one sentence: pages that speak of results are made of these."""

from __future__ import annotations

import math

from results.tables.bootstrap import DRAWS
from results.tables.inference import ALPHA, DELTA
from results.tables.statistics import METRICS
from results.tables.table import HEADERS, signed
from results.tables.verdicts import EQUIVALENT, Family, Verdict

FEW = 0.001  # smaller p values are not told apart


def sentence(family: Family, a: str, b: str) -> str:
    """A beside B: each difference with its half-width and verdict, and the folds' differences in hIoU.

    Raises KeyError for names that are no rows, or no pair.
    """
    parts = [f"{HEADERS[metric]} {_difference(family.verdict(a, b, metric))}" for metric in reversed(METRICS)]
    folds = family.verdict(a, b, "hiou").found.folds
    by_fold = ", ".join(signed(100 * value) for _, value in sorted(folds.items()))
    return f"`{a}` beside `{b}`: {'; '.join(parts)}. hIoU by fold: {by_fold}."


def explanation() -> str:
    """What the sentences' numbers are."""
    return (
        f"A difference in points ± half the 95 % interval, over images ({DRAWS:,} draws) and seeds; p: Holm-corrected "
        "over all tested pairs of the table's rows, in each metric. Higher, lower: p under 0.05; equivalent: a "
        f"difference of {100 * DELTA:g} point or more is ruled out, by two one-sided tests (TOST) that are corrected "
        "among themselves. Folds are fixed."
    )


def p_words(p: float) -> str:
    """A p value to three digits, to more where these would not show on which side of 0.05 it is.

    >>> p_words(0.04968), p_words(0.0512), p_words(0.0002)
    ('0.0497', '0.051', '< 0.001')
    """
    if p < FEW:
        return f"< {FEW}"
    digits = next(d for d in range(3, 20) if (float(f"{p:.{d}f}") < ALPHA) == (p < ALPHA))
    return f"{p:.{digits}f}"


def p_told(verdict: Verdict) -> str:
    """The corrected p that a verdict rests on, as `p = 0.012`, of equivalence `TOST p = 0.012`; empty: not tested."""
    equivalent = verdict.words.startswith(EQUIVALENT)
    p, name = (verdict.p_equivalent, "TOST p") if equivalent else (verdict.p, "p")
    return "" if math.isnan(p) else f"{name} {p_words(p) if p < FEW else f'= {p_words(p)}'}"


def _difference(verdict: Verdict) -> str:
    by = verdict.found.by
    if math.isnan(by.value) or math.isnan(by.half()):
        return "undefined"
    told = f" ({p})" if (p := p_told(verdict)) else ""
    return f"{signed(100 * by.value)} ± {100 * by.half():.1f}, {verdict.words}{told}"
