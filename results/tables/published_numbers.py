"""Published numbers beside reproduced ones, shown only where benchmark and protocol agree and the fold has runs.

A row of the register is shown where its benchmark and fold, kind, setting, background, rule for absent classes and
sizes are those of the runs. What counts as a reproduction is stricter: see `_why_not`.
"""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import pandas as pd

from benchmarks.catalogue import BENCHMARKS
from benchmarks.protocol import Protocol
from methods.registry import METHODS
from results.tables.aggregate import aggregate, tidy
from results.tables.content import Content
from results.tables.register import METRICS, Published, gains, published
from results.tables.row_names import row_names
from results.tables.table import HEADERS, SD_NOTE, UNDEFINED, Column, Row, Table, mean_and_sd

PLACES = {"pascal-5i": ("voc-15-5", 3)}  # a benchmark -> what the literature calls one of its folds
SCORED = METRICS[1:]


def published_table(content: Content, stale: frozenset[str] = frozenset()) -> list[Table]:
    """The published rows for this content and what was reproduced of them.

    None where nothing is published, and where the fold that the literature uses has no run.
    """
    benchmark, fold = PLACES.get(content.split.name, (content.split.name, 0))
    ran = any(record.result.evaluation.fold == fold for record in content.records)
    known = {row.benchmark for row in published()} | {gain.benchmark for gain in gains()}
    if content.protocol is None or not ran or benchmark not in known:
        return []
    setting = content.protocol.train.setting
    reasons = _differences(content, content.protocol)
    rows = [] if reasons else [r for r in published() if (r.benchmark, r.setting) == (benchmark, setting)]
    ours, notes = _ours(content, fold, stale) if rows else ({}, [])
    sources = list(dict.fromkeys(row.source for row in rows))
    frame = pd.DataFrame([_frame_row(row, ours, sources) for row in rows], columns=_FIELDS)
    where = "" if len(content.split.folds) == 1 else f", fold {fold}"
    return [
        Table(
            title=f"{content.split.name}{where}: published ({benchmark}, {setting}) and reproduced, in percent",
            frame=frame,
            columns=_columns(),
            notes=(*_explained(rows, sources, reasons, content.protocol), *notes, *_gains(benchmark)),
            protocol=content.protocol,
            name="published",
        )
    ]


def _differences(content: Content, protocol: Protocol) -> list[str]:
    """In what this protocol differs from the published rows' one."""
    evaluation, found = protocol.evaluation, []
    if evaluation.kind != "generalised":
        found.append(f"these runs are {evaluation.kind}")
    if evaluation.background != "ignored":
        found.append("these runs count background as a class")
    if evaluation.absent_class != "skip":
        found.append(f"these runs treat absent classes by {evaluation.absent_class}")
    if content.part not in ("", "val"):
        found.append(f"these runs are scored on the {content.part} part")
    if evaluation.data.partial or protocol.train.data.partial:
        found.append("these runs used part of the data")
    if evaluation.inference != BENCHMARKS[content.split.name].inference:
        found.append(f"these runs are scored at another size (short side {evaluation.inference.short_side})")
    return found


def _ours(content: Content, fold: int, stale: frozenset[str]) -> tuple[dict[str, dict[Any, Any]], list[str]]:
    """Our row by the published name that it reproduces, and a line for each of ours that is no reproduction."""
    runs = tidy([r for r in content.records if r.result.evaluation.fold == fold], stale=stale)
    frame = aggregate(runs, lambda _: (fold,))
    frame.insert(0, "name", row_names(frame))
    rows: dict[str, dict[Any, Any]] = {}
    notes = []
    for row in frame.to_dict("records"):
        if row["method"] not in METHODS or not METHODS[row["method"]].published_as:
            continue
        if reasons := _why_not(row):
            notes.append(f"{row['name']} is no reproduction: {', '.join(reasons)}.")
        else:
            rows |= dict.fromkeys(METHODS[row["method"]].published_as, row)
    return rows, notes


