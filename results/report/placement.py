"""Where axes and labels stand, from the lengths of texts alone: no figure is drawn to find out.

Lengths are in inches where a figure is laid out, and in points (1/72 inch) where labels are placed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

INCH = 72.0  # points
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top
_AROUND = ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1))  # of a point: right is read first
_RADII = (5.0, 10.0, 16.0, 24.0, 34.0, 46.0, 60.0, 80.0, 110.0)


@cache
def text_width(text: str, size: float) -> float:
    """How long a text is, in inches."""
    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0]) / INCH


def widest(texts: Iterable[str], size: float) -> float:
    """The length of the longest text."""
    return max((text_width(text, size) for text in texts), default=0.0)


def axes_in(size: tuple[float, float], *, left: float, bottom: float, right: float, top: float) -> tuple[Figure, Axes]:
    """Axes of a size in a figure with these margins, in inches."""
    width, height = left + size[0] + right, bottom + size[1] + top
    figure = Figure(figsize=(width, height))
    return figure, figure.add_axes((left / width, bottom / height, size[0] / width, size[1] / height))


def apart(values: Sequence[float], step: float, low: float, high: float) -> list[float]:
    """The values moved as little as keeps them a step apart, and between low and high where there is room for all."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    moved = list(values)
    for ranked, limit, sign in ((order, low, 1), (order[::-1], high, -1)):
        for i in ranked:
            moved[i] = sign * max(sign * moved[i], sign * limit)
            limit = moved[i] + sign * step
    return moved


def place(points: Sequence[Point], sizes: Sequence[Point], area: Point, bars: Sequence[Box] = ()) -> list[Point]:
    """Where labels of these sizes stand beside their points, as lower left corners: greedy, the same on every call.

    area: width and height; points: in it, as all of this in points. A label covers no other, nor a point, and stays
    inside, where that is possible; `bars` are covered rather than that, but not without need.
    """
    solid: list[Box] = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    corners = []
    for point, size in zip(points, sizes, strict=True):
        found = min(_candidates(point, size), key=lambda c: _cost(_box(c[1], size), solid, bars, area) + c[0])[1]
        corners.append(found)
        solid.append(_box(found, size))
    return corners


def _candidates(point: Point, size: Point) -> Iterator[tuple[float, Point]]:
    """Corners all around, near ones first, with what their distance costs."""
    for radius in _RADII:
        for across, up in _AROUND:
            r = radius / math.hypot(across, up)
            x = point[0] + r * across - size[0] * (1 - across) / 2
            yield radius / 10, (x, point[1] + r * up - size[1] * (1 - up) / 2)


def _box(corner: Point, size: Point) -> Box:
    return (*corner, corner[0] + size[0], corner[1] + size[1])


def _cost(box: Box, solid: Iterable[Box], bars: Iterable[Box], area: Point) -> float:
    covered = sum(100.0 + shared(box, other) for other in solid if shared(box, other) > 0)
    crossed = sum(2.0 for bar in bars if shared(box, bar) > 0)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - shared(box, (0.0, 0.0, *area))
    return covered + crossed + (1000.0 + outside if outside > 1e-6 else 0.0)


def shared(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0.0) * max(up, 0.0)
