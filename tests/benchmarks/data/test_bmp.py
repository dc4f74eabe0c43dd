"""BMPs of every kind are read as they are stored, or refused by name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.data.mask_file import read_mask
from benchmarks.data.photo_file import read_image
from splits.errors import DataError
from tests.benchmarks.bmp import CORE, INFO, bmp, written

WIDTHS = (1, 2, 3, 5, 8, 9, 33)  # rows of BMPs end at multiples of four bytes
BLACK_WHITE = np.array([[0, 0, 0], [255, 255, 255]])


def palettes(bits: int):
    """Of every length up to that of the bits: the greys of their own numbers, black and white, and colours."""
    for length in sorted({1, 2, 3, 2**bits - 1, 2**bits} & set(range(1, 2**bits + 1))):
        yield np.arange(length).repeat(3).reshape(-1, 3)
        yield np.random.default_rng(length).integers(0, 256, (length, 3))
    yield BLACK_WHITE
    yield BLACK_WHITE[::-1]


def taken_for_samples(colours: np.ndarray, bits: int) -> bool:
    """Are these the greys that Pillow reads as samples of one or eight bits, in a file of other bits?"""
    if len(colours) == 2:
        return bits > 1 and np.array_equal(colours, BLACK_WHITE)
    own_numbers = np.array_equal(colours, np.arange(len(colours)).repeat(3).reshape(-1, 3))
    return own_numbers and (bits == 4 or (bits == 8 and len(colours) == 1))


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("header", [CORE, INFO])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_indices_and_their_colours(tmp_path, bits, header, top_down):
    """Fails when a short palette of greys makes eight or four bits be read as one, or a row begins at a wrong byte."""
    if header == CORE and top_down:
        return  # OS/2's heights have no sign
    for (number, colours), width in itertools.product(enumerate(palettes(bits)), WIDTHS):
        ids = np.random.default_rng(width).integers(0, len(colours), (5, width))
        if header == CORE:  # has no number of colours: a whole palette
            colours = np.concatenate([colours, np.zeros((2**bits - len(colours), 3), int)])
        path = bmp(tmp_path / f"{number}-{width}.bmp", ids, bits, colours, top_down=top_down, header=header)
        if taken_for_samples(colours, bits):
            with pytest.raises(DataError, match=f"is a BMP of {bits} bits a pixel and a palette of greys"):
                read_mask(path, range(256))
        else:
            np.testing.assert_array_equal(read_mask(path, range(256)), ids)
            np.testing.assert_array_equal(read_image(path), colours[ids])


@pytest.mark.parametrize("top_down", [False, True])
def test_colours(tmp_path, top_down):
    """Fails when channels change places, five bits are not stretched to eight, or dark colours are no colours."""
    for width, most in itertools.product(range(1, 9), [40, 256]):
        r, g, b = np.random.default_rng(width).integers(0, most, (3, 4, width))
        rgb = np.stack([r, g, b], 2)

        def read(samples, bits, fields=()):
            return read_image(bmp(tmp_path / "photo.bmp", samples, bits, top_down=top_down, fields=fields)).astype(int)

        np.testing.assert_array_equal(read(r << 16 | g << 8 | b, 24), rgb)
        np.testing.assert_array_equal(read(77 << 24 | r << 16 | g << 8 | b, 32), rgb)  # the fourth byte says nothing
        np.testing.assert_array_equal(read(r << 16 | g << 8 | b, 32, (0xFF0000, 0xFF00, 0xFF)), rgb)
        few = np.stack([r >> 3, g >> 3, b >> 3], 2)
        assert abs(read(r >> 3 << 10 | g >> 3 << 5 | b >> 3, 16) - few * 255 / 31).max() <= 1
        few = np.stack([r >> 3, g >> 2, b >> 3], 2)
        packed = read(r >> 3 << 11 | g >> 2 << 5 | b >> 3, 16, (0xF800, 0x7E0, 0x1F))
        assert abs(packed - few * 255 / [31, 63, 31]).max() <= 1


@pytest.mark.parametrize("bits", [4, 8])
def test_run_lengths_are_refused(tmp_path, bits):
    """Fails when a BMP of run lengths is read, which may leave pixels out: nobody knows their ids."""
    rows = bytes([4, 0x11, 0, 0]) + bytes([2, 0x33, 0, 0]) + bytes([4, 0x22, 0, 1])  # the second is cut short
    colours = np.random.default_rng(0).integers(0, 256, (2**bits, 3))
    path = written(tmp_path / "mask.bmp", (4, 3), bits, rows, colours, compression={8: 1, 4: 2}[bits])
    for read in (lambda: read_mask(path, range(256)), lambda: read_image(path)):
        with pytest.raises(DataError, match=r"mask\.bmp is a BMP of run lengths"):
            read()
