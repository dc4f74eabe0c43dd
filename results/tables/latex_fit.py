"""What fits on paper: estimated widths and heights of a table set in LaTeX, and where it is cut. No LaTeX here.

All lengths are in points. Widths are those of Computer Modern, which is wider than the Times of most journals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from results.tables.table import Column, Mark

SIZE, LINE = 8.0, 9.5  # of \footnotesize: a table's letters, and from line to line
SMALLEST = 6.0  # of a table's letters: publishers refuse smaller lettering (Springer's LNCS among them)
PAGE, COLUMN, HEIGHT = 345.0, 221.0, 540.0  # text of the narrowest pages: A4 article at 10 pt; LNCS is 549 high
GAP = 8.0  # between columns
WIDEST = PAGE * SIZE / SMALLEST  # before it is scaled down to SMALLEST
BREAKING = 150.0  # a column of longer texts has lines of this width
KEYS = 0.6 * WIDEST  # of the columns that every panel repeats
_NOTE, _CAPTION = (7.0, 8.0), (10.0, 12.0)  # size and line of \scriptsize and \normalsize
_LETTERS = {  # widths as shares of the size
    0.3: "il!',.:;<[]`|fjI ",
    0.42: "-rt()s†‡",
    0.53: '0123456789aogcez"$*/\\^{}~kqvxyJ?>–_',
    0.6: "bdhnpuS",
    0.7: "ZLFEPB",
}
_WIDTHS = {letter: width for width, letters in _LETTERS.items() for letter in letters}
_WIDE_LETTER, _BOLD = 0.87, 1.17
Cells = Sequence[tuple[str, Mark]]


def width_of(text: str, size: float = SIZE) -> float:
    """How long a text is in one line."""
    return size * sum(_WIDTHS.get(letter, _WIDE_LETTER) for letter in text)


def cut(sizes: Sequence[float], limit: float) -> list[range]:
    """Where to cut a sequence so that no part sums to more than `limit`: few parts, as equal as that allows.

    What is itself larger than the limit is a part of its own.
    """
    parts = _greedy(sizes, limit)
    lower = sum(sizes) / len(parts)
    while len(equal := _greedy(sizes, lower)) > len(parts):
        lower += limit / 100
    return equal if lower <= limit else parts


def _greedy(sizes: Sequence[float], limit: float) -> list[range]:
    starts, filled = [0], 0.0
    for i, size in enumerate(sizes):
        if filled and filled + size > limit:
            starts.append(i)
            filled = 0.0
        filled += size
    return [range(start, end) for start, end in zip(starts, [*starts[1:], len(sizes)], strict=True)]


@dataclass(frozen=True)
class Fit:
    """How a table's columns stand: their widths, and which of them break lines; panels of columns, each with the keys.

    Keys are the columns of text that a table begins with, its row names.
    """

    columns: Sequence[Column]
    widths: Sequence[float]
    breaking: Sequence[bool]
    panels: Sequence[Sequence[int]]

    @property
    def one_column(self) -> bool:
        """Does it stand in one column of a page that has two?"""
        return len(self.panels) == 1 and self.width(self.panels[0]) <= COLUMN

    def width(self, panel: Sequence[int]) -> float:
        """Of a panel, before it is scaled down."""
        return sum(self.widths[i] + GAP for i in panel)

    def head(self, panel: Sequence[int]) -> float:
        """The height of a panel without its rows."""
        turned = [width_of(self.columns[i].header) for i in panel if self.columns[i].turned]
        lines = self.lines(panel, [column.header for column in self.columns])
        return max(turned, default=0.0) + LINE * (lines + 2)

    def lines(self, panel: Sequence[int], texts: Sequence[str]) -> int:
        """How many lines a row has."""
        broken = [i for i in panel if self.breaking[i]]
        return max((lines_of(texts[i], self.widths[i]) for i in broken), default=1)


def lines_of(text: str, width: float, size: float = SIZE) -> int:
    """How many ragged lines a text takes."""
    return max(1, math.ceil(1.1 * width_of(text, size) / width))


def around(caption: str, notes: Sequence[str], width: float) -> tuple[float, float]:
    """The heights of a caption and of notes of this width."""
    above = _CAPTION[1] * (2 + lines_of(caption, width, _CAPTION[0]))
    return above, _NOTE[1] * sum(lines_of(note, width, _NOTE[0]) for note in notes)


def fit(columns: Sequence[Column], body: Sequence[Cells]) -> Fit:
    """Columns as wide as what stands in them; long texts broken where the page is too narrow for them."""
    natural = [max((_natural(column), *(_cell(row[i]) for row in body))) for i, column in enumerate(columns)]
    keys = next((i for i, column in enumerate(columns) if column.numeric), 0) or 1
    widths = list(natural)
    if sum(widths) + GAP * len(widths) > PAGE:
        widths = [w if column.numeric else min(w, BREAKING) for w, column in zip(widths, columns, strict=True)]
    while sum(widths[:keys]) + GAP * keys > KEYS:
        widths[widths.index(max(widths[:keys]))] -= 1
    room = WIDEST - sum(widths[:keys]) - GAP * keys
    parts = cut([w + GAP for w in widths[keys:]], room)
    panels = [[*range(keys), *(keys + i for i in part)] for part in parts]
    return Fit(columns, widths, [w < n for w, n in zip(widths, natural, strict=True)], panels)


def pages(fit: Fit, rows: Sequence[Sequence[str]], room: float) -> Iterator[list[tuple[Sequence[int], range]]]:
    """What each float holds: panels of columns with ranges of rows, one below the other where there is room."""
    page: list[tuple[Sequence[int], range]] = []
    left = room
    for panel in fit.panels:
        heights, head = [LINE * fit.lines(panel, row) for row in rows], fit.head(panel)
        for part in cut(heights, room - head):
            height = head + sum(heights[i] for i in part)
            if page and height > left:
                yield page
                page, left = [], room
            page.append((panel, part))
            left -= height
    yield page


def _natural(column: Column) -> float:
    return LINE if column.turned else width_of(column.header)


def _cell(cell: tuple[str, Mark]) -> float:
    return width_of(cell[0]) * (_BOLD if cell[1] else 1)
