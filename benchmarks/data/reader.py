"""What a data set is to the harness: ordered ids, and for each a picture with its mask. And decoding, written once.

A new data set is one subclass of `Reader` and one line in `benchmarks.data.datasets`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splits.errors import DataError
from splits.loader import ids_sha256

Watch = Callable[[int, int], None]  # called with how many are done, of how many
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM", "GIF")  # not all of Pillow's: it hands some to other programs


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture with its truth."""

    id: str
    image: NDArray[np.uint8]  # (H, W, 3) RGB
    mask: NDArray[np.uint8]  # (H, W), the data set's own ids


class Reader(ABC):
    """One part of a data set. Reading never depends on what was read before."""

    ids: tuple[str, ...]  # in the order of the list
    partial: bool  # True where listed ids are left out because their files are not there
    mask_rule: str  # how the masks came to be; part of the protocol
    year: str = ""  # the edition, where a data set has several; part of the protocol

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def read(self, index: int) -> Sample:
        """The sample `ids[index]`. Raises DataError (one line) where a file is missing, broken or of the wrong kind."""

    def mask(self, index: int) -> NDArray[np.uint8]:
        """The mask of `ids[index]` alone, `(H, W)`: readers of files need not decode the picture for it."""
        return self.read(index).mask

    def prepare(self, watch: Watch = lambda done, total: None, jobs: int = 1) -> None:  # noqa: B027
        """Make once what reading needs and the data set has not; `watch` follows it. Safe to call again."""

    def content_sha256(self) -> str:
        """sha256 (hex) of the ids used, one a line, in order: that of the list's file where nothing is left out."""
        return ids_sha256(self.ids)


def opened(path: Path, what: str) -> Image.Image:
    """The decoded file; raises DataError where it is missing, truncated or no picture."""
    try:
        image = Image.open(path, formats=FORMATS)
        image.load()
    except FileNotFoundError:
        raise DataError(f"{what} {path} is missing") from None
    except Exception as error:  # Pillow's decoders let through whatever a broken file makes them raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{what} {path} cannot be decoded ({reason}); the file is broken: copy it again") from None
    return image


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture as `(H, W, 3)` uint8 RGB; greyscale becomes RGB. Raises DataError where it is missing or broken."""
    return np.array(opened(path, "image").convert("RGB"))


def read_mask(path: Path, legal: Collection[int]) -> NDArray[np.uint8]:
    """A mask as `(H, W)` uint8 ids; a palette PNG yields its indices.

    Raises DataError where the file is missing or broken, is a colour or 16-bit picture, or holds an id not in `legal`.
    """
    return np.array(mask_picture(path, legal))


def mask_picture(path: Path, legal: Collection[int]) -> Image.Image:
    """A checked mask as Pillow has it, with its palette if it has one. Raises as `read_mask`."""
    picture = opened(path, "mask")
    if picture.mode not in ("L", "P"):
        raise DataError(
            f"mask {path} is a picture of mode {picture.mode}, expected one byte of class id a pixel (greyscale or "
            "palette PNG); masks drawn in colours must be turned back into ids"
        )
    if illegal := [id_ for id_, pixels in enumerate(picture.histogram()) if pixels and id_ not in legal]:
        shown = ", ".join(map(str, illegal[:8])) + (", ..." if len(illegal) > 8 else "")
        raise DataError(
            f"mask {path} holds ids {shown}, expected {spans(legal)}; is it a mask of another data set, or one "
            "drawn in colours and turned grey?"
        )
    return picture


def spans(ids: Collection[int]) -> str:
    """Ids in words: `0..20, 255`."""
    words: list[str] = []
    rest = sorted(ids)
    while rest:
        end = next((i for i, value in enumerate(rest) if value != rest[0] + i), len(rest))
        words.append(str(rest[0]) if end == 1 else f"{rest[0]}..{rest[end - 1]}")
        rest = rest[end:]
    return ", ".join(words)


def paired(id_: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Sample:
    """A sample, or DataError where picture and mask differ in size."""
    if image.shape[:2] != mask.shape:
        raise DataError(
            f"{id_}: the image is {image.shape[1]}x{image.shape[0]} and its mask {mask.shape[1]}x{mask.shape[0]} "
            "pixels (width x height); they must be equal: one of the two files is resized or belongs to another picture"
        )
    return Sample(id_, image, mask)
