"""Opening one picture file, photo or mask: what cannot be read is refused in one line that says what the file is."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile

from benchmarks.data.memory import memory_left
from splits.errors import DataError

FORMATS: Final = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM", "GIF")  # not all of Pillow's: it hands some to programs
TIFF_PHOTOMETRIC: Final = 262
LARGE: Final = 16_000_000  # pixels from which on it is asked whether the memory will do
STORED_BYTES: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # of a pixel; others: 4
SMALLER: Final = "give the job more memory, cut the picture into parts, or make it smaller"
HEADS: Final = (  # what files that are none of these begin with, and what to do
    (
        rb"\s*<(!DOCTYPE|!doctype|html|HTML|\?xml|svg)",
        "a web page or SVG, no picture; download the file itself",
    ),
    (rb"version https://git-lfs", "a Git LFS pointer, not the picture; fetch it with `git lfs pull`"),
    (rb"....ftyp(heic|heix|hevc|mif1|msf1)", "HEIC, which is not read; convert it to PNG or JPEG"),
    (rb"....ftypavi[fs]", "AVIF, which is not read; convert it to PNG or JPEG"),
    (rb"(\xff\x0a|\0\0\0\x0cJXL )", "JPEG XL, which is not read; convert it to PNG or JPEG"),
    (rb"(\0\0\0\x0cjP  |\xff\x4f\xff\x51)", "JPEG 2000, which is not read; convert it to PNG"),
    (rb"8BPS", "a Photoshop file, which is not read; save it as PNG"),
    (rb"\x93NUMPY", "a NumPy array, no picture; save it as PNG"),
    (rb"\0\x05\x16[\0\x07]", "what macOS keeps beside a file, not the picture; leave it out"),
    (rb"%!PS|%PDF", "PostScript or PDF, no picture; convert it to PNG"),
)

# Pillow's doubts about large pictures, EXIF that is cut and the like, a line for each photo. Here once, not around each
# reading: threads that read ahead would undo each other's filters.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Opened:
    """A picture file whose pixels are not decoded yet, and what its header says that decoding forgets."""

    image: Image.Image
    bits: int  # of one sample in the file: Pillow stretches grey of 1, 2 and 4 bits and cuts colours of 16
    from_white: bool  # grey counts from white: Pillow inverts some of these and leaves others as they are
    stretched: bool  # the decoder stretches the values from a maximum that the file names
    orientation: int  # EXIF's, 1..8; 1 where there is none or it cannot be read


@contextmanager
def picture(path: Path, what: str, content: bytes | None = None) -> Iterator[Opened]:
    """The file, opened; content: its bytes where they are in hand.

    Raises DataError where it is missing, holds several pictures, is too large for the memory that is left, or cannot be
    decoded here or while it is open.
    """
    try:
        image = Image.open(path if content is None else io.BytesIO(content), formats=FORMATS)
        with image:
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # of a phone's MPO the first is it
            if frames > 1:
                raise DataError(
                    f"{what} {path} holds {frames} pictures, an animation or pages; expected one: save the one meant"
                )
            if wrongly := _bmp_read_wrongly(image):
                raise DataError(f"{what} {path} is a BMP {wrongly}, which is not read; save it as PNG")
            _check_memory(path, what, image)
            yield described(image)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{what} {path} is {'a link to nowhere' if path.is_symlink() else 'missing'}") from None
    except Image.DecompressionBombError:
        raise DataError(
            f"{what} {path} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels, the most that "
            "are read; cut it into parts or make it smaller"
        ) from None
    except MemoryError:
        raise DataError(f"{what} {path} did not fit into memory; {SMALLER}") from None
    except Exception as error:  # Pillow's decoders let through whatever a broken file makes them raise
        raise DataError(f"{what} {path} {_why(path, content, error)}") from None


def described(image: Image.Image) -> Opened:
    """A Pillow image with what its file's header says, if it has a file."""
    return Opened(image, _bits(image), _from_white(image), _stretched(image), _orientation(image))


