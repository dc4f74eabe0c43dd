"""One way to open a photo: 8-bit RGB, turned as its mask is. What would have to be guessed is refused by name.

An EXIF orientation is applied where the mask has the size of the upright picture, and left out where it has that of the
stored one. Sizes tell nothing of half turns, mirrors and squares: such a photo is refused, unless it is one of an
official set, whose masks are drawn on the stored pictures. Without a mask a photo is read upright.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.data.picture_file import Opened, described, picture
from splits.errors import DataError

Size = tuple[int, int]  # width, height
Turn = Literal["refuse", "stored"]  # of a photo whose mask fits both ways

UPRIGHT: Final = {  # EXIF orientation -> what makes the stored picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BACK: Final = UPRIGHT | {6: UPRIGHT[8], 8: UPRIGHT[6]}  # the other way
SIDEWAYS: Final = frozenset({5, 6, 7, 8})  # width and height change places
EIGHT_BITS: Final = frozenset({"1", "L", "P", "RGB", "RGBX", "RGBA", "RGBa", "LA", "La", "PA", "CMYK", "YCbCr"})
DEEP_GREY: Final = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
SURELY_16: Final = 2**14  # a 16-bit picture that stays below may hold samples of 12 or 14 bits
ADVICE: Final = "scale it to 8 bits yourself"


def read_image(path: Path, mask_size: Size | None = None, undecided: Turn = "refuse") -> NDArray[np.uint8]:
    """A photo as `(H, W, 3)` uint8 RGB; mask_size: width and height of its mask, which decide how it is turned.

    Grey becomes RGB; samples of 16 bits are cut to their upper 8, CMYK is turned by the plain formula. Raises DataError
    where the file is missing or broken, has transparent pixels or values of no known scale, or a turn that is not told.
    """
    with picture(path, "image") as opened:
        orientation = opened.orientation
        upright = opened.image.format == "TIFF"  # Pillow turns these while it decodes them
        wanted = _upright(path, stored_size(opened), orientation, mask_size, undecided)
        rgb = to_rgb(opened, path)
    if orientation != 1 and wanted != upright:
        rgb = rgb.transpose((UPRIGHT if wanted else BACK)[orientation])
    return np.array(rgb)


def in_memory(image: Image.Image) -> NDArray[np.uint8]:
    """A Pillow image as `(H, W, 3)` uint8 RGB, its pixels as they lie. Raises DataError as `read_image`."""
    return np.array(to_rgb(described(image), Path("in memory")))


def turn_problems(
    path: Path, mask: Path, stored: Size, orientation: int, mask_size: Size, undecided: Turn = "refuse"
) -> list[str]:
    """Why a photo of this size and EXIF orientation cannot be laid under its mask; empty where it can."""
    upright = stored[::-1] if orientation in SIDEWAYS else stored
    if mask_size not in (stored, upright):
        return [
            f"{mask} is {mask_size[0]}x{mask_size[1]} pixels and its image {stored[0]}x{stored[1]} (width x height): "
            "one of the two is resized or belongs to another picture"
        ]
    try:
        _upright(path, stored, orientation, mask_size, undecided)
    except DataError as error:
        return [str(error)]
    return []


def stored_size(opened: Opened) -> Size:
    """Width and height as the file has them."""
    width, height = opened.image.size
    return (height, width) if opened.image.format == "TIFF" and opened.orientation in SIDEWAYS else (width, height)


def to_rgb(opened: Opened, path: Path) -> Image.Image:
    """Decode an opened picture to 8-bit RGB; raises DataError where that would take a guess."""
    image = opened.image
    if image.mode in DEEP_GREY or (image.mode == "I" and image.format == "PPM"):
        return _deep_grey(opened, path)
    if image.mode not in EIGHT_BITS:
        raise DataError(
            f"image {path} is a picture of mode {image.mode}, whose numbers have no known scale; expected 8 or 16 bits "
            f"a sample; {ADVICE}"
        )
    image.load()
    if image.has_transparency_data:
        mode, image = image.mode, image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise DataError(
                f"image {path} has transparent pixels (mode {mode}), and what is behind them is not known; expected "
                "an opaque picture: lay it on a background"
            )
    rgb = image.convert("RGB")
    if opened.bits == 16:
        _check_depth(path, int(np.asarray(rgb).max(initial=0)) << 8 | 255)  # their lower bits are not known
    return rgb


def _deep_grey(opened: Opened, path: Path) -> Image.Image:
    if opened.from_white or "transparency" in opened.image.info:
        raise DataError(
            f"image {path} is grey of {opened.bits} bits, counted from white or with a transparent value; {ADVICE}"
        )
    grey, depth = np.asarray(opened.image).astype(np.int64), 12 if opened.bits == 12 else 16
    if depth == 16:
        _check_depth(path, int(grey.max(initial=0)))
    return Image.fromarray((grey >> (depth - 8)).astype(np.uint8)).convert("RGB")


def _check_depth(path: Path, largest: int) -> None:
    if 0 < largest < SURELY_16:
        raise DataError(
            f"image {path} has 16 bits a sample and none above {largest}: samples of 12 or 14 bits, or a dark picture, "
            f"nobody knows which; {ADVICE}: divide by 16 what has 12 bits, by 64 what has 14"
        )


def _upright(path: Path, stored: Size, orientation: int, mask_size: Size | None, undecided: Turn) -> bool:
    """Is the photo to be read upright? A mask of neither size is a matter of sizes, which are compared afterwards."""
    upright = stored[::-1] if orientation in SIDEWAYS else stored
    if mask_size is None or orientation == 1:
        return True
    if mask_size == stored == upright and undecided == "refuse":
        raise DataError(
            f"image {path} has the EXIF orientation {orientation}, and its mask has the size of the stored and of the "
            "upright picture, so that nobody knows which of them was labelled; turn the photo's pixels upright or "
            "take the tag out, whichever fits the mask"
        )
    return mask_size != stored
