"""What stands once for all tables of a benchmark: how rows were made, what columns mean, what is an author's."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from results.tables.aggregate import aggregate, tidy
from results.tables.content import COMPARISON, Content, title_of
from results.tables.notes import details
from results.tables.row_names import in_order, row_names
from results.tables.table import Column, Table
from results.tables.views import View


def rows_of(content: Content, stale: frozenset[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs, and the rows that tables of them have, with their names."""
    runs = tidy(content.records, stale=stale)
    folds = tuple(fold.index for fold in content.split.folds)
    frame = in_order(aggregate(runs, lambda _: folds))
    frame.insert(0, "name", row_names(frame))
    return runs, frame


def appendix(content: Content, view: View, stale: frozenset[str]) -> list[Table]:
    """One table of everything that tables with short notes leave out; none without runs."""
    if not content.records:
        return []
    runs, frame = rows_of(content, stale)
    by = view.by or ("method" if frame["seeds"].any() else "fold")  # as its tables have it
    rows = [{"item": item, "text": text} for item, text in details(content, runs, frame, by, view)]
    return [
        Table(
            title=f"{title_of(content, COMPARISON)}: what was measured, and with what",
            frame=pd.DataFrame(rows),
            columns=(Column.text("item", "item"), replace(Column.text("what", "text"), wide=True)),
            notes=(),
            protocol=content.protocol,
            name="appendix",
        )
    ]
