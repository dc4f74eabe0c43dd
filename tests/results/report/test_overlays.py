"""Index PNGs, overlays and sheets: what is in the files."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from results.report.overlays import OPACITY, ContactSheet, index_png, overlay
from results.report.pictures import palette

NAMES = ("cat", "dog", "a name that is far too long for the narrow strip under a small picture, so it is cut")


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


def test_an_index_png_holds_the_indices_and_shows_the_colours():
    """Fails when a class index is changed on its way into the file, or viewers show it in other colours."""
    said = np.array([[0, 1, 2], [2, 1, 252]], dtype=np.uint8)
    picture = opened(index_png(said, 3))
    assert picture.mode == "P"
    assert np.array_equal(np.asarray(picture), said)
    assert np.array_equal(np.asarray(picture.convert("RGB")), palette(3)[said])


def test_an_overlay_is_the_picture_mixed_with_the_colours_above_a_legend():
    """Fails when picture and colours are mixed wrongly, or the legend names no class or a class that is not there."""
    image = np.random.default_rng(0).integers(0, 256, (40, 300, 3), dtype=np.uint8)
    said = np.zeros((40, 300), np.uint8)
    said[:, :100] = 1
    sheet = np.asarray(opened(overlay(image, said, NAMES)))
    assert sheet.shape[1] == 300
    mixed = np.round((1 - OPACITY) * image + OPACITY * palette(3)[said])
    assert np.abs(sheet[:40].astype(float) - mixed).max() <= 1
    legend = sheet[40:].reshape(-1, 3).tolist()
    assert legend.count(palette(3)[0].tolist()) > 50
    assert legend.count(palette(3)[1].tolist()) > 50
    assert legend.count(palette(3)[2].tolist()) == 0


def test_a_long_name_stays_inside_its_strip():
    """Fails when a legend is drawn beyond the edge, so that names are cut off unseen."""
    image, said = np.zeros((30, 20, 3), np.uint8), np.full((30, 20), 2, np.uint8)
    sheet = np.asarray(opened(overlay(image, said, NAMES)))
    assert (sheet[30:, -4:] == 255).all()


def test_a_sheet_takes_so_many_and_is_as_large_as_needed():
    """Fails when more pictures than asked for are drawn, or a lone picture gets a wide empty sheet."""
    image, said = np.zeros((30, 60, 3), np.uint8), np.zeros((30, 60), np.uint8)
    sheet = ContactSheet(NAMES, most=4, side=50)
    sheet.add("one", image, said)
    alone = opened(sheet.png()).size
    for name in "abcdef":
        sheet.add(name, image, said)
    full = opened(sheet.png()).size
    assert alone[0] < full[0]
    assert alone[1] < full[1] < 3 * alone[1]
