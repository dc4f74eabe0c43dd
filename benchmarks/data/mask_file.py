"""One way to open a file of class ids, truth or prediction: the numbers that are stored, never greys made of them.

A palette yields its indices, grey of 1, 2, 4, 8 or 16 bits its values. Files whose ids may have been changed on the way
are refused by name: lossy formats, colours, values counted from white or stretched from a maximum, EXIF turns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.data.picture_file import picture
from splits.errors import DataError

Colour = tuple[int, int, int]
Mask = NDArray[
    np.unsignedinteger[Any]
]  # of a byte, or of 16 bits where the data set has an id that a byte does not hold
BYTES: Final = 256
VALUES: Final = 65536
MODES: Final = frozenset({"1", "L", "P", "I;16", "I;16B", "I;16L", "I;16N", "I"})
LOSSY: Final = {  # by format, and of TIFF by compression too
    **{"JPEG": "JPEG", "MPO": "JPEG", "WEBP": "WebP"},
    **dict.fromkeys(("TIFF jpeg", "TIFF tiff_jpeg"), "JPEG within a TIFF"),
    "TIFF webp": "WebP within a TIFF",
}
STRETCHED: Final = {2: 255 // 3, 4: 255 // 15}  # Pillow's factor for grey of so few bits


@dataclass(frozen=True, eq=False)
class RawMask:
    """What a file holds."""

    values: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int32]  # (H, W), as stored
    palette: tuple[Colour, ...] | None = None  # colour of each index

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.values.shape[1], self.values.shape[0]


def read_raw(path: Path, what: str = "mask", content: bytes | None = None) -> RawMask:
    """The stored numbers of a file; raises DataError where it is missing or broken, or its numbers are no ids."""
    with picture(path, what, content) as opened:
        image = opened.image
        if lossy := LOSSY.get(image.format or "") or LOSSY.get(f"{image.format} {image.info.get('compression')}"):
            raise DataError(
                f"{what} {path} is a {lossy} whatever its name: its compression changes ids at every edge; expected "
                "the original as PNG"
            )
        if image.mode not in MODES:
            raise DataError(
                f"{what} {path} is a picture of mode {image.mode}, expected one class id a pixel (greyscale or palette "
                "PNG); masks drawn in colours must be turned back into ids"
            )
        if opened.from_white or opened.stretched:
            raise DataError(
                f"{what} {path} is a {image.format} that counts from white, or up to a maximum of its own, which "
                "changes ids; save it as PNG"
            )
        if opened.orientation != 1:
            raise DataError(
                f"{what} {path} has an EXIF orientation; turn its pixels as they are meant and take the tag out"
            )
        values = np.array(image)
        colours = _colours(image) if image.mode == "P" else None
        if image.mode == "1":
            values = values.astype(np.uint8)
        elif image.mode == "L" and opened.bits in STRETCHED:
            values = values // np.uint8(STRETCHED[opened.bits])
    return RawMask(values, colours)


def places(values: Iterable[int]) -> int:
    """Length of a table of mask values: of a byte, or of 16 bits where one of these is larger."""
    return BYTES if max(values, default=0) < BYTES else VALUES


def read_mask(path: Path, legal: Collection[int]) -> Mask:
    """A mask as `(H, W)` ids, uint8, or uint16 where a legal id is larger.

    Raises DataError as `read_raw`, and where it holds an id not in `legal`.
    """
    values = read_raw(path).values
    if problem := illegal_words(path, np.unique(values).tolist(), legal):
        raise DataError(problem)
    type_: type[np.unsignedinteger[Any]] = np.uint8 if places(legal) == BYTES else np.uint16
    return values.astype(type_, copy=False)


def illegal_words(path: Path, there: Collection[int], legal: Collection[int]) -> str:
    """What is wrong with a mask that holds these values; empty where all are legal."""
    illegal = [value for value in sorted(there) if value not in legal]
    if not illegal:
        return ""
    shown = ", ".join(map(str, illegal[:8])) + (", ..." if len(illegal) > 8 else "")
    return (
        f"mask {path} holds ids {shown}, expected {spans(legal)}; is it a mask of another data set, or one "
        "drawn in colours and turned grey? (the TOML of your own data set names each value: in `ids`, `background` or "
        "`ignore`)"
    )


def spans(ids: Collection[int]) -> str:
    """Ids in words: `0..20, 255`."""
    words: list[str] = []
    rest = sorted(ids)
    while rest:
        end = next((i for i, value in enumerate(rest) if value != rest[0] + i), len(rest))
        words.append(str(rest[0]) if end == 1 else f"{rest[0]}..{rest[end - 1]}")
        rest = rest[end:]
    return ", ".join(words)


def _colours(image: Image.Image) -> tuple[Colour, ...]:
    flat = image.getpalette("RGB") or []
    return tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=False))
