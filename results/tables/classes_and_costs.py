"""Supplement tables: IoU of each class, and what each method costs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from results.store.identity import row_key
from results.store.lean import ious_of
from results.store.record import RunRecord
from results.tables.content import Content
from results.tables.notes import measured
from results.tables.stale_rows import stale_names, stale_notes
from results.tables.table import PARTIAL_NOTE, UNDEFINED, Column, Row, Table, marked
from results.tables.warned import warned

Names = Mapping[tuple[Any, ...], str]  # values of IDENTITY -> the row's name
Variants = Mapping[str, Sequence[RunRecord]]  # the row's name -> its runs
RATES = ("train_images_per_second", "eval_images_per_second", "train_seconds", "eval_seconds")
MILLION = 1e6


def by_variant(records: Iterable[RunRecord], names: Names) -> Variants:
    """The records of each variant, by its name, in the order of `names`."""
    found: dict[str, list[RunRecord]] = {name: [] for name in names.values()}
    for record in records:
        found[names[row_key(record)]].append(record)
    return {name: runs for name, runs in found.items() if runs}


def class_ious(runs: Iterable[RunRecord]) -> dict[tuple[str, bool], list[float]]:
    """IoU at the own shift of every run, by class and whether it was seen; undefined ones are left out."""
    found: dict[tuple[str, bool], list[float]] = {}
    for run in runs:
        for name, seen, iou in ious_of(run.result.classes):
            found.setdefault((name, seen), []).append(iou)
    return found


def class_table(content: Content, title: str, variants: Variants, stale: frozenset[str] = frozenset()) -> list[Table]:
    """Mean IoU of each class over the runs that hide it and over those that do not, a column for each method.

    stale: folders of runs whose method sources, body weights or data have changed since.
    """
    if not content.records:
        return []
    ious = {name: class_ious(runs) for name, runs in variants.items()}
    rows: list[dict[str, Any]] = []
    for seen in (False, True):
        for label in content.split.classes:
            values = {name: of.get((label, seen), []) for name, of in ious.items()}
            if any(values.values()):
                means = {name: statistics.fmean(v) if v else math.nan for name, v in values.items()}
                rows.append({"class": label, "as": "seen" if seen else "unseen", **means})
    old, parts = stale_names(variants, stale), partial_names(variants)
    columns = [Column.text("class", "class"), Column.text("as", "as")]
    for name in variants:
        header = marked(name, {"partial": name in parts, "stale": name in old})
        columns.append(replace(Column.figure(header, name, ".1f", scale=100), turned=True))
    return [
        Table(
            title=f"{title}: IoU of each class, in percent",
            frame=pd.DataFrame(rows, columns=["class", "as", *variants]).assign(
                partial="; ".join(parts), stale="; ".join(old)
            ),
            columns=tuple(columns),
            notes=(
                "Mean over all runs (folds and seeds) in which the class was unseen, or seen, at the method's own "
                "shift; runs in which its IoU is undefined are left out.",
                *measured(content),
                *([PARTIAL_NOTE] if parts else []),
                *warned(record.result for record in content.records),
                *stale_notes(content.records, stale),
            ),
            protocol=content.protocol,
            name="classes",
            long=True,
        )
    ]


def cost_table(content: Content, title: str, variants: Variants, stale: frozenset[str] = frozenset()) -> list[Table]:
    """Parameters, multiply-accumulates, rates, time and memory: a row for each method, device and number of threads.

    stale: as of `class_table`.
    """
    if not content.records:
        return []
    rows = []
    for name, runs in variants.items():
        groups: dict[tuple[str, int, int], list[RunRecord]] = {}
        for run in runs:
            how = (run.provenance.scoring.device, run.provenance.scoring.threads, run.costs.micro_batch)
            groups.setdefault(how, []).append(run)
        rows += [_cost_row(name, *how, groups[how], stale) for how in sorted(groups)]
    sizes = sorted({run.costs.gmacs_at for run in content.records if run.costs.gmacs_at})
    return [
        Table(
            title=f"{title}: costs",
            frame=pd.DataFrame(rows),
            columns=_cost_columns(),
            notes=(
                "Parameters in millions: those that are trained, the count that the method's authors would state for "
                "this configuration (unused ones included; – where they published no way of counting), and all.",
                f"GMACs: multiply-accumulates (10^9) of one scored image at {', '.join(sizes) or 'no stated size'}, "
                "text known beforehand.",
                "Images/s, seconds and MiB: medians over the runs; rates without the warm-up, memory the largest "
                "resident set on a CPU, the allocator's peak on CUDA. Runs may have shared a machine: the figures are "
                "those of its day, and no row compares devices.",
                *([PARTIAL_NOTE] if partial_names(variants) else []),
                *stale_notes(content.records, stale),
            ),
            protocol=content.protocol,
            name="costs",
        )
    ]


def _cost_columns() -> tuple[Column, ...]:
    columns = [
        Column.named(),
        Column("device", _device, numeric=False),
        _millions("trainable", "trainable"),
        _millions("authors' count", "published"),
        _millions("all", "total"),
        Column.figure("GMACs", "gmacs", ".3g"),
        *(Column.figure(header, key, form) for key, header, form in _MEASURED),
        Column.figure("runs", "runs", ".0f"),
    ]
    return tuple(columns)


_COUNTED = ("trainable", "published", "total")
_MEASURED = (
    ("train_images_per_second", "training images/s", ".0f"),
    ("eval_images_per_second", "scoring images/s", ".0f"),
    ("train_seconds", "training s", ".0f"),
    ("eval_seconds", "scoring s", ".1f"),
    ("peak_memory_mib", "MiB", ".0f"),
)


def _cost_row(
    name: str, device: str, threads: int, batch: int, runs: Sequence[RunRecord], stale: frozenset[str]
) -> dict[str, Any]:
    costs = [run.costs for run in runs]
    return {
        "name": name,
        "device": device,
        "threads": threads,
        "micro_batch": batch,
        **{key: _median([getattr(c, f"parameters_{key}") for c in costs]) for key in _COUNTED},
        "gmacs": _median([c.gmacs for c in costs]),
        **{key: _median([getattr(c, key) for c in costs]) for key, _, _ in _MEASURED},
        "runs": len(runs),
        "partial": any(run.result.partial for run in runs),
        "stale": any(run.result.train.folder in stale for run in runs),
    }


def _median(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(statistics.median(known)) if known else math.nan


def partial_names(variants: Variants) -> list[str]:
    """The rows with a run that is no result to compare with."""
    return [name for name, runs in variants.items() if any(run.result.partial for run in runs)]


def _millions(header: str, key: str) -> Column:
    return replace(Column.figure(header, key, ".3f"), cell=partial(_in_millions, key=key))


def _in_millions(row: Row, key: str) -> str:
    return UNDEFINED if math.isnan(row[key]) else f"{row[key] / MILLION:.3f}"


def _device(row: Row) -> str:
    return f"{row['device']}, {row['threads']} thread{'s' * (row['threads'] != 1)}, batch {row['micro_batch']}"
