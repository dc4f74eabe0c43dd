"""Where a function is 0: Brent's method, bit for bit as SciPy's `brentq`, whose package takes 24 MiB and a third of a
second of every table.

Brent, Algorithms for Minimization Without Derivatives, 1973, chapter 4; in the form of SciPy's `brentq.c`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Final

RELATIVE: Final = 4 * sys.float_info.epsilon  # of the place: no finer step is told from none
MOST: Final = 100  # steps


def root(f: Callable[[float], float], low: float, high: float, within: float = 2e-12) -> float:
    """A place between two at which `f` has opposite signs, where it is 0, as far as `within` tells.

    Raises ValueError for equal signs, RuntimeError after MOST steps.

    >>> root(lambda x: x * x - 1, 0.0, 3.0)
    1.0
    """
    before, here = low, high  # the last place but one, and the last
    f_before, f_here = f(before), f(here)
    if f_before == 0 or f_here == 0:
        return before if f_before == 0 else here
    if (f_before > 0) == (f_here > 0):
        raise ValueError(f"f is {f_before} at {low} and {f_here} at {high}, of one sign")
    other, f_other, last, step = before, f_before, 0.0, 0.0  # across the root; the last step but one, and the last
    for _ in range(MOST):
        if f_here != 0 and (f_before > 0) != (f_here > 0):
            other, f_other = before, f_before
            last = step = here - before
        if abs(f_other) < abs(f_here):
            before, here, other = here, other, here
            f_before, f_here, f_other = f_here, f_other, f_here
        smallest = (within + RELATIVE * abs(here)) / 2
        half = (other - here) / 2
        if f_here == 0 or abs(half) < smallest:
            return here
        tried = math.inf
        if abs(last) > smallest and abs(f_here) < abs(f_before):
            if before == other:  # by a line
                tried = -f_here * (here - before) / (f_here - f_before)
            else:  # by an inverse parabola
                to_before, to_other = (f_before - f_here) / (before - here), (f_other - f_here) / (other - here)
                by = to_other * to_before * (f_other - f_before)
                tried = -f_here * (f_other * to_other - f_before * to_before) / by if by else math.inf
        short = 2 * abs(tried) < min(abs(last), 3 * abs(half) - smallest)
        last, step = (step, tried) if short else (half, half)
        before, f_before = here, f_here
        here += step if abs(step) > smallest else math.copysign(smallest, half)
        f_here = f(here)
    raise RuntimeError(f"no root after {MOST} steps from {low} to {high}")
