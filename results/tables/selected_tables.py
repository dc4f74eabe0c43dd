"""The tables of a selection of stored records, judged beside all rows of their benchmarks. No torch, no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from results.store.kept_rows import KeptRows
from results.store.selection import Look, Selected, Selection, select
from results.tables.calibration import tuned_scores
from results.tables.families import reader
from results.tables.judge import Judge
from results.tables.table import Table
from results.tables.tables import build_tables
from results.tables.views import View


def chosen(
    selection: Selection, *, may_be_empty: bool = False, looks: Sequence[Look] = (), jobs: int = 1
) -> tuple[Selected, Selected, KeptRows]:
    """What a selection names, the same of every method, as verdicts are of whole families, and counts of those.

    may_be_empty, jobs: as of `select`, which may raise UserError. looks: at what the selection names.
    """
    kept, read = KeptRows(), partial(select, every_loss=False, jobs=jobs)
    if not selection.methods:
        found = read(selection, may_be_empty=may_be_empty, looks=[kept, *looks])
        return found, found, kept
    found = read(selection, may_be_empty=may_be_empty, looks=looks)
    return found, read(replace(selection, methods=()), may_be_empty=True, looks=[kept]), kept


def selected_tables(found: Selected, every: Selected, kept: KeptRows, view: View) -> list[Table]:
    """The tables of what was `chosen`."""
    return build_tables(
        found.records,
        view=view,
        states=found.states,
        recipes=found.recipes,
        stale=found.stale,
        judge=Judge(reader(every.confusion, kept), every.records),
        tuned=tuned_scores(found.stored) if "calibrated" in view.kinds else {},
        locate=found.confusion,
    )
