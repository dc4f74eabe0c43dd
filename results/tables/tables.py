"""Comparison tables from stored records alone: which there are, what stands in them, in which order.

A table holds one benchmark under one protocol family, scored on one part. Ablations of a method have a table of their
own, led by the method itself. `table` says how a table is printed, `notes` what stands under it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from statistics import fmean

import pandas as pd

from results.store.identity import TRANSFER
from results.store.record import RunRecord
from results.tables.aggregate import By, aggregate, tidy
from results.tables.calibration import Tuned, calibrated_table
from results.tables.classes_and_costs import Variants, by_variant, class_table, cost_table
from results.tables.content import ABLATION, COMPARISON, Content, fold_range, gather, parts_of, title_of
from results.tables.episodic import columns, published_items, with_folds
from results.tables.kinds import DEFAULT, Kind
from results.tables.notes import notes
from results.tables.published_numbers import published_table
from results.tables.row_names import in_order, names_of, row_names
from results.tables.table import HEADERS, UNDEFINED, Column, Row, Table, marked, mean_and_sd
from results.tables.transfers import group_columns, with_groups

ORACLE = "hiou_best"
_SUPPLEMENTS: dict[Kind, Callable[[Content, str, Variants], list[Table]]] = {
    "classes": class_table,
    "costs": cost_table,
}
# An ablation is held against the run of the whole method that differs in nothing but the method.
_SAME_BUT_METHOD = ("trained", "clip", "clip_sha256", "recipe", "train_limit", "eval_limit", "partial")


def build_tables(
    records: Iterable[RunRecord],
    *,
    by: By = "method",
    states: Mapping[str, str] | None = None,
    stale: frozenset[str] = frozenset(),
    show: Collection[Kind] = DEFAULT,
    tuned: Tuned | None = None,
) -> list[Table]:
    """The tables of each benchmark, part and protocol family among the records, in a fixed order.

    states: runs that were planned, as run folder (`TrainSpec.folder`) -> state and reason in words; runs that are in
    the records are passed over. stale: folders of runs whose method sources have changed since. tuned: of runs that
    were scored on the tune part too, their scores at the shift tuned there. Raises UserError for a benchmark that
    `splits` does not know or a folder that is none.
    """
    contents = gather(records, states or {})
    return [table for content in contents for table in tables_of(content, by, stale, show, tuned=tuned or {})]


def tables_of(
    content: Content,
    by: By,
    stale: frozenset[str],
    show: Collection[Kind],
    *,
    only: str | None = None,
    tuned: Tuned | None = None,
) -> list[Table]:
    """The tables of one benchmark under one protocol; `only`: of one group, the content being its part already."""
    tables = []
    for group, part in (parts_of(content) if only is None else {only: content}).items():
        kind: Kind = "main" if group == COMPARISON else "ablations"
        if kind in show:
            tables.append(_table(part, group, by, stale))
        if "calibrated" in show and tuned:
            tables += calibrated_table(part, title_of(part, group), by_variant(part.records, names_of(part)), tuned)
        for other, table_of in _SUPPLEMENTS.items():
            if other in show:
                tables += table_of(part, title_of(part, group), by_variant(part.records, names_of(part)))
    if "published" in show:
        tables += published_of(content, stale)
    return tables


def published_of(content: Content, stale: frozenset[str]) -> list[Table]:
    """What was published of this content's kind; nothing is held against weights that were trained elsewhere."""
    if content.source:
        return []
    return published_items(content) if content.episodic else published_table(content, stale)


def _table(content: Content, group: str, by: By, stale: frozenset[str]) -> Table:
    by = "method" if content.episodic else by  # there, each fold has a column
    # weights trained elsewhere say the same for each fold that is scored, which only calls other classes unseen
    by = "fold" if content.source and not content.episodic else by
    runs = tidy(content.records, stale=stale)
    folds = tuple(fold.index for fold in content.split.folds)
    whole, ablation = group.removeprefix(ABLATION), group != COMPARISON
    frame = in_order(aggregate(runs, lambda _: folds, by=by), first=whole)
    frame.insert(0, "name", row_names(frame))
    lines = list(notes(content, runs, frame, by))
    if content.episodic:
        frame, shown = with_folds(frame, content.records, folds), columns(folds)
    else:
        if ablation:
            frame["hiou_delta"] = _deltas(frame, whole)
            lines.append(_DELTA.format(whole))
        if content.source:
            frame = with_groups(frame, content.records)
        shown = _columns(frame, by, single=len(folds) == 1)
    mean = f"mean over folds {fold_range(folds)}" if len(folds) > 1 else f"fold {folds[0]}"
    return Table(
        title=f"{title_of(content, group)}: {'each fold' if by == 'fold' else mean}, in percent",
        frame=frame.drop(columns=["incomplete", "hiou_of_seed", *(() if content.source else TRANSFER)]),
        columns=(Column("method", _name_cell, numeric=False), *shown),
        notes=tuple(lines),
        protocol=content.protocol,
        name=group.replace(":", "-") if ablation else "main",
        long=by == "fold",
    )


_DELTA = (
    "Δ hIoU: points above {} with the same CLIP and recipe, over the seeds that both have; `compare` tells which "
    "differences are more than chance."
)


def _deltas(frame: pd.DataFrame, whole: str) -> list[float]:
    """hIoU above that of the whole method, made alike and in the same fold, over the seeds that both rows have.

    NaN where there is no such row, or two, or no seed in common.
    """
    same = [*_SAME_BUT_METHOD, *(["fold"] if "fold" in frame else [])]
    rows = frame.to_dict("records")
    deltas = []
    for row in rows:
        bases = [r["hiou_of_seed"] for r in rows if r["method"] == whole and all(r[n] == row[n] for n in same)]
        own, base = row["hiou_of_seed"], bases[0] if len(bases) == 1 and row["method"] != whole else {}
        differences = [own[seed] - base[seed] for seed in sorted(own.keys() & base.keys())]
        deltas.append(fmean(differences) if differences else math.nan)
    return deltas


def _columns(frame: pd.DataFrame, by: By, *, single: bool) -> tuple[Column, ...]:
    """What follows the name of a row."""
    columns: list[Column] = []
    if by == "fold":
        columns.append(Column.figure("fold", "fold", ".0f"))
    for metric in HEADERS:
        if metric == "hiou_of_means" and (single or by == "fold"):
            continue  # the same number as hIoU
        judged = by != "fold" and metric != ORACLE
        columns.append(Column.percent(HEADERS[metric], metric, partial(mean_and_sd, key=metric), judged=judged))
        if metric == "hiou" and frame["hiou_low"].notna().any():
            columns.append(Column("95 %", _interval))
        if metric == "hiou" and "hiou_delta" in frame:
            columns.append(Column.figure("Δ hIoU", "hiou_delta", "+.1f", scale=100))
    if "miou_new" in frame:
        columns += group_columns()
    columns.append(Column.figure("seeds", "seeds", ".0f"))
    return tuple(columns)


def _name_cell(row: Row) -> str:
    return marked(row["name"], row)


def _interval(row: Row) -> str:
    low, high = row["hiou_low"], row["hiou_high"]
    return UNDEFINED if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"
