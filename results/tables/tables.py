"""Comparison tables from stored records alone: which there are, what stands in them, in which order.

A table holds one benchmark under one protocol family, scored on one part. Ablations of a method have a table of their
own, led by the method itself. `table` says how a table is printed, `notes` what stands under it, `appendix` what stands
once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from results.store.confusion import Locate
from results.store.identity import TRANSFER
from results.store.record import RunRecord
from results.tables.ablations import at_common_seeds, left_out
from results.tables.aggregate import aggregate, tidy
from results.tables.appendix import appendix, rows_of
from results.tables.calibration import Tuned, calibrated_table, key_of
from results.tables.classes_and_costs import Variants, by_variant, class_table, cost_table
from results.tables.columns import delta_column, name_columns, value_columns
from results.tables.content import ABLATION, COMPARISON, Content, fold_range, gather, parts_of, title_of
from results.tables.episodic import columns, published_items, with_folds
from results.tables.how_made import how_made
from results.tables.judge import Judge, bold_of, with_verdicts, without_error
from results.tables.kinds import Kind
from results.tables.notes import notes
from results.tables.published_numbers import published_table
from results.tables.row_names import in_order, names_of, recipe_words, row_names
from results.tables.sets import sets_tables
from results.tables.table import Column, Table, without_notes
from results.tables.transfers import group_columns, with_groups
from results.tables.verdicts import FEW_IMAGES
from results.tables.views import DEFAULT_COLUMNS, OPEN_COLUMNS, PLACES, REPORT_COLUMNS, By, View

_SUPPLEMENTS: dict[Kind, Callable[[Content, str, Variants, frozenset[str]], list[Table]]] = {
    "classes": class_table,
    "costs": cost_table,
}


PLAIN = View()


def build_tables(
    records: Iterable[RunRecord],
    *,
    view: View = PLAIN,
    states: Mapping[str, str] | None = None,
    recipes: Mapping[str, str] | None = None,
    stale: frozenset[str] = frozenset(),
    judge: Judge | None = None,
    tuned: Tuned | None = None,
    locate: Locate | None = None,
) -> list[Table]:
    """The tables of each benchmark, part and protocol family among the records, in a fixed order.

    states: runs that were planned, as run folder (`TrainSpec.folder`) -> state and reason in words; runs that are in
    the records are passed over; recipes: the names of theirs. stale: folders of runs whose method sources, body
    weights or data have changed since. judge: None leaves out half-widths and marks. tuned: of runs that were scored
    on the tune part too, their scores at the shift tuned there. locate: where confusion matrices lie; None: no warning
    names the shift of class indices that would fit.
    Raises UserError for a benchmark that `splits` does not know or a folder that is none.
    """
    judge = judge or Judge(None)
    records = list(records)
    contents = gather(records, states or {}, locate, recipes=recipes or {})
    tables = [table for content in contents for table in tables_of(content, view, stale, judge, tuned or {})]
    tables += sets_tables(records, stale) if "sets" in view.kinds else ()
    return tables if view.notes != "none" else without_notes(tables)


def tables_of(content: Content, view: View, stale: frozenset[str], judge: Judge, tuned: Tuned) -> list[Table]:
    """The tables of one benchmark under one protocol."""
    tables = []
    for group, part in parts_of(content).items():
        kind: Kind = "main" if group == COMPARISON else "ablations"
        if kind in view.kinds:
            tables.append(group_table(part, group, view, stale, judge))
        others = []
        if "calibrated" in view.kinds and any(key_of(r.result) in tuned for r in part.records if _of(group, r)):
            variants = by_variant(part.records, names_of(part))
            others += calibrated_table(part, title_of(part, group), variants, tuned, stale)
        for other, table_of in _SUPPLEMENTS.items():
            if other in view.kinds:
                others += table_of(part, title_of(part, group), by_variant(part.records, names_of(part)), stale)
        tables += _with_all_notes(others, part, stale) if others and view.notes == "full" else others
    if "published" in view.kinds:
        tables += published_of(content, stale)
    if view.appended:
        tables += appendix(content, view, stale)
    return tables


def _of(group: str, record: RunRecord) -> bool:
    """Is it of the group itself, not the whole method that leads a table of ablations?"""
    return group == COMPARISON or record.result.train.method != group.removeprefix(ABLATION)


def _with_all_notes(tables: Sequence[Table], part: Content, stale: frozenset[str]) -> list[Table]:
    """With what short notes leave to the appendix."""
    more = [f"{item}: {text}." for item, text in how_made(part, *rows_of(part, stale))]
    return [replace(table, notes=(*table.notes, *more)) for table in tables]


def published_of(content: Content, stale: frozenset[str]) -> list[Table]:
    """What was published of this content's kind; nothing is held against weights that were trained elsewhere."""
    if content.source:
        return []
    return published_items(content) if content.episodic else published_table(content, stale)


