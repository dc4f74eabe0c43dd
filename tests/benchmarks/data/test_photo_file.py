"""Photos of any kind are read as they are meant, or refused by name: never clipped, never turned by a guess."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.data.photo_file import in_memory, read_image
from splits.errors import DataError

PROJECT = Path(__file__).resolve().parents[3]
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
# what makes a stored picture upright, by the EXIF standard (CIPA DC-008, 4.6.4): row and column of the first pixel
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
# one pixel: width, height, bits, no compression, RGB, offset, 3 samples, strip of 12 bytes, IEEE floats
TAGS = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 32), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, 3)]
TAGS += [(279, 4, 1, 12), (339, 3, 1, 3)]
FLOATS_IN_COLOURS = struct.pack("<2sHI12xH", b"II", 42, 20, len(TAGS)) + b"".join(
    struct.pack("<HHII", *tag) for tag in [*TAGS, (0, 0, 0, 0)]
)
same_folder = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def refusal(path: Path, mask_size=None) -> str:
    with pytest.raises(DataError) as caught:
        read_image(path, mask_size)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def png(path: Path, samples: np.ndarray, depth: int, colour: int) -> Path:
    """A PNG written by hand: `(H, W, C)` samples of 8 or 16 bits, of a colour type."""
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else np.uint8).tobytes() for row in samples)
    height, width = samples.shape[:2]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@same_folder
@given(
    st.sampled_from(range(10)),
    st.sampled_from(["png", "tif", "webp"]),
    st.sampled_from(["none", "upright", "stored", "other"]),
    st.booleans(),
)
def test_any_orientation(tmp_path, orientation, ending, mask, square):
    """Fails when a photo is turned otherwise than its mask, or one whose turn nobody knows is read."""
    stored = PIXELS[:, :5] if square else PIXELS
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(stored).save(path, exif=exif(orientation), **({"lossless": True} if ending == "webp" else {}))
    upright = UPRIGHT.get(orientation, UPRIGHT[1])(stored)
    sizes = {"none": None, "upright": upright.shape[1::-1], "stored": stored.shape[1::-1], "other": (9, 9)}
    fits_both = upright.shape == stored.shape and orientation in range(2, 9)
    if fits_both and mask in ("upright", "stored"):
        assert f"EXIF orientation {orientation}" in refusal(path, sizes[mask])
        np.testing.assert_array_equal(read_image(path, sizes[mask], "stored"), stored)
    else:
        np.testing.assert_array_equal(read_image(path, sizes[mask]), stored if mask == "stored" else upright)


@same_folder
@given(st.sampled_from([0, 2]), st.integers(2**14, 2**16 - 1), st.integers(0, 99))
def test_sixteen_bits_keep_their_upper_eight(tmp_path, colour, largest, seed):
    """Fails when a deep picture is clipped, in grey or in colours, or the two are scaled differently."""
    channels = 3 if colour == 2 else 1
    deep = np.random.default_rng(seed).integers(0, largest + 1, (5, 7, channels))
    deep[0, 0] = largest
    got = read_image(png(tmp_path / "deep.png", deep, 16, colour))
    np.testing.assert_array_equal(got, np.broadcast_to(deep >> 8, (5, 7, 3)))


@pytest.mark.parametrize("colour", [0, 2], ids=["grey", "colours"])
def test_twelve_bits_in_sixteen(tmp_path, colour):
    """Fails when samples of 12 bits in a file of 16 become a nearly black picture, or plain black is refused."""
    deep = np.random.default_rng(0).integers(0, 2**12, (5, 7, 3 if colour == 2 else 1))
    assert "scale it to 8 bits" in refusal(png(tmp_path / "deep.png", deep, 16, colour))
    if colour == 0:
        assert not read_image(png(tmp_path / "black.png", 0 * deep, 16, colour)).any()


def test_numbers_without_a_scale(tmp_path):
    """Fails when floats or 32-bit integers are clipped to 0..255."""
    for kind in (np.float32, np.int32):
        Image.fromarray(PIXELS[..., 0].astype(kind)).save(tmp_path / "photo.tif")
        assert "no known scale" in refusal(tmp_path / "photo.tif")


def test_transparency(tmp_path):
    """Fails when the colours behind transparent pixels are used, or an opaque picture with an alpha is refused."""
    opaque = np.dstack([PIXELS, np.full((5, 7), 255, np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png"), PIXELS)
    opaque[2, 3, 3] = 254
    Image.fromarray(opaque).save(tmp_path / "photo.png")
    assert "transparent" in refusal(tmp_path / "photo.png")
    Image.fromarray(opaque[..., ::3].copy(), mode="LA").save(tmp_path / "grey.png")
    assert "mode LA" in refusal(tmp_path / "grey.png")
    colours = Image.fromarray(PIXELS).quantize(4)
    colours.save(tmp_path / "palette.png", transparency=0)
    assert "mode P" in refusal(tmp_path / "palette.png")
    colours.save(tmp_path / "opaque.png", transparency=bytes([255] * 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's advice, which a person could not follow
        read = read_image(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read, np.asarray(colours.convert("RGB")))


@pytest.mark.parametrize(
    ("mode", "ending"), [("L", "png"), ("1", "png"), ("P", "gif"), ("CMYK", "tif"), ("YCbCr", "tif")]
)
def test_modes_of_eight_bits(tmp_path, mode, ending):
    """Fails when grey, one bit, a palette or print colours are refused or come out as other numbers than Pillow's."""
    picture = Image.fromarray(PIXELS).convert(mode)
    picture.save(tmp_path / f"photo.{ending}")
    np.testing.assert_array_equal(read_image(tmp_path / f"photo.{ending}"), np.asarray(picture.convert("RGB")))


