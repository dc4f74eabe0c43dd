"""A table: one unrounded frame, what people see of it, and the lines under it; printed in four forms.

`markdown` (for the terminal too) and `csv` are here, `latex` and `html` hold the others. All read the
same columns, so that no form can show another number than the next.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import pandas as pd
from tabulate import tabulate

from benchmarks.protocol import Protocol
from splits.plain_text import csv_cell, plain

Row = Mapping[Any, Any]
Mark = Literal["", "best"]
UNDEFINED = "–"
PARTIAL, STALE = "†", "‡"  # behind the name of a row
PARTIAL_NOTE = f"{PARTIAL} partial: made from or scored on part of the data; no result to compare with."
SD_NOTE = "±: sample sd over seeds, none of one seed or of seeds with equal values"
HEADERS = {  # of metrics, in the order of columns
    "miou": "mIoU",
    "pacc": "pAcc",
    "miou_seen": "mIoU(S)",
    "miou_unseen": "mIoU(U)",
    "hiou": "hIoU",
    "hiou_of_means": "H of means",
    "hiou_unshifted": "no shift",
    "hiou_best": "oracle shift",
}


@dataclass(frozen=True)
class Column:
    """One column as people see it."""

    header: str
    cell: Callable[[Row], str]  # from a row of the frame
    numeric: bool = True
    value: Callable[[Row], float] | None = None  # the figure shown, unrounded: what a page sorts by
    metric: str = ""  # whose best rows are marked here, as `Table.bold` has them
    turned: bool = False  # is the header long, and turned where space is short?
    wide: bool = False  # does it hold sentences, which break over lines?

    @classmethod
    def text(cls, header: str, key: str) -> Column:
        """A field as it stands, nothing where it is missing."""
        return cls(header, partial(_text, key=key), numeric=False)

    @classmethod
    def named(cls, header: str = "method", key: str = "name") -> Column:
        """The name of a row with its marks, from the fields `partial` and `stale`."""
        return cls(header, partial(_marked, key=key), numeric=False)

    @classmethod
    def figure(cls, header: str, key: str, form: str, scale: float = 1) -> Column:
        """A number times `scale` in the format `form`, a dash where it is undefined."""
        return cls(
            header, partial(_figure, key=key, form=form, scale=scale), value=partial(_scaled, key=key, scale=scale)
        )

    @classmethod
    def percent(cls, header: str, key: str, cell: Callable[[Row], str], *, metric: str = "") -> Column:
        """A fraction that sorts in percent, printed by a function of the row."""
        return cls(header, cell, value=partial(_scaled, key=key, scale=100), metric=metric)


@dataclass(frozen=True)
class Table:
    """A table of one benchmark under one protocol: the numbers, how they are shown, and what must stand under them."""

    title: str
    frame: pd.DataFrame  # unrounded: metrics are fractions, NaN where undefined
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    protocol: Protocol | None  # None where nothing was scored yet
    name: str = "main"  # which of a benchmark's tables
    long: bool = False  # a supplement that may run over pages
    bold: Mapping[str, frozenset[str]] = field(default_factory=dict)  # metric -> names of rows that are marked

    @property
    def label(self) -> str:
        """A name for files and references: benchmark, kind and the start of the protocol's hash."""
        family = self.protocol.family[:6] if self.protocol else ""
        name = f" {self.name}" if self.name.partition("-")[0] not in self.title.split(":")[0] else ""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.title.split(':')[0]}{name} {family}".lower()).strip("-")

    def rows(self) -> list[dict[Any, Any]]:
        """The frame, row by row."""
        return self.frame.to_dict("records")

    def each_row(self, at_once: int = 1000) -> Iterator[dict[Any, Any]]:
        """The same, some at once: a table of every run need not stand in memory as dictionaries."""
        for start in range(0, len(self.frame), at_once):
            yield from self.frame.iloc[start : start + at_once].to_dict("records")

    def cells(self) -> list[list[str]]:
        """The body of the table as text, row by row."""
        return [[column.cell(row) for column in self.columns] for row in self.rows()]

    def marks(self) -> list[list[Mark]]:
        """For each cell whether it is marked."""
        return [[self.mark(column, row) for column in self.columns] for row in self.rows()]

    def mark(self, column: Column, row: Row) -> Mark:
        """Whether one cell is marked."""
        return "best" if column.metric and row["name"] in self.bold.get(column.metric, ()) else ""

    def markdown(self) -> str:
        """Title, table and notes; ends with a newline."""
        body = tabulate(
            [
                [f"**{_escaped(cell)}**" if mark else _escaped(cell) for cell, mark in zip(row, marks, strict=True)]
                for row, marks in zip(self.cells(), self.marks(), strict=True)
            ],
            headers=[_escaped(column.header) for column in self.columns],
            tablefmt="pipe",
            colalign=["right" if column.numeric else "left" for column in self.columns],
            disable_numparse=True,
        )
        parts = [f"**{_escaped(self.title)}**", body if len(self.frame) else "(nothing to show)"]
        return "\n\n".join([*parts, "\n".join(f"- {_plain(note)}" for note in self.notes)]).rstrip() + "\n"

    def csv(self) -> str:
        """Every field of the frame unrounded, as fractions; partial and stale runs have their own columns."""
        return csv_text(self.fields())

    def fields(self) -> pd.DataFrame:
        """The frame with the name of the table and the protocol in words."""
        return self.frame.assign(table=self.name, protocol=self.protocol.words() if self.protocol else "")


def without_notes(tables: Iterable[Table]) -> list[Table]:
    """The same tables with nothing under them."""
    return [replace(table, notes=()) for table in tables]


def csv_text(frame: pd.DataFrame, *, header: bool = True) -> str:
    """A frame as CSV, whose texts steer neither a terminal nor a spreadsheet."""
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    safe = frame.assign(**{str(name): frame[name].map(csv_cell) for name in texts})
    return safe.rename(columns=csv_cell).to_csv(index=False, lineterminator="\n", header=header)


def marked(name: str, row: Row) -> str:
    """A row's name with the marks of what its fields `partial` and `stale` say."""
    return f"{name} {PARTIAL if row['partial'] else ''}{STALE if row['stale'] else ''}".rstrip()


def mean_and_sd(row: Row, key: str) -> str:
    """A mean in percent, with its sd over seeds (the field `<key>_sd`) where these differ: `SD_NOTE` says so."""
    return mean_and_spread(row[key], row[f"{key}_sd"] or math.nan)


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign; what rounds to nothing is +0.0."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def mean_and_spread(mean: float, spread: float) -> str:
    """Both in percent, with equal digits; the mean alone where the spread is undefined."""
    if math.isnan(mean):
        return UNDEFINED
    return f"{100 * mean:.1f}" if math.isnan(spread) else f"{100 * mean:.1f} ± {100 * spread:.1f}"


def _marked(row: Row, key: str) -> str:
    return marked(row[key], row)


def _text(row: Row, key: str) -> str:
    return "" if pd.isna(row[key]) else str(row[key])


def _scaled(row: Row, key: str, scale: float) -> float:
    return scale * row[key]


def _figure(row: Row, key: str, form: str, scale: float) -> str:
    return UNDEFINED if math.isnan(row[key]) else format(scale * row[key], form)


def _escaped(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    return plain(" ".join(text.split()))