def group_table(content: Content, group: str, view: View, stale: frozenset[str], judge: Judge) -> Table:
    """The table of one group, the content being its part already."""
    # items: each fold has a column; weights trained elsewhere: each fold only calls other classes unseen
    runs = tidy(content.records, stale=stale)
    folds = tuple(fold.index for fold in content.split.folds)
    by, frame = _aggregated(runs, folds, "method" if content.episodic else "fold" if content.source else view.by)
    whole = group.removeprefix(ABLATION) if group != COMPARISON else ""
    frame = _named(in_order(frame, first=whole))
    family = judge.family(content, group)
    lines = notes(replace(content, recipe=judge.recipe_of(content)), runs, frame, by, view, family, whole)
    if content.episodic:
        frame, shown = with_folds(frame, content.records, folds), list(columns(folds))
    else:
        if whole:
            every, frame = frame, at_common_seeds(frame, runs, folds, by, whole)
            if left := left_out(every, frame, runs):
                lines.append(f"In no row, at seeds that a row and its base do not share: {left} of these runs.")
        frame = with_verdicts(judge.with_half_widths(frame, content, folds, family), family, whole)
        lines += [f"Without ±: {FEW_IMAGES}."] if lines and family and without_error(frame) else []
        frame = with_groups(frame, content.records) if content.source else frame
        shown = _columns(
            view, by, whole, transferred=bool(content.source), open_vocabulary=content.split.open_vocabulary
        )
    mean = f"mean over folds {fold_range(folds)}" if len(folds) > 1 else f"fold {folds[0]}"
    bold = bold_of(frame, family, by, whole)
    frame = frame.assign(bold=[" ".join(m for m, names in bold.items() if name in names) for name in frame["name"]])
    return Table(
        title=f"{title_of(content, group)}: {'each fold' if by == 'fold' else mean}, in percent",
        frame=frame.drop(columns=["incomplete", "hiou_of_seed", *(() if content.source else TRANSFER)]),
        columns=(*name_columns(frame), *shown),
        notes=tuple(lines),
        protocol=content.protocol,
        name=group.replace(":", "-") if whole else "main",
        long=by == "fold",
        bold=bold,
    )


def _aggregated(runs: pd.DataFrame, folds: tuple[int, ...], by: By | None) -> tuple[By, pd.DataFrame]:
    """Where `by` is left open: by method, but by fold where no row has a mean, as no seed of any has all folds."""
    if by is None:
        frame = aggregate(runs, lambda _: folds)
        if not len(frame) or frame["seeds"].any():
            return "method", frame
    return by or "fold", aggregate(runs, lambda _: folds, by=by or "fold")


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """With the name of each row, and of its recipe."""
    frame.insert(0, "name", row_names(frame))
    return frame.assign(recipe_name=[recipe_words(row) for row in frame.to_dict("records")])


def _columns(view: View, by: By, whole: str, *, transferred: bool, open_vocabulary: bool) -> list[Column]:
    """What follows the name of a row."""
    single = PLACES if by == "fold" or whole else frozenset()
    names = OPEN_COLUMNS if open_vocabulary and view.columns in (DEFAULT_COLUMNS, REPORT_COLUMNS) else view.columns
    shown = value_columns([name for name in names if name not in single], open_vocabulary=open_vocabulary)
    if by == "fold":
        shown.insert(0, Column.figure("fold", "fold", ".0f"))
    if whole:
        at = next((i + 1 for i, column in enumerate(shown) if column.metric == "hiou"), len(shown))
        shown.insert(at, delta_column())
    return shown + (group_columns() if transferred else [])
