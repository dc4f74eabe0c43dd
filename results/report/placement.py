"""Where axes and labels stand, from the lengths of texts alone: no figure is drawn to find out.

Lengths are in inches where a figure is laid out, and in points (1/72 inch) where labels are placed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

INCH = 72.0  # points
BESIDE = (24.0, 8.0)  # points, across and up: what stands so near to a point reads as its name
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top
Boxes = NDArray[np.float64]
_WAYS = np.array(  # around a point; right is read first
    [
        *((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1)),
        *product((1, -1), (0.5, -0.5)),
        *product((0.5, -0.5), (1, -1)),
    ]
)
_RADII = np.array([5.0, 10.0, 16.0, 24.0, 34.0, 46.0, 60.0, 80.0, 110.0, 150.0, 200.0])


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
    inside, where that is possible; `bars` are covered rather than that, but not without need, and the place beside a
    point is left to its own label.
    """
    solid = [_around(point, 3, 3) for point in points]
    inside = np.array([(0.0, 0.0, *area)])
    corners = []
    for i, (point, size) in enumerate(zip(points, sizes, strict=True)):
        soft = [*bars, *(_around(other, *BESIDE) for j, other in enumerate(points) if j != i)]
        boxes, far = _candidates(point, size)
        covered, crossed = shared(boxes, np.array(solid)), shared(boxes, np.array(soft).reshape(-1, 4))
        outside = size[0] * size[1] - shared(boxes, inside)[:, 0]
        cost = far + covered.sum(1) + 100 * (covered > 0).sum(1) + 3 * (crossed > 0).sum(1)
        x, y = boxes[np.argmin(cost + np.where(outside > 1e-6, 1000 + outside, 0))][:2]
        corners.append((float(x), float(y)))
        solid.append((x, y, x + size[0], y + size[1]))
    return corners


def _candidates(point: Point, size: Point) -> tuple[Boxes, Boxes]:
    """Boxes all around a point, near ones first, `(K, 4)`, and what their distances cost, `(K,)`."""
    ways = np.tile(_WAYS, (len(_RADII), 1))
    radii = np.repeat(_RADII, len(_WAYS))
    low = point + radii[:, None] * ways / np.linalg.norm(ways, axis=1)[:, None] - np.array(size) * (1 - ways) / 2
    return np.hstack([low, low + size]), radii / 10


def _around(point: Point, across: float, up: float) -> Box:
    return (point[0] - across, point[1] - up, point[0] + across, point[1] + up)


def shared(some: Boxes, others: Boxes) -> Boxes:
    """The areas that boxes share, each `(K, 4)` with each `(M, 4)`: `(K, M)`."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    return np.maximum(high - low, 0).prod(2)
