"""Predictions to look at on one's own pictures: index PNGs, overlays with a legend, a sheet of them. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from benchmarks.labels import Labels
from results.report.pictures import palette

OPACITY = 0.55  # of the colours on the picture
MARGIN = 8
NARROWEST = 240  # a legend needs room even under a small picture
SMALLEST = 0.001  # classes on less than this share of the pixels are not in a legend


def index_png(prediction: Labels, classes: int) -> bytes:
    """Class indices `(H, W)` as the bytes of a palette PNG, so that a viewer shows the colours of the overlays.

    Indices of 16 bits have no palette: a grey PNG of 16 bits.
    """
    if prediction.dtype == np.uint16:
        return _png(Image.fromarray(prediction))
    picture = Image.fromarray(prediction, mode="P")
    picture.putpalette(palette(classes).tobytes())
    return _png(picture)


def coloured(image: NDArray[np.uint8], prediction: Labels, classes: int) -> Image.Image:
    """The picture `(H, W, 3)` with the classes' colours over it."""
    mixed = (1 - OPACITY) * image.astype(np.float32) + OPACITY * palette(classes)[prediction].astype(np.float32)
    return Image.fromarray(np.round(mixed).astype(np.uint8))


def overlay(image: NDArray[np.uint8], prediction: Labels, classes: Sequence[str]) -> bytes:
    """The bytes of a PNG: the picture under the classes' colours, and below it which colour is which class."""
    picture = coloured(image, prediction, len(classes))
    shares = np.bincount(prediction.ravel(), minlength=len(classes)) / prediction.size
    shown = [int(c) for c in np.argsort(-shares, kind="stable") if shares[c] >= SMALLEST]
    entries = [(c, f"{classes[c]} {100 * shares[c]:.1f} %") for c in shown]
    width = max(picture.width, NARROWEST)
    legend = _legend(entries, len(classes), width)
    sheet = Image.new("RGB", (width, picture.height + legend.height), "white")
    sheet.paste(picture, (0, 0))
    sheet.paste(legend, (0, picture.height))
    return _png(sheet)


class ContactSheet:
    """Small pictures with their overlays beside them, in a grid; what is added is kept small at once."""

    def __init__(self, classes: Sequence[str], *, most: int, side: int = 224, columns: int = 3) -> None:
        self._classes, self._most, self._side, self._columns = classes, most, side, columns
        self._cells: list[tuple[str, Image.Image]] = []
        self._present: set[int] = set()

    def add(self, name: str, image: NDArray[np.uint8], prediction: Labels) -> None:
        """One more picture; beyond the most that the sheet takes nothing happens."""
        if len(self._cells) == self._most:
            return
        both = [Image.fromarray(image), coloured(image, prediction, len(self._classes))]
        both = [ImageOps.contain(picture, (self._side, self._side)) for picture in both]
        cell = Image.new("RGB", (2 * self._side, self._side), "white")
        for place, picture in enumerate(both):
            cell.paste(picture, (place * self._side + (self._side - picture.width) // 2, 0))
        self._cells.append((name, cell))
        shares = np.bincount(prediction.ravel(), minlength=len(self._classes)) / prediction.size
        self._present |= {int(c) for c in np.flatnonzero(shares >= SMALLEST)}

    def png(self) -> bytes:
        """The sheet, with one legend for all of it."""
        columns = max(1, min(self._columns, len(self._cells)))
        rows = -(-len(self._cells) // columns)
        step = (2 * self._side + MARGIN, self._side + _line() + MARGIN)
        width = columns * step[0] + MARGIN
        legend = _legend([(c, self._classes[c]) for c in sorted(self._present)], len(self._classes), width)
        sheet = Image.new("RGB", (width, rows * step[1] + MARGIN + legend.height), "white")
        draw = ImageDraw.Draw(sheet)
        for number, (name, cell) in enumerate(self._cells):
            x, y = MARGIN + number % columns * step[0], MARGIN + number // columns * step[1]
            draw.text((x, y), _cut(name, 2 * self._side), fill="black", font=_font())
            sheet.paste(cell, (x, y + _line()))
        sheet.paste(legend, (0, sheet.height - legend.height))
        return _png(sheet)


def _legend(entries: Sequence[tuple[int, str]], classes: int, width: int) -> Image.Image:
    """A strip of this width: a square of its colour before each class's words, in as many lines as it takes."""
    colours, line = palette(classes), _line()
    places, x, y = [], MARGIN, MARGIN // 2
    for class_, words in entries:
        words = _cut(words, width - line - 2 * MARGIN)
        length = line + int(_font().getlength(words)) + MARGIN
        if x > MARGIN and x + length > width:
            x, y = MARGIN, y + line
        places.append((x, y, class_, words))
        x += length
    strip = Image.new("RGB", (width, y + line + MARGIN // 2 if entries else MARGIN), "white")
    draw = ImageDraw.Draw(strip)
    for x, y, class_, words in places:
        box = (x, y + 3, x + line - 6, y + line - 3)
        draw.rectangle(box, fill=tuple(int(v) for v in colours[class_]), outline="black")
        draw.text((x + line, y), words, fill="black", font=_font())
    return strip


def _cut(words: str, width: float) -> str:
    """The words in one line, shortened to a width."""
    words = " ".join(words.split())
    while len(words) > 1 and _font().getlength(words) > width:
        words = words[:-2] + "…"
    return words


@cache
def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has the letters of most languages."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), 13)


def _line() -> int:
    return 19


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
