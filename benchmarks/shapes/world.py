"""The procedural world: scenes of one to three silhouettes on a light, muted, cluttered background.

Every scene follows from (seed, index) alone, byte for byte on every machine. Dark objects with a dark outline on a
light background are deliberate: with random polarity a contrastive model this small does not leave chance.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.shapes.paint import NAMES, REFERENCE, Placed, background, between, finish, paint

__all__ = [
    "BACKGROUND",
    "BODY_PARTS",
    "CLIP_PARTS",
    "NAMES",
    "PARTS",
    "REFERENCE",
    "Part",
    "Picture",
    "Placed",
    "Scene",
    "render_picture",
    "render_scene",
]

BACKGROUND: Final = 0  # its id in a mask; a class has its position in NAMES plus 1


@dataclass(frozen=True)
class Part:
    """A part of the world: scenes 0..count-1 of one seed."""

    seed: int
    count: int


PARTS: Final[dict[str, Part]] = {"train": Part(11, 1500), "tune": Part(12, 300), "val": Part(13, 500)}
# Behind the tiny CLIP: pictures it learnt from, what decided when to stop, what its recorded figures are for.
CLIP_PARTS: Final[dict[str, Part]] = {"pretrain": Part(21, 10**9), "gate": Part(22, 400), "check": Part(23, 1000)}
# Behind the pretrained small body: pictures it learnt the names of, and those its recorded accuracy is for.
BODY_PARTS: Final[dict[str, Part]] = {"pretrain": Part(31, 10**9), "check": Part(32, 2000)}


@dataclass(frozen=True)
class Scene:
    """A picture with its labels."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    mask: NDArray[np.uint8]  # (H, W), 0 = background, 1..20 = position in NAMES plus 1
    objects: tuple[Placed, ...]  # later ones occlude earlier ones


@dataclass(frozen=True)
class Picture:
    """A picture with the names of what is on it, and nothing about where: what image-caption training may see."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    names: tuple[str, ...]


def _generator(kind: str, seed: int, index: int) -> np.random.Generator:
    """A generator of its own for each named thing: scenes and pictures of equal seed and index share nothing."""
    digest = hashlib.sha256(f"shapes/{kind}/seed={seed}/index={index}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def _labels(draws: Iterator[float], count: int) -> list[int]:
    """`count` different labels."""
    left = list(range(1, len(NAMES) + 1))
    return [left.pop(between(draws, 0, len(left) - 1)) for _ in range(count)]


def _shape(
    draws: Iterator[float], low: int, high: int, tilt: int, mirrored: bool
) -> tuple[tuple[float, float], int, bool]:
    """Extent in pixels (sixteenths), rotation and mirroring of one object whose larger side is low..high sixteenths."""
    side, aspect = between(draws, low, high), between(draws, 84, 118)
    width, height = (side, side * 100 // aspect) if aspect >= 100 else (side * aspect // 100, side)
    degrees, mirror = between(draws, -tilt, tilt), next(draws) < 0.5
    return (width / 16, height / 16), degrees, mirror and mirrored


def _centre(draws: Iterator[float], reach: float, taken: list[Placed]) -> tuple[float, float]:
    """A place in the reference scene, the roomiest of six: mostly inside, seldom on top of another object."""
    best, place = -math.inf, (0.0, 0.0)
    margin = round(reach * 0.8 * 16)
    for _ in range(6):
        x, y = (between(draws, margin, REFERENCE * 16 - margin) / 16 for _ in range(2))
        gaps = [math.dist((x, y), o.centre) - reach - max(o.extent) / 2 for o in taken]
        room = min([*gaps, 0.0])
        if room > best:
            best, place = room, (x, y)
    return place


def render_scene(seed: int, index: int, *, size: int = REFERENCE) -> Scene:
    """Draws scene `index` of `seed` at `size` x `size` pixels.

    One to three objects of different classes, 20 to 44 pixels large in a scene of 64. The same seed and index give the
    same objects at every size. Raises ValueError when `size` is not in 16..256 or an argument is negative.
    """
    _check(seed, index, size)
    rng = _generator("scene", seed, index)
    draws = iter(rng.random(256).tolist())
    canvas = background(draws, size, 1.0)
    mask = np.full((size, size), BACKGROUND, dtype=np.uint8)
    taken: list[Placed] = []
    for label in _labels(draws, between(draws, 1, 3)):
        extent, degrees, mirror = _shape(draws, 20 * 16, 44 * 16, 30, True)
        taken.append(Placed(label, _centre(draws, max(extent) / 2, taken), extent, degrees, mirror))
    objects = tuple(_scaled(placed, size / REFERENCE) for placed in taken)
    for placed in objects:
        paint(canvas, mask, placed, draws, 0.6)
    return Scene(finish(canvas, rng, between(draws, 3, 14)), mask, objects)


def render_picture(seed: int, index: int, *, size: int = REFERENCE, hardness: float = 1.0) -> Picture:
    """Draws a picture of one object, 20 to 44 pixels large (at most 92 % of the picture), for image-caption training.

    `hardness` in [0, 1] is the curriculum: 0 is one large upright plain object in the middle of a calm background, 1 is
    as varied as a scene. Picture `index` shows class `index % 20`. Raises ValueError as `render_scene` does.
    """
    _check(seed, index, size)
    if not 0 <= hardness <= 1:
        raise ValueError(f"hardness {hardness}; expected a number in [0, 1], 1 for pictures as varied as the scenes")
    rng = _generator("picture", seed, index)
    draws = iter(rng.random(192).tolist())
    canvas = background(draws, size, hardness)
    label = index % len(NAMES) + 1
    largest = min(44 * 16, size * 16 * 92 // 100)
    smallest = largest - int((largest - min(20 * 16, largest)) * (0.2 + 0.8 * hardness))
    extent, degrees, mirror = _shape(draws, smallest, largest, int(30 * hardness), hardness > 0.5)
    spare = max(0, int((size - 0.9 * max(extent)) * 8 * min(1.0, 0.1 + hardness)))
    x, y = (size / 2 + between(draws, -spare, spare) / 16 for _ in range(2))
    paint(canvas, None, Placed(label, (x, y), extent, degrees, mirror), draws, 0.6 * hardness)
    return Picture(finish(canvas, rng, between(draws, 3, 4 + int(10 * hardness))), (NAMES[label - 1],))


def _scaled(placed: Placed, scale: float) -> Placed:
    (x, y), (width, height) = placed.centre, placed.extent
    return replace(placed, centre=(x * scale, y * scale), extent=(width * scale, height * scale))


def _check(seed: int, index: int, size: int) -> None:
    if seed < 0 or index < 0 or not 16 <= size <= 256:
        raise ValueError(
            f"render of seed {seed}, index {index}, size {size}: seed and index must not be negative and the size lies "
            "in 16..256; take them from PARTS and a size such as 64"
        )
