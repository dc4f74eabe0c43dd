"""One look for each method, in all figures of a page: colours that colour-blind readers tell apart, lines and markers.

The colours are those of Okabe and Ito (Color Universal Design, 2008), without the yellow, which is faint on white. More
methods than colours differ in line style and marker besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")
MARKERS = "osD^vP*Xh<"


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    colour: str
    line: Any
    marker: str


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, by its place."""
    unique = list(dict.fromkeys(names))
    return {name: _look(i) for i, name in enumerate(unique)}


def _look(i: int) -> Look:
    return Look(COLOURS[i % len(COLOURS)], LINES[i // len(COLOURS) % len(LINES)], MARKERS[i % len(MARKERS)])
