"""Twenty silhouettes, drawn analytically and kept as blurred tables that one lookup per pixel can sample.

Shapes are unions and differences of polygons, discs and strokes in the square [-1, 1]^2, y down. Only additions,
products and comparisons decide a sample, and every vertex is rounded to a multiple of 1/4096, so that a table has the
same bytes on every machine.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SIDE = 128  # texels along a silhouette
TABLE = 2 * SIDE  # a table is padded to twice that, so that wrapping an index never meets the shape
OPAQUE = 128  # value of full coverage; small enough for int16 products with a byte
WIDTHS = (1, 3, 5, 7, 9)  # box filters, in texels: the footprint of one pixel of the picture
_SAMPLES = 4  # supersampling along each axis
_GRID = (2 * np.arange(SIDE * _SAMPLES) + 1) / (SIDE * _SAMPLES) - 1

Bool = NDArray[np.bool_]
Points = Sequence[tuple[float, float]]


def _dyadic(value: float) -> float:
    return round(value * 4096) / 4096


def _blank() -> Bool:
    return np.zeros((len(_GRID), len(_GRID)), dtype=np.bool_)


def polygon(points: Points) -> Bool:
    """Inside of a closed polygon by the even-odd rule, on the sample grid."""
    inside = _blank()
    corners = [(_dyadic(x), _dyadic(y)) for x, y in points]
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        rows = np.flatnonzero((y0 > _GRID) != (y1 > _GRID))
        if len(rows):
            crossing = x0 + (_GRID[rows] - y0) * ((x1 - x0) / (y1 - y0))
            inside[rows] ^= _GRID[None, :] < crossing[:, None]
    return inside


def disc(x: float, y: float, radius: float, *, squash: float = 1.0) -> Bool:
    """Inside of a circle, or of an ellipse whose height is `squash` times its width."""
    x, y, radius, squash = map(_dyadic, (x, y, radius, squash))
    return (_GRID[None, :] - x) ** 2 + ((_GRID[:, None] - y) / squash) ** 2 < radius * radius


def box(left: float, top: float, right: float, bottom: float) -> Bool:
    """Inside of an upright rectangle."""
    return polygon([(left, top), (right, top), (right, bottom), (left, bottom)])


def stroke(points: Points, width: float) -> Bool:
    """A polyline of the given width with round joints and ends."""
    drawn = _blank()
    half = _dyadic(width / 2)
    corners = [(_dyadic(x), _dyadic(y)) for x, y in points]
    for (x0, y0), (x1, y1) in pairwise(corners):
        rows = slice(*np.searchsorted(_GRID, (min(y0, y1) - half, max(y0, y1) + half)))
        cols = slice(*np.searchsorted(_GRID, (min(x0, x1) - half, max(x0, x1) + half)))
        px, py = _GRID[None, cols] - x0, _GRID[rows, None] - y0
        dx, dy = x1 - x0, y1 - y0
        along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0.0, 1.0)
        drawn[rows, cols] |= (px - along * dx) ** 2 + (py - along * dy) ** 2 < half * half
    return drawn


def _around(count: int, radius: float, start: float = -math.pi / 2) -> list[tuple[float, float]]:
    angles = [start + 2 * math.pi * k / count for k in range(count)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def _symmetric(right: Points) -> list[tuple[float, float]]:
    return [*right, *((-x, y) for x, y in reversed(right))]


def _arrow() -> Bool:
    return polygon([(-0.95, -0.28), (0.1, -0.28), (0.1, -0.78), (0.95, 0), (0.1, 0.78), (0.1, 0.28), (-0.95, 0.28)])


def _bell() -> Bool:
    profile = [(0.0, -0.82), (0.24, -0.76), (0.42, -0.56), (0.5, -0.25), (0.55, 0.1), (0.66, 0.36), (0.92, 0.64)]
    return polygon(_symmetric(profile)) | disc(0, -0.82, 0.13) | disc(0, 0.76, 0.18)


def _bolt() -> Bool:
    return polygon([(0.05, -0.95), (-0.52, 0.14), (-0.1, 0.14), (-0.4, 0.95), (0.6, -0.2), (0.12, -0.2), (0.6, -0.95)])


def _bottle() -> Bool:
    profile = [(0.17, -0.8), (0.17, -0.42), (0.46, -0.08), (0.46, 0.95)]
    return polygon(_symmetric(profile)) | box(-0.25, -0.95, 0.25, -0.74)


def _crescent() -> Bool:
    return disc(0.06, 0, 0.92) & ~disc(0.5, -0.06, 0.74)


def _cross() -> Bool:
    return box(-0.93, -0.3, 0.93, 0.3) | box(-0.3, -0.93, 0.3, 0.93)


def _drop() -> Bool:
    return disc(0, 0.33, 0.61) | polygon([(0, -0.95), (0.3, -0.38), (0.565, 0.1), (-0.565, 0.1), (-0.3, -0.38)])


def _fish() -> Bool:
    tail = polygon([(0.3, 0), (0.95, -0.5), (0.78, 0), (0.95, 0.5)])
    fin = polygon([(-0.2, -0.36), (0.25, -0.62), (0.3, -0.28)])
    return (disc(-0.2, 0, 0.74, squash=0.6) | tail | fin) & ~disc(-0.56, -0.1, 0.09)


def _flower() -> Bool:
    petals = _blank()
    for x, y in _around(5, 0.53):
        petals |= disc(x, y, 0.4)
    return (petals | disc(0, 0, 0.4)) & ~disc(0, 0, 0.2)


def _gear() -> Bool:
    wheel = disc(0, 0, 0.7)
    for x, y in _around(8, 0.94):
        nx, ny = -y * 0.17 / 0.94, x * 0.17 / 0.94  # half the width of a tooth, across its axis
        wheel |= polygon(
            [(x + nx, y + ny), (x - nx, y - ny), (0.3 * x - nx, 0.3 * y - ny), (0.3 * x + nx, 0.3 * y + ny)]
        )
    return wheel & ~disc(0, 0, 0.34)


def _heart() -> Bool:
    return (
        disc(-0.44, -0.36, 0.49)
        | disc(0.44, -0.36, 0.49)
        | polygon([(-0.86, -0.1), (0, -0.45), (0.86, -0.1), (0, 0.92)])
    )


def _house() -> Bool:
    roof = polygon([(-0.96, 0), (0, -0.95), (0.96, 0)])
    return (roof | box(-0.7, -0.1, 0.7, 0.93)) & ~box(-0.2, 0.3, 0.2, 1)


def _key() -> Bool:
    bow = disc(-0.58, 0, 0.38) & ~disc(-0.58, 0, 0.18)
    return bow | box(-0.24, -0.11, 0.95, 0.11) | box(0.42, 0, 0.58, 0.42) | box(0.78, 0, 0.95, 0.46)


def _ladder() -> Bool:
    frame = box(-0.56, -0.95, -0.34, 0.95) | box(0.34, -0.95, 0.56, 0.95)
    for y in (-0.66, -0.22, 0.22, 0.66):
        frame |= box(-0.5, y - 0.09, 0.5, y + 0.09)
    return frame


def _mushroom() -> Bool:
    cap = disc(0, 0.08, 0.95, squash=1.04) & box(-1, -1, 1, 0.08)
    return cap | box(-0.28, 0, 0.28, 0.92)


def _ring() -> Bool:
    return disc(0, 0, 0.93) & ~disc(0, 0, 0.6)


def _spiral() -> Bool:
    turns = [2 * math.pi * 2.4 * k / 120 for k in range(121)]
    return stroke([((0.05 + 0.0525 * t) * math.cos(t), (0.05 + 0.0525 * t) * math.sin(t)) for t in turns], 0.17)


def _star() -> Bool:
    outer, inner = _around(5, 0.97), _around(5, 0.4, -math.pi / 2 + math.pi / 5)
    return polygon([point for pair in zip(outer, inner, strict=True) for point in pair])


def _tree() -> Bool:
    crown = polygon([(0, -0.96), (0.44, -0.4), (-0.44, -0.4)]) | polygon([(0, -0.66), (0.62, 0.1), (-0.62, 0.1)])
    return crown | polygon([(0, -0.3), (0.82, 0.62), (-0.82, 0.62)]) | box(-0.15, 0.5, 0.15, 0.95)


def _wave() -> Bool:
    xs = [-0.84 + 1.68 * k / 40 for k in range(41)]
    curve = [(x, 0.24 * math.sin(7.5 * x)) for x in xs]
    return stroke([(x, y - 0.4) for x, y in curve], 0.24) | stroke([(x, y + 0.4) for x, y in curve], 0.24)


SHAPES: dict[str, Callable[[], Bool]] = {
    "arrow": _arrow,
    "bell": _bell,
    "bolt": _bolt,
    "bottle": _bottle,
    "crescent": _crescent,
    "cross": _cross,
    "drop": _drop,
    "fish": _fish,
    "flower": _flower,
    "gear": _gear,
    "heart": _heart,
    "house": _house,
    "key": _key,
    "ladder": _ladder,
    "mushroom": _mushroom,
    "ring": _ring,
    "spiral": _spiral,
    "star": _star,
    "tree": _tree,
    "wave": _wave,
}


@cache
def silhouette(name: str) -> NDArray[np.uint8]:
    """Coverage of each texel, (SIDE, SIDE) uint8 in 0..OPAQUE. Raises KeyError for a name that is not in `SHAPES`."""
    samples = SHAPES[name]().reshape(SIDE, _SAMPLES, SIDE, _SAMPLES)
    return (samples.sum(axis=(1, 3)) * OPAQUE // _SAMPLES**2).astype(np.uint8)


def _box_sum(values: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Sum over a centred width x width window, zero outside; exact, since it is integer."""
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (width // 2 + 1, width // 2)
        total = np.cumsum(np.pad(values, padding), axis=axis)
        upper, lower = np.split(total, [width], axis=axis)[1], np.split(total, [-width], axis=axis)[0]
        values = upper - lower
    return values


@cache
def table(name: str, width: int) -> NDArray[np.uint16]:
    """Flat lookup table of TABLE x TABLE texels: coverage in the low byte, coverage inside the outline in the high one.

    `width` (one of `WIDTHS`) is the footprint of a pixel in texels: both are box-filtered by it, and the outline
    is about one such pixel wide.
    """
    margin = (TABLE - SIDE) // 2
    coverage = np.pad(silhouette(name).astype(np.int64), margin)
    reach = 2 * round(0.8 * width / 2 + 0.3) + 1
    inside = _box_sum((coverage > OPAQUE // 2).astype(np.int64), reach) == reach * reach
    smooth = _box_sum(coverage, width) // width**2
    inner = _box_sum(inside * OPAQUE, width) // width**2
    return (smooth | inner << 8).astype(np.uint16).ravel()
