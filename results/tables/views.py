"""What of a table to show, by the names of the options. Imports nothing heavy, so that a parser may have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from results.tables.kinds import RESULTS, Kind

By = Literal["method", "fold"]
BYS: tuple[By, ...] = get_args(By)
ColumnName = Literal[
    "miou",
    "pacc",
    "seen",
    "unseen",
    "hiou",
    "h-of-means",
    "no-shift",
    "oracle-shift",
    "sd",
    "rank",
    "first",
    "shift",
    "seeds",
]
COLUMNS: tuple[ColumnName, ...] = get_args(ColumnName)
DEFAULT_COLUMNS: tuple[ColumnName, ...] = ("seen", "unseen", "hiou", "seeds")
REPORT_COLUMNS: tuple[ColumnName, ...] = ("seen", "unseen", "hiou", "rank", "first", "seeds")  # of the report
OPEN_COLUMNS: tuple[ColumnName, ...] = ("miou", "pacc", "seeds")  # of benchmarks without unseen classes
PLACES = frozenset[ColumnName]({"rank", "first"})  # among means over all folds: of comparisons by method alone
Notes = Literal["none", "short", "full"]
NOTES: tuple[Notes, ...] = get_args(Notes)


@dataclass(frozen=True)
class View:
    """Which tables, which columns of the main ones, and how much stands under them."""

    kinds: tuple[Kind, ...] = RESULTS
    by: By | None = "method"  # None: method, but fold where no row of the table has all folds
    columns: tuple[ColumnName, ...] = DEFAULT_COLUMNS
    notes: Notes = "short"

    @property
    def appended(self) -> bool:
        """Does an appendix say once what the notes leave out?"""
        return "appendix" in self.kinds and self.notes == "short"
