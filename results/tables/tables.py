"""Comparison tables from stored records alone: which there are, what stands in them, in which order.

A table holds one benchmark under one protocol family, scored on one part. Ablations of a method have a table of their
own, led by the method itself. `table` says how a table is printed, `notes` what stands under it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

import pandas as pd

from benchmarks.spec import protocol_of
from methods.registry import METHODS
from results.store.identity import IDENTITY, TABLE, TRANSFER, Conflict, settle
from results.store.record import RunRecord
from results.tables.aggregate import By, aggregate, tidy
from results.tables.classes_and_costs import Variants, by_variant, class_table, cost_table
from results.tables.episodic import columns, published_items, with_folds
from results.tables.kinds import DEFAULT, Kind
from results.tables.notes import PARTIAL, STALE, Content, RunName, elsewhere, fold_range, notes, row_names
from results.tables.published_numbers import published_table
from results.tables.table import UNDEFINED, Column, Row, Table, mean_and_sd
from results.tables.transfers import group_columns, with_groups
from splits.errors import UserError
from splits.loader import load_split

HEADERS = {
    "pacc": "pAcc",
    "miou_seen": "mIoU(S)",
    "miou_unseen": "mIoU(U)",
    "hiou": "hIoU",
    "hiou_of_means": "H of means",
    "hiou_unshifted": "no shift",
    "hiou_best": "oracle shift",
}
ORACLE = "hiou_best"
_SUPPLEMENTS: dict[Kind, Callable[[Content, str, Variants], list[Table]]] = {
    "classes": class_table,
    "costs": cost_table,
}
COMPARISON, ABLATION = "comparison", "ablation:"
# An ablation is held against the run of the whole method that differs in nothing but the method.
_SAME_BUT_METHOD = ("trained", "clip", "clip_sha256", "recipe", "train_limit", "eval_limit", "partial")


def build_tables(
    records: Iterable[RunRecord],
    *,
    by: By = "method",
    states: Mapping[str, str] | None = None,
    stale: frozenset[str] = frozenset(),
    show: Collection[Kind] = DEFAULT,
) -> list[Table]:
    """The tables of each benchmark, part and protocol family among the records, in a fixed order.

    states: what else was asked for, as run folder (`TrainSpec.folder`) -> state and reason in words; runs that are in
    the records are passed over. stale: folders of runs whose method sources have changed since. Raises UserError for
    a benchmark that `splits` does not know or a folder that is none.
    """
    return [table for content in gather(records, states or {}) for table in tables_of(content, by, stale, show)]


def tables_of(
    content: Content, by: By, stale: frozenset[str], show: Collection[Kind], *, only: str | None = None
) -> list[Table]:
    """The tables of one benchmark under one protocol; `only`: of one group, the content being its part already."""
    tables = []
    for group, part in (parts_of(content) if only is None else {only: content}).items():
        kind: Kind = "main" if group == COMPARISON else "ablations"
        if kind in show:
            tables.append(_table(part, group, by, stale))
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


def gather(records: Iterable[RunRecord], states: Mapping[str, str]) -> list[Content]:
    """What each table is made from: every run once, conflicts apart, runs that are not there by name.

    Drawn settings are left out: they are no choice of anybody's, and `results.tables.spread` has tables of them.
    """
    every = [record for record in records if not record.result.evaluation.drawn]
    kept, conflicts = settle(every)
    contents: dict[tuple[str, ...], Content] = {}

    def content(record: RunRecord) -> Content:
        train, evaluation = record.result.train, record.result.evaluation
        source = train.benchmark if evaluation.transferred else ""
        key = (evaluation.benchmark, evaluation.side.kind, evaluation.part, record.result.family_hash, source)
        if key not in contents:
            split, protocol = load_split(evaluation.benchmark), protocol_of(train, evaluation)
            contents[key] = Content(split, part=evaluation.part, source=source, protocol=protocol)
        return contents[key]

    for record in every:
        content(record).copies += 1
    for record in kept:
        content(record).records.append(record)
        content(record).copies -= 1
    for conflict in conflicts:
        content(conflict.records[0]).conflicts.append(conflict)
        content(conflict.records[0]).copies -= len(conflict.records)
    _place_missing(contents, states, {r.result.train.folder for r in kept} | _folders(conflicts))
    return [contents[key] for key in sorted(contents)]


def names_of(content: Content) -> dict[tuple[Any, ...], str]:
    """Every variant's name as the content's tables have it, by the values of IDENTITY, in the order of the rows."""
    frame = tidy(content.records).drop_duplicates(list(IDENTITY), ignore_index=True)
    frame = _in_order(frame.drop(columns="fold"))
    keys = [tuple(row[name] for name in IDENTITY) for row in frame.to_dict("records")]
    return dict(zip(keys, row_names(frame), strict=True))


def parts_of(content: Content) -> dict[str, Content]:
    """The content by group: the comparison, then each ablation with the runs of the method it takes apart."""
    methods = {r.result.train.method for r in content.records} | {run.method for run in content.missing}
    methods |= {c.records[0].result.train.method for c in content.conflicts}
    known = [e.group for e in METHODS.values()]
    groups = sorted({_group(method) for method in methods}, key=lambda g: (g != COMPARISON, known.index(g)))
    return {group: _part(content, group) for group in groups}


def _group(method: str) -> str:
    group = METHODS[method].group if method in METHODS else COMPARISON
    return group if group.startswith(ABLATION) else COMPARISON


def _part(content: Content, group: str) -> Content:
    whole = group.removeprefix(ABLATION)

    def belongs(record: RunRecord) -> bool:
        return _group(record.result.train.method) == group or record.result.train.method == whole

    return replace(
        content,
        records=[record for record in content.records if belongs(record)],
        conflicts=[conflict for conflict in content.conflicts if belongs(conflict.records[0])],
        copies=content.copies if group == COMPARISON else 0,
        missing={run: state for run, state in content.missing.items() if _group(run.method) == group},
    )


def _folders(conflicts: Iterable[Conflict]) -> set[str]:
    return {record.result.train.folder for conflict in conflicts for record in conflict.records}


def _place_missing(contents: dict[tuple[str, ...], Content], states: Mapping[str, str], there: set[str]) -> None:
    """Name each run that is not there under every table of its benchmark, or under an empty one."""
    for folder in sorted(states.keys() - there):
        run = _run_name(folder)
        tables = [content for key, content in contents.items() if key[0] == run.benchmark and not content.source]
        if not tables:
            tables = [contents.setdefault((run.benchmark, "", "", "", ""), Content(load_split(run.benchmark)))]
        for content in tables:
            content.missing[run] = states[folder]


def _run_name(folder: str) -> RunName:
    match = re.fullmatch(r"([^/]+)/([^/]+)/fold(\d+)-seed(\d+)-[0-9a-f]+", folder)
    if match is None:
        raise UserError(f"{folder!r} is no run's folder; expected <benchmark>/<method>/fold<k>-seed<s>-<key>")
    return RunName(_rank(match[2]), match[1], match[2], int(match[3]), int(match[4]), folder)


def _rank(method: str) -> int:
    """The place of a method in the registry; methods it does not know come after those it does."""
    return list(METHODS).index(method) if method in METHODS else len(METHODS)


def _table(content: Content, group: str, by: By, stale: frozenset[str]) -> Table:
    by = "method" if content.episodic else by  # there, each fold has a column
    # weights trained elsewhere say the same for each fold that is scored, which only calls other classes unseen
    by = "fold" if content.source and not content.episodic else by
    runs = tidy(content.records, stale=stale)
    folds = tuple(fold.index for fold in content.split.folds)
    whole, ablation = group.removeprefix(ABLATION), group != COMPARISON
    frame = _in_order(aggregate(runs, lambda _: folds, by=by), first=whole)
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


def title_of(content: Content, group: str) -> str:
    """Benchmark, part and, where it is one, ablation."""
    part = f", {content.part} part" if content.part not in ("", "val") else ""
    part += ", episodic-binary" if content.episodic else ""
    part += elsewhere(content)
    return f"{content.split.name}{part}{'' if group == COMPARISON else f', ablations of {group[len(ABLATION) :]}'}"


def _in_order(frame: pd.DataFrame, first: str = "") -> pd.DataFrame:
    ranked = frame.assign(rank=[-1 if method == first else _rank(method) for method in frame["method"]])
    order = ["rank", *(name for name in IDENTITY if name not in TABLE), *(["fold"] if "fold" in frame else [])]
    return ranked.sort_values(order, kind="stable", ignore_index=True).drop(columns="rank")


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
    marks = f"{PARTIAL if row['partial'] else ''}{STALE if row['stale'] else ''}"
    return f"{row['name']} {marks}".rstrip()


def _interval(row: Row) -> str:
    low, high = row["hiou_low"], row["hiou_high"]
    return UNDEFINED if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"
