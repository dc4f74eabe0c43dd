"""One look for each method, in all figures of a page: colours that colour-blind readers tell apart, lines and markers.

The colours are those of Okabe and Ito (Color Universal Design, 2008), without the yellow, which is faint on white. More
methods than colours differ in line style and marker besides. What looks at no image is grey, and takes no colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from methods.registry import METHODS

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")
MARKERS = "osD^vP*Xh<"
FLOOR = "#7f7f7f"


@dataclass(frozen=True)
class Look:
    """How a method is drawn."""

    colour: str
    line: Any
    marker: str


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, by its place among those of its kind."""
    unique = dict.fromkeys(names)
    floors = [name for name in unique if name in METHODS and METHODS[name].needs == "nothing"]
    others = [name for name in unique if name not in floors]
    return {name: _look(i, COLOURS) for i, name in enumerate(others)} | {
        name: _look(i, (FLOOR,)) for i, name in enumerate(floors)
    }


def _look(i: int, colours: Sequence[str]) -> Look:
    return Look(colours[i % len(colours)], LINES[i // len(colours) % len(LINES)], MARKERS[i % len(MARKERS)])