def _bmp_read_wrongly(image: Image.Image) -> str:
    """Of a BMP that Pillow may decode to other numbers than are stored, what it is; empty for any other file.

    Pillow takes indices of a palette that holds nothing but greys for samples, whatever bits they have. Where run
    lengths leave pixels out it puts index 0, or loses the row.
    """
    if not isinstance(image, BmpImageFile):
        return ""
    if image.info.get("compression"):
        return "" if image.mode in ("RGB", "RGBA") else "of run lengths"
    assert image.fp is not None
    image.fp.seek(14)  # the header: its length, and after width and height the bits of a pixel
    head = image.fp.read(16)
    bits = int.from_bytes(head[10:12] if head[:4] == b"\x0c\0\0\0" else head[14:16], "little")
    taken = {"1": 1, "L": 8}.get(image.mode, bits)
    return "" if taken == bits else f"of {bits} bits a pixel and a palette of greys"


def _check_memory(path: Path, what: str, image: Image.Image) -> None:
    """Before a pixel is decoded: a system that has no memory left kills whom it likes, without a word."""
    (width, height), each = image.size, STORED_BYTES.get(image.mode, 4)
    need = width * height * (2 * each + min(each, 3))  # as decoded, once more converted, and as an array
    if width * height < LARGE or (left := memory_left()) is None or need <= left:
        return
    raise DataError(
        f"{what} {path} has {width}x{height} pixels, which take {need / 2**30:.1f} GiB to read; this process may take "
        f"{left / 2**30:.1f} GiB more; {SMALLER}"
    )


def _bits(image: Image.Image) -> int:
    if image.format == "BMP" and image.mode != "1":
        return 8  # Pillow's word has those of a whole pixel
    found = re.search(r";(\d+)", _packing(image))
    return int(found[1]) if found else 1 if image.mode == "1" else 8


def _from_white(image: Image.Image) -> bool:
    if image.format == "PPM":
        return image.mode == "1"
    return image.format == "TIFF" and getattr(image, "tag_v2", {}).get(TIFF_PHOTOMETRIC) == 0


def _stretched(image: Image.Image) -> bool:
    if image.format != "PPM" or not (tiles := _tiles(image)):
        return False
    return tiles[0][0] == "ppm" or (tiles[0][0] == "ppm_plain" and tiles[0][3][-1] != 255)


def _orientation(image: Image.Image) -> int:
    """To be looked at last: of a PNG, Pillow decodes the pixels for it."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error):  # says nothing about the pixels
        return 1
    return value if value in range(1, 9) else 1


def _packing(image: Image.Image) -> str:
    """Pillow's word for how the file packs its samples, e.g. "L;2" or "RGB;16B"."""
    tiles = _tiles(image)
    arguments = tiles[0][3] if tiles else ""
    word = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return word if isinstance(word, str) else ""


def _tiles(image: Image.Image) -> list[Any]:
    """How Pillow will decode the file: decoder, box, offset and the decoder's arguments of each piece."""
    return getattr(image, "tile", None) or []


def _why(path: Path, content: bytes | None, error: Exception) -> str:
    try:
        head = content[:4096] if content is not None else _head(path)
    except OSError as unread:
        return f"cannot be read ({unread.strerror})"
    if not head:
        return "cannot be decoded: it is empty; copy it again"
    for pattern, words in HEADS:
        if re.match(pattern, head, re.DOTALL):
            return f"cannot be decoded: it is {words}"
    if isinstance(error, Image.UnidentifiedImageError) and re.match(rb"II[*+]\0|MM\0[*+]", head):
        return (
            "cannot be decoded: it is a TIFF of samples that are not read (floats in colours, say, or more than four "
            "bands), or broken at its beginning; save it as PNG"
        )
    if deep := _jpeg_bits(head):
        return f"cannot be decoded: it is a JPEG of {deep} bits a sample, which is not read; convert it to 8 bits"
    reason = "no picture that is known" if isinstance(error, Image.UnidentifiedImageError) else str(error)
    return (
        f"cannot be decoded ({' '.join(reason.split()) or type(error).__name__}); the file is broken, or none of "
        f"{', '.join(FORMATS)}: copy it again"
    )


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(4096)


def _jpeg_bits(head: bytes) -> int:
    """Bits a sample of a JPEG whose frame header is in its head and says another number than 8; else 0."""
    at = 2
    while head[:2] == b"\xff\xd8" and at + 5 <= len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return 0 if head[at + 4] == 8 else head[at + 4]
        at += 2 + length
    return 0
