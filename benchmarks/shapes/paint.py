"""How a scene gets its pixels: background, silhouettes and noise on a planar int16 canvas (3, S, S).

Parameters are drawn as multiples of small fractions and everything after that is integer arithmetic (or float32
that holds small integers exactly), so that the same bytes come out on every machine.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.shapes import silhouettes

REFERENCE: Final = 64  # all lengths are drawn for a scene of this side and scaled to the side drawn
NAMES: Final[tuple[str, ...]] = tuple(silhouettes.SHAPES)  # alphabetical; the id in a mask is the position here plus 1

Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]

PALETTE: Final = (
    (196, 36, 44),  # red
    (222, 124, 24),  # orange
    (122, 80, 40),  # brown
    (112, 112, 28),  # olive
    (28, 128, 60),  # green
    (22, 126, 138),  # teal
    (44, 74, 196),  # blue
    (128, 50, 158),  # purple
    (206, 58, 138),  # pink
    (48, 52, 58),  # slate
)


@dataclass(frozen=True)
class Placed:
    """One object as placed: enough to draw its mask again without this file."""

    label: int  # 1..20
    centre: tuple[float, float]  # x, y in pixels of the scene, pixel (0, 0) covers [0, 1) x [0, 1)
    extent: tuple[float, float]  # width and height in pixels of the silhouette's square before rotation
    degrees: int  # rotation, clockwise on the screen
    mirror: bool  # left and right exchanged before rotation


def between(draws: Iterator[float], low: int, high: int) -> int:
    """An integer in low..high, both included."""
    return low + int(next(draws) * (high - low + 1))


@cache
def _ramp(size: int) -> NDArray[np.float32]:
    """(size, 4) bilinear weights in whole 32nds: float32 holds the products exactly, so any BLAS gives the same."""
    weights = np.zeros((size, 4), dtype=np.float32)
    for row in range(size):
        step, rest = divmod(((2 * row + 1) * 3 * 32 + size) // (2 * size), 32)
        weights[row, min(step, 3)] += 32 - rest
        weights[row, min(step + 1, 3)] += rest
    return weights


@cache
def _steps(size: int) -> Int16:
    return np.arange(size, dtype=np.int16)


def _window(centre: float, reach: float, size: int) -> slice:
    return slice(max(0, math.floor(centre - reach)), min(size, math.ceil(centre + reach) + 1))


def _clutter(canvas: Int16, draws: Iterator[float], size: int, contrast: int) -> None:
    """Adds one low-contrast blob or line to `canvas` (3, S, S), in place."""
    x, y = between(draws, 0, size - 1), between(draws, 0, size - 1)
    shift = [between(draws, -contrast, contrast) for _ in range(3)]
    tone = between(draws, -contrast, contrast)
    delta = np.array([tone + s // 2 for s in shift], dtype=np.int16)[:, None, None]
    long, thin = between(draws, size // 8, size // 3), between(draws, 1, 2)
    ax, ay = between(draws, -64, 64), between(draws, 8, 64)  # direction of the line, or half axes of the blob
    if next(draws) < 0.5:
        long, rows, cols = long // 2, _window(y, long, size), _window(x, long, size)
        dx, dy = (_steps(size)[cols] - x).astype(np.int32)[None, :], (_steps(size)[rows] - y).astype(np.int32)[:, None]
        covered = dx * dx * (64 + ay) + dy * dy * (160 - ay) < long * long * 36
    else:
        rows, cols = _window(y, long, size), _window(x, long, size)
        dx, dy = (_steps(size)[cols] - x).astype(np.int32)[None, :], (_steps(size)[rows] - y).astype(np.int32)[:, None]
        covered = np.abs(dx * ay - dy * ax) < thin * 48 * size // REFERENCE
    canvas[:, rows, cols] += delta * covered


def background(draws: Iterator[float], size: int, hardness: float) -> Int16:
    """Light muted low-frequency colour with a few blobs and lines, (3, S, S) int16."""
    level, chroma = between(draws, 165, 225), int(26 * hardness)
    tint = [between(draws, -14, 14) for _ in range(3)]
    corners = np.array([level + t + between(draws, -chroma, chroma) for t in tint for _ in range(16)], dtype=np.float32)
    ramp = _ramp(size)
    smooth = ramp @ corners.reshape(3, 4, 4) @ ramp.T
    canvas = (smooth.astype(np.int32) >> 10).astype(np.int16)
    for _ in range(int(hardness * between(draws, 1, 6))):
        _clutter(canvas, draws, size, 24)
    return np.clip(canvas, 0, 255, out=canvas)


def _pattern(
    draws: Iterator[float], u: NDArray[np.int32], v: NDArray[np.int32], patterned: float
) -> NDArray[np.bool_] | None:
    """Where the second colour of a fill goes, from 16.16 texel coordinates; None for a plain fill."""
    kind, step, diagonal, across = next(draws), between(draws, 18, 20), next(draws) < 0.3, next(draws) < 0.5
    if kind >= patterned:
        return None
    if kind < patterned / 3:  # stripes
        along = (u + v) // 2 if diagonal else u if across else v
        return (along >> step & 1).astype(np.bool_)
    if kind < 2 * patterned / 3:  # checks
        return ((u ^ v) >> step & 1).astype(np.bool_)
    period = (2 << step) - 1  # dots
    du, dv = ((u & period) >> (step - 4)) - 16, ((v & period) >> (step - 4)) - 16
    return du * du + dv * dv < 90


def _affine(placed: Placed) -> tuple[int, int, int, int]:
    """Texels per pixel as 16.16 integers: u = a dx + b dy, v = c dx + d dy for an offset (dx, dy) from the centre."""
    width, height = placed.extent
    cos, sin = (round(f(math.radians(placed.degrees)) * 4096) / 4096 for f in (math.cos, math.sin))
    across, down = 65536 * silhouettes.SIDE / width, 65536 * silhouettes.SIDE / height
    sign = -1 if placed.mirror else 1
    return round(sign * cos * across), round(sign * sin * across), round(-sin * down), round(cos * down)


def paint(
    canvas: Int16, mask: NDArray[np.uint8] | None, placed: Placed, draws: Iterator[float], patterned: float
) -> None:
    """Blends one object into `canvas` (3, S, S), and writes its label into `mask` where it covers over half of a pixel.

    Both in place; `mask` (S, S) may be None. `patterned` is the probability of a fill that is not plain.
    """
    size = canvas.shape[1]
    (x, y), (width, height) = placed.centre, placed.extent
    cos, sin = math.cos(math.radians(placed.degrees)), abs(math.sin(math.radians(placed.degrees)))
    cols = _window(x, (width * cos + height * sin) / 2 + 1, size)
    rows = _window(y, (width * sin + height * cos) / 2 + 1, size)
    a, b, c, d = _affine(placed)
    dx, dy = (2 * _steps(size)[cols] + 1).astype(np.int32), (2 * _steps(size)[rows] + 1).astype(np.int32)[:, None]
    x2, y2, middle = round(2 * x * 16), round(2 * y * 16), silhouettes.TABLE << 15
    u = a * dx // 2 + (b * dy // 2 + (middle - (a * x2 + b * y2) // 32))
    v = c * dx // 2 + (d * dy // 2 + (middle - (c * x2 + d * y2) // 32))
    footprint = min(max(round((silhouettes.SIDE / min(width, height) - 1) / 2), 0), len(silhouettes.WIDTHS) - 1)
    texels = silhouettes.table(NAMES[placed.label - 1], silhouettes.WIDTHS[footprint])
    sampled = texels.take((v >> 8 & 0xFF00) | (u >> 16 & 0xFF))
    alpha, inner = (sampled & 0xFF).astype(np.int16), (sampled >> 8).astype(np.int16)
    fill = _fill(draws, u, v, patterned)
    region = canvas[:, rows, cols]
    outline = between(draws, 16, 44)
    fill -= outline
    fill *= inner
    fill >>= 7
    fill += outline
    fill -= region
    fill *= alpha
    fill >>= 7
    region += fill
    if mask is not None:
        np.copyto(mask[rows, cols], np.uint8(placed.label), where=alpha > silhouettes.OPAQUE // 2)


def _fill(draws: Iterator[float], u: NDArray[np.int32], v: NDArray[np.int32], patterned: float) -> Int16:
    """Colour of an object before its outline, (3, h, w) int16 within 0..255."""
    colour = [min(max(c + between(draws, -18, 18), 8), 232) for c in PALETTE[between(draws, 0, len(PALETTE) - 1)]]
    darker = between(draws, 40, 66)  # percent of the first colour
    east, south = between(draws, -20, 20), between(draws, -20, 20)
    second = _pattern(draws, u, v, patterned)
    shade = ((u >> 16) * east + (v >> 16) * south - silhouettes.SIDE * (east + south) >> 7).astype(np.int16)
    first = np.array(colour, dtype=np.int16)[:, None, None]
    if second is None:
        fill = first + shade
    else:
        other = np.array([c * darker // 100 for c in colour], dtype=np.int16)[:, None, None]
        fill = np.where(second, other, first)
        fill += shade
    return np.clip(fill, 0, 255, out=fill)


def finish(canvas: Int16, rng: np.random.Generator, strength: int) -> NDArray[np.uint8]:
    """Adds pixel noise and gives (S, S, 3) uint8."""
    noise = rng.integers(0, 256, size=canvas.shape, dtype=np.uint8).astype(np.int16)
    noise -= 128
    noise *= strength
    noise >>= 7
    canvas += noise
    np.clip(canvas, 0, 255, out=canvas)
    return np.ascontiguousarray(canvas.astype(np.uint8).transpose(1, 2, 0))