def _why_not(row: Row) -> list[str]:
    """Why a row of ours is no reproduction: it must be whole, current, and made as the paper says."""
    reasons, clip = [], METHODS[row["method"]].published_clip
    if row["partial"]:
        reasons.append("part of the data or a trial run")
    if row["stale"]:
        reasons.append("made with other sources of the method")
    if row["clip"].partition("@")[0] != clip:
        reasons.append(f"its CLIP is {row['clip']}, not {clip}")
    if row["label"] != row["method"] or json.loads(row["recipe"])["name"] != "paper":
        reasons.append("its recipe is not the paper's")
    if changed := sorted(json.loads(row["config"]).keys() - {"setting"}):
        reasons.append(f"settings off their defaults: {', '.join(changed)}")
    return reasons


_FIELDS = [
    *("method", "backbone", *METRICS),
    *(f"reproduced_{metric}{suffix}" for metric in METRICS for suffix in ("", "_sd")),
    *("seeds", "source", "source_number", "note"),
]


def _frame_row(row: Published, ours: dict[str, dict[Any, Any]], sources: list[str]) -> dict[str, Any]:
    found = ours.get(row.method, {})
    fields: dict[str, Any] = {"method": row.method, "backbone": row.backbone}
    for metric in METRICS:
        printed = getattr(row, metric)
        fields[metric] = math.nan if printed is None else round(printed / 100, 6)
        fields[f"reproduced_{metric}"] = found.get(metric, math.nan)
        fields[f"reproduced_{metric}_sd"] = found.get(f"{metric}_sd", math.nan)
    number = sources.index(row.source) + 1
    return fields | {
        "seeds": found.get("seeds", 0),
        "source": row.source,
        "source_number": number,
        "note": row.note,
    }


def _columns() -> tuple[Column, ...]:
    columns = [
        Column.text("published method", "method"),
        Column("backbone", lambda row: row["backbone"] or UNDEFINED, numeric=False),
    ]
    columns += [Column.figure(HEADERS[metric], metric, ".1f", scale=100) for metric in METRICS]
    for metric in SCORED:
        cell = partial(_beside, metric=metric)
        columns.append(Column.percent(f"ours: {HEADERS[metric]} (Δ)", f"reproduced_{metric}", cell))
    columns.append(Column("source", lambda row: f"[{row['source_number']}]", numeric=False))
    return tuple(columns)


def _beside(row: Row, metric: str) -> str:
    """Ours, and how much it is above the published value as printed."""
    value, printed = row[f"reproduced_{metric}"], row[metric]
    if math.isnan(value):
        return UNDEFINED
    delta = UNDEFINED if math.isnan(printed) else f"{100 * (value - printed):+.1f}"
    return f"{mean_and_sd(row, f'reproduced_{metric}')} ({delta})"


def _explained(rows: list[Published], sources: list[str], reasons: list[str], protocol: Protocol) -> list[str]:
    if reasons:
        return [f"Published rows are not shown: {'; '.join(reasons)}."]
    if not rows:
        return [f"Nothing is published in the setting {protocol.train.setting}."]
    lines = [
        f"Published values as printed, ours at the method's own shift; Δ: ours less the published value; {SD_NOTE}.",
        "The sources do not state the rule for absent classes and the sizes of every row; ours are those of the "
        "released ZegCLIP (absent classes skipped, short side 512, window 512, stride 426).",
    ]
    if protocol.train.crop_decision == "masked":
        lines.append("Ours decides crops on labels without unseen classes; the released ZegCLIP looks at all labels.")
    lines += [f"[{number}] {source}." for number, source in enumerate(sources, 1)]
    return lines + [f"{row.method}: {row.note}." for row in rows if row.note]


def _gains(benchmark: str) -> list[str]:
    """Gains stated without a table: lines under a table, never rows."""
    lines = []
    for gain in gains():
        if gain.benchmark == benchmark or "not named" in gain.benchmark:
            where = "" if gain.benchmark == benchmark else f" on {gain.benchmark}"
            reference = f"; {gain.note}" if gain.note else ""
            lines.append(
                f"{gain.method} states a gain of {gain.value:g} points of hIoU{where} "
                f"({gain.source}{reference}): a gain is no row."
            )
    return lines
