"""Comparison tables from stored records alone: one frame each, rendered as Markdown (for the terminal too) and CSV.

A table holds one benchmark under one protocol family, scored on one part. Its frame is unrounded; `columns` says what
people see of it and how, so that another form (LaTeX, HTML) is another reading of the same two. The lines under the
table come from `results.notes`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from tabulate import tabulate

from benchmarks.protocol import Protocol
from benchmarks.spec import protocol_of
from methods.registry import METHODS
from results.aggregate import IDENTITY, TABLE, By, Conflict, aggregate, settle, tidy
from results.notes import PARTIAL, STALE, UNDEFINED, Content, RunName, fold_range, notes, row_names
from results.record import RunRecord
from splits.errors import UserError
from splits.loader import load_split

HEADERS = {
    "pacc": "pAcc",
    "miou_seen": "mIoU(S)",
    "miou_unseen": "mIoU(U)",
    "hiou": "hIoU",
    "hiou_of_means": "H(mean S, mean U)",
    "hiou_unshifted": "hIoU, no shift",
    "hiou_best": "hIoU, best shift (oracle)",
}


@dataclass(frozen=True)
class Column:
    """One column as people see it."""

    header: str
    cell: Callable[[Mapping[Any, Any]], str]  # from a row of the frame
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table of one benchmark under one protocol: the numbers, how they are shown, and what must stand under them."""

    title: str
    frame: pd.DataFrame  # unrounded: metrics are fractions, NaN where undefined
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    protocol: Protocol | None  # None where nothing was scored yet

    def cells(self) -> list[list[str]]:
        """The body of the table as text, row by row."""
        return [[column.cell(row) for column in self.columns] for row in self.frame.to_dict("records")]

    def markdown(self) -> str:
        """Title, table and notes; ends with a newline."""
        body = tabulate(
            [[_escaped(cell) for cell in row] for row in self.cells()],
            headers=[_escaped(column.header) for column in self.columns],
            tablefmt="pipe",
            colalign=["right" if column.numeric else "left" for column in self.columns],
            disable_numparse=True,
        )
        parts = [f"**{self.title}**", body if len(self.frame) else "(no runs)"]
        return "\n\n".join([*parts, "\n".join(f"- {' '.join(note.split())}" for note in self.notes)]).rstrip() + "\n"

    def csv(self) -> str:
        """Every field of the frame unrounded, as fractions; partial and stale runs have their own columns."""
        frame = self.frame.assign(protocol=self.protocol.words() if self.protocol else "")
        return frame.to_csv(index=False, lineterminator="\n")


def build_tables(
    records: Iterable[RunRecord],
    *,
    by: By = "method",
    states: Mapping[str, str] | None = None,
    stale: frozenset[str] = frozenset(),
) -> list[Table]:
    """One table for each benchmark, part and protocol family among the records, in a fixed order.

    states: what else was asked for, as run folder (`TrainSpec.folder`) -> state and reason in words; runs that are in
    the records are passed over. stale: folders of runs whose method sources have changed since. Raises UserError for
    a benchmark that `splits` does not know or a folder that is none.
    """
    kept, conflicts = settle(records)
    contents: dict[tuple[str, ...], Content] = {}

    def content(record: RunRecord) -> Content:
        train, evaluation = record.result.train, record.result.evaluation
        key = (evaluation.benchmark, evaluation.side.kind, evaluation.part, record.result.family_hash)
        if key not in contents:
            split = load_split(evaluation.benchmark)
            contents[key] = Content(split, part=evaluation.part, protocol=protocol_of(train, evaluation))
        return contents[key]

    for record in kept:
        content(record).records.append(record)
    for conflict in conflicts:
        content(conflict.records[0]).conflicts.append(conflict)
    _place_missing(contents, states or {}, {r.result.train.folder for r in kept} | _folders(conflicts))
    return [_table(contents[key], by, stale) for key in sorted(contents)]


def _folders(conflicts: Iterable[Conflict]) -> set[str]:
    return {record.result.train.folder for conflict in conflicts for record in conflict.records}


def _place_missing(contents: dict[tuple[str, ...], Content], states: Mapping[str, str], there: set[str]) -> None:
    """Name each run that is not there under every table of its benchmark, or under an empty one."""
    for folder in sorted(states.keys() - there):
        run = _run_name(folder)
        tables = [content for key, content in contents.items() if key[0] == run.benchmark]
        if not tables:
            tables = [contents.setdefault((run.benchmark, "", "", ""), Content(load_split(run.benchmark)))]
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


def _table(content: Content, by: By, stale: frozenset[str]) -> Table:
    runs = tidy(content.records, stale=stale)
    folds = tuple(fold.index for fold in content.split.folds)
    frame = _in_order(aggregate(runs, lambda _: folds, by=by))
    frame.insert(0, "name", row_names(frame))
    return Table(
        title=_title(content, by, folds),
        frame=frame.drop(columns="incomplete"),
        columns=_columns(frame, by, single=len(folds) == 1),
        notes=tuple(notes(content, runs, frame, by)),
        protocol=content.protocol,
    )


def _title(content: Content, by: By, folds: tuple[int, ...]) -> str:
    part = f", {content.part} part" if content.part not in ("", "val") else ""
    mean = f"mean over folds {fold_range(folds)}" if len(folds) > 1 else f"fold {folds[0]}"
    return f"{content.split.name}{part}: {'each fold' if by == 'fold' else mean}, in percent"


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    ranked = frame.assign(rank=[_rank(method) for method in frame["method"]])
    order = ["rank", *(name for name in IDENTITY if name not in TABLE), *(["fold"] if "fold" in frame else [])]
    return ranked.sort_values(order, kind="stable", ignore_index=True).drop(columns="rank")


def _columns(frame: pd.DataFrame, by: By, *, single: bool) -> tuple[Column, ...]:
    columns = [Column("method", _name_cell, numeric=False)]
    if by == "fold":
        columns.append(Column("fold", lambda row: str(row["fold"])))
    for metric in HEADERS:
        if metric == "hiou_of_means" and (single or by == "fold"):
            continue  # the same number as hIoU
        columns.append(Column(HEADERS[metric], partial(_percent, metric=metric)))
    if frame["hiou_low"].notna().any():
        columns.append(Column("hIoU, 95 % t-interval", _interval))
    columns.append(Column("seeds", lambda row: str(row["seeds"])))
    return tuple(columns)


def _name_cell(row: Mapping[Any, Any]) -> str:
    marks = f"{PARTIAL if row['partial'] else ''}{STALE if row['stale'] else ''}"
    return f"{row['name']} {marks}".rstrip()


def _percent(row: Mapping[Any, Any], metric: str) -> str:
    mean, sd = row[metric], row[f"{metric}_sd"]
    if math.isnan(mean):
        return UNDEFINED
    return f"{100 * mean:.1f}" if math.isnan(sd) else f"{100 * mean:.1f} ± {100 * sd:.2f}"


def _interval(row: Mapping[Any, Any]) -> str:
    low, high = row["hiou_low"], row["hiou_high"]
    return UNDEFINED if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
