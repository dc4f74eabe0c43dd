"""What one file of a data set holds, found in one reading: its sha256, and what the checks of a whole set go by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.mask_file import read_raw
from benchmarks.data.photo_file import Size, stored_size, to_rgb
from benchmarks.data.picture_file import picture
from splits.errors import DataError

Kind = Literal["photo", "mask"]
VERSION: Final = 4  # raised whenever other facts are found in the same file
BAND: Final = 3  # pixels: how far interpolation between two ids is looked for


@dataclass(frozen=True)
class PhotoFacts:
    """Of a photo."""

    sha256: str = ""  # empty where it cannot be read
    problem: str = ""  # why it cannot be decoded
    size: Size = (0, 0)  # as stored
    orientation: int = 1


@dataclass(frozen=True)
class MaskFacts:
    """Of a mask."""

    sha256: str = ""
    problem: str = ""
    size: Size = (0, 0)
    values: dict[int, int] = field(default_factory=dict)  # pixels of each stored number
    colours: dict[int, str] = field(default_factory=dict)  # of those numbers, where a palette gives them any
    palette: str = ""  # which palette, by digest
    seams: tuple[int, ...] = ()  # numbers that lie only between a smaller and a larger one
    steps: tuple[int, int] = (0, 0)  # by two and more: at once, and over a band of one between


Facts = PhotoFacts | MaskFacts


def photo_facts(path: Path) -> PhotoFacts:
    """Decode a photo; JPEGs at an eighth of their size, which reads them to their end."""
    content, sha256, problem = _read(path, "image")
    if problem:
        return PhotoFacts(problem=problem)
    try:
        with picture(path, "image", content) as opened:
            size = stored_size(opened)
            opened.image.draft("RGB", (max(1, size[0] // 8), max(1, size[1] // 8)))
            to_rgb(opened, path)
    except DataError as error:
        return PhotoFacts(sha256, str(error))
    return PhotoFacts(sha256, "", size, opened.orientation)


def mask_facts(path: Path) -> MaskFacts:
    """Decode a mask and count."""
    content, sha256, problem = _read(path, "mask")
    if problem:
        return MaskFacts(problem=problem)
    try:
        mask = read_raw(path, "mask", content)
    except DataError as error:
        return MaskFacts(sha256, str(error))
    values, palette = counted(mask.values), mask.palette or ()
    return MaskFacts(
        sha256,
        "",
        mask.size,
        values,
        {v: bytes(palette[v]).hex() for v in values if v < len(palette)},
        hashlib.sha256(repr(palette).encode()).hexdigest()[:8] if palette else "",
        seams(mask.values),
        steps(mask.values),
    )


FINDERS: Final[dict[Kind, Callable[[Path], Facts]]] = {"photo": photo_facts, "mask": mask_facts}


def packed(facts: Facts) -> list[Any]:
    """As JSON keeps it."""
    return list(astuple(facts))


def unpacked(kind: Kind, row: Sequence[Any]) -> Facts:
    """From JSON; raises TypeError, ValueError, AttributeError or IndexError for what `packed` did not write."""
    sha256, problem, size = str(row[0]), str(row[1]), (int(row[2][0]), int(row[2][1]))
    if kind == "photo":
        return PhotoFacts(sha256, problem, size, int(row[3]))
    values, colours = ({int(key): value for key, value in column.items()} for column in row[3:5])
    return MaskFacts(
        sha256, problem, size, values, colours, str(row[5]), tuple(row[6]), (int(row[7][0]), int(row[7][1]))
    )


def counted(values: NDArray[Any]) -> dict[int, int]:
    """Pixels of each number that is there.

    >>> counted(np.array([[3, 3], [0, 3]], np.uint8))
    {0: 1, 3: 3}
    """
    if values.dtype == np.uint8:
        pixels = np.bincount(values.ravel(), minlength=256)
        there = np.flatnonzero(pixels)
        return dict(zip(there.tolist(), pixels[there].tolist(), strict=True))
    there, pixels = np.unique(values, return_counts=True)
    return dict(zip(there.tolist(), pixels.tolist(), strict=True))


def seams(values: NDArray[Any]) -> tuple[int, ...]:
    """Numbers that lie only along seams: nearly all their pixels are near a smaller and near a larger number.

    Interpolation between two ids makes such bands. What was drawn has an inside, or neighbours on one side alone.
    """
    if values.max(initial=0) > 255 or values.min(initial=0) < 0 or not values.size:
        return ()
    import cv2  # only those who look at whole data sets need it

    mask = values.astype(np.uint8)
    square = np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)
    low, high = cv2.erode(mask, square), cv2.dilate(mask, square)  # beyond the edge nothing counts
    inside = np.bincount(mask[low == high], minlength=256)
    between = np.bincount(mask[(low < mask) & (mask < high)], minlength=256)
    pixels = np.bincount(mask.ravel(), minlength=256)
    return tuple(np.flatnonzero((between >= 0.9 * pixels) & (inside == 0) & (pixels > 0)).tolist())


def steps(values: NDArray[Any]) -> tuple[int, int]:
    """Where numbers that differ by two and more meet along rows and columns: at once, and over a band of one between.

    Interpolation leaves hardly a place where they meet at once, also where the number between is drawn elsewhere.

    >>> steps(np.array([[0, 0, 2, 2], [0, 1, 2, 2]]))
    (1, 1)
    """
    at_once = over_one = 0
    for lines in (values, values.T):
        flat, length = lines.ravel(), lines.shape[1]
        at = np.flatnonzero(flat[1:] != flat[:-1])
        at = at[(at + 1) % length != 0]  # from one line to the next is no step
        step = flat[at + 1].astype(np.int64) - flat[at]
        near = (np.diff(at) <= BAND) & (at[1:] // length == at[:-1] // length)
        at_once += int((abs(step) > 1).sum())
        over_one += int((near & ((step[1:] > 0) == (step[:-1] > 0))).sum())
    return at_once, over_one


def _read(path: Path, what: str) -> tuple[bytes, str, str]:
    """Content, sha256, and why there is neither."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b"", "", f"{what} {path} is {'a link to nowhere' if path.is_symlink() else 'missing'}"
    except OSError as error:
        return b"", "", f"{what} {path} cannot be read ({error.strerror})"
    return content, hashlib.sha256(content).hexdigest(), ""