def test_several_pictures_in_one_file(tmp_path):
    """Fails when the first frame of an animation, or the first page, passes for the photo."""
    first, second = Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)
    for ending in ("gif", "tif", "png", "webp"):
        first.save(tmp_path / f"photo.{ending}", save_all=True, append_images=[second])
        assert "holds 2 pictures" in refusal(tmp_path / f"photo.{ending}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "macOS"),
        (b"\xff\xd8\xff\xe0\0\x04ab\xff\xc1\0\x11\x0c", "JPEG of 12 bits"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"\x93NUMPY\x01\0", "NumPy array"),
        (FLOATS_IN_COLOURS, "TIFF of samples that are not read"),
        (b"hello", "none of PNG, JPEG"),
    ],
)
def test_what_is_no_photo_is_named(tmp_path, content, words):
    """Fails when a file of another kind is called broken, or somebody is sent to copy it again for nothing."""
    (tmp_path / "photo.jpg").write_bytes(content)
    told = refusal(tmp_path / "photo.jpg")
    assert words in told
    assert ("copy it again" in told) == (content in (b"", b"hello"))


def test_pillow_talks_to_nobody(tmp_path):
    """Fails when a photo whose EXIF is cut, as many have it, puts lines of Pillow's on the terminal."""
    cut = b"Exif\0\0II*\0\x08\0\0\0\x09\0" + b"\x12\x01\x03\0" * 2
    Image.fromarray(PIXELS).save(tmp_path / "photo.jpg", exif=cut)
    script = "import sys, pathlib, benchmarks.data.photo_file as p; p.read_image(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(tmp_path / "photo.jpg")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_missing_large_and_dangling(tmp_path, monkeypatch):
    """Fails when a link to nowhere is called missing without the reason, or a large picture is called broken."""
    assert "is missing" in refusal(tmp_path / "photo.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    assert "link to nowhere" in refusal(tmp_path / "link.png")
    Image.fromarray(PIXELS).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    words = refusal(tmp_path / "large.png")
    assert "make it smaller" in words
    assert "copy it again" not in words


def test_pictures_in_memory_are_read_as_files_are(tmp_path: Path) -> None:
    """Fails when a Pillow image of another depth is clipped where its file is scaled or refused."""
    deep = Image.fromarray(np.linspace(0, 65535, 35).astype(np.uint16).reshape(5, 7))
    for name, picture in (("deep", deep), ("colours", Image.fromarray(PIXELS)), ("grey", Image.new("L", (7, 5), 9))):
        picture.save(tmp_path / f"{name}.png")
        for one in (picture, Image.open(tmp_path / f"{name}.png")):
            assert np.array_equal(in_memory(one), read_image(tmp_path / f"{name}.png"))
    clear = Image.new("RGBA", (7, 5), (9, 9, 9, 0))
    for picture in (Image.new("I", (7, 5), 70_000), Image.new("F", (7, 5), 0.5), clear):
        with pytest.raises(DataError, match=r"^image in memory "):
            in_memory(picture)
