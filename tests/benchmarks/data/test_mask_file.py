"""Masks yield the numbers that are stored in them, whatever the file is like, or are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.data.mask_file import read_mask, read_raw
from splits.errors import DataError
from tests.benchmarks.png import png


def refusal(path: Path, legal=range(256)) -> str:
    with pytest.raises(DataError) as caught:
        read_mask(path, legal)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([1, 2, 4, 8, 16]), st.booleans(), st.integers(1, 9), st.integers(1, 19), st.data())
def test_any_depth_and_palette(tmp_path, bits, palette, height, width, data):
    """Fails when grey of few bits is stretched, one of many is cut, or a palette's order moves an id."""
    levels = min(2**bits, 256)
    draw = np.random.default_rng(data.draw(st.integers(0, 999)))
    ids = draw.integers(0, levels, (height, width))
    colours = draw.permutation(256)[: 3 * levels].repeat(3)[: 3 * levels].reshape(-1, 3) if palette else None
    path = png(tmp_path / "mask.png", ids, bits if bits < 16 or not palette else 8, colours)
    np.testing.assert_array_equal(read_mask(path, range(256)), ids)
    assert read_mask(path, range(256)).dtype == np.uint8
    kept = read_raw(path)
    assert (kept.palette is not None) == palette
    assert kept.size == (width, height)


def test_ids_beyond_a_byte(tmp_path):
    """Fails when the upper byte of an id is cut off: 256 would be 0."""
    png(tmp_path / "mask.png", np.array([[256, 1]]), 16)
    assert "holds ids 256, expected 0..255" in refusal(tmp_path / "mask.png")


@pytest.mark.parametrize("ending", ["tif", "bmp", "gif", "png"])
@pytest.mark.parametrize("palette", [False, True])
def test_other_formats_without_loss(tmp_path, ending, palette):
    """Fails when a lossless format yields greys or colours instead of ids."""
    ids = np.random.default_rng(1).integers(0, 9, (6, 5), dtype=np.uint8)
    picture = Image.fromarray(ids)
    if palette:
        picture.putpalette(np.random.default_rng(2).permutation(256).repeat(3).tolist())
    picture.save(tmp_path / f"mask.{ending}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"mask.{ending}", range(9)), ids)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_lossy_masks_are_refused_whatever_their_name(tmp_path, ending):
    """Fails when a JPEG passes for a mask, called PNG or not, with ids that its compression made."""
    Image.fromarray(np.full((16, 16), 3, np.uint8)).save(tmp_path / f"mask.{ending}", format="JPEG")
    assert "is a JPEG" in refusal(tmp_path / f"mask.{ending}")
    Image.fromarray(np.full((16, 16), 3, np.uint8)).save(tmp_path / "mask.tif", compression="jpeg")
    assert "is a JPEG within a TIFF" in refusal(tmp_path / "mask.tif")
    Image.fromarray(np.full((16, 16), 3, np.uint8)).save(tmp_path / "mask.webp")
    assert "is a WebP" in refusal(tmp_path / "mask.webp")


def test_colours_and_alpha_are_refused(tmp_path):
    """Fails when a mask drawn in colours, or with an alpha, is turned to grey and read."""
    for mode in ("RGB", "RGBA", "LA", "F", "CMYK"):
        Image.new(mode, (4, 4)).save(tmp_path / "mask.tif")
        assert f"mode {mode}" in refusal(tmp_path / "mask.tif")


def test_greys_counted_otherwise_are_refused(tmp_path):
    """Fails when a PGM's own maximum stretches ids, or a format that counts from white turns them over."""
    (tmp_path / "mask.pgm").write_bytes(b"P5 2 1 15\n\x01\x02")
    assert "changes ids" in refusal(tmp_path / "mask.pgm")
    (tmp_path / "mask.pgm").write_bytes(b"P2 2 1 15\n1 2\n")
    assert "changes ids" in refusal(tmp_path / "mask.pgm")
    (tmp_path / "mask.pbm").write_bytes(b"P4 2 1\n\x80")
    assert "changes ids" in refusal(tmp_path / "mask.pbm")
    Image.fromarray(np.eye(3, dtype=np.uint8)).save(tmp_path / "mask.tif", tiffinfo={262: 0})
    assert "changes ids" in refusal(tmp_path / "mask.tif")


def test_turned_and_several(tmp_path):
    """Fails when an EXIF orientation or a second page of a mask is passed over."""
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(np.eye(3, dtype=np.uint8)).save(tmp_path / "mask.png", exif=tags)
    assert "EXIF orientation" in refusal(tmp_path / "mask.png")
    page = Image.fromarray(np.eye(3, dtype=np.uint8))
    page.save(tmp_path / "mask.tif", save_all=True, append_images=[page])
    assert "holds 2 pictures" in refusal(tmp_path / "mask.tif")
