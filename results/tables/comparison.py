"""Methods against one another from stored records: what `compare` prints. The statistics are in `tables.statistics`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from results.store.confusion import Locate, counted
from results.store.record import RunRecord
from results.tables.classes_and_costs import by_variant
from results.tables.content import Content, elsewhere, gather
from results.tables.notes import measured
from results.tables.row_names import names_of
from results.tables.statistics import METRICS, REPLICATES, Counts, Difference, compare, counts_of, holm, shared
from results.tables.table import HEADERS, UNDEFINED, Column, Row, Table
from splits.errors import UserError

ALPHA = 0.05


@dataclass(frozen=True)
class Pair:
    """One method against another on the folds and seeds that both have."""

    a: str
    b: str
    found: Mapping[Any, Difference]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    left_out: int  # runs of either without a partner
    partial: bool  # is one of the runs part of the data, or a trial run?


def compare_records(
    records: Sequence[RunRecord], methods: Sequence[str], locate: Locate, fail_under: float | None = None
) -> tuple[list[Table], list[str]]:
    """The tables of every benchmark that has runs of all, and a line for each difference in hIoU that is too small.

    fail_under: in points; None: none is. Raises UserError where no benchmark has runs of all.
    """
    if len(methods) < 2:
        raise UserError(f"compare {methods[0]}: names one method; expected two or more")
    contents = [content for content in gather(records, {}) if has(content, methods)]
    if not contents:
        known = sorted({record.result.train.method for record in records})
        raise UserError(f"compare {' '.join(methods)}: no benchmark has runs of all; there are: {', '.join(known)}")
    tables, failed = [], []
    for content in contents:
        pairs = compare_content(content, methods, locate)
        tables += tables_of_pairs(content, pairs)
        failed += [] if fail_under is None else below(pairs, fail_under)
    return tables, failed


def compare_content(content: Content, methods: Sequence[str], locate: Locate) -> list[Pair]:
    """The first method against each of the others. Raises UserError for a name that is no row, or is several."""
    variants = by_variant(content.records, names_of(content))
    rows = [_row_named(method, variants) for method in methods]
    if len(set(rows)) != len(rows):
        raise UserError(f"compare {' '.join(methods)}: these are not different methods")
    runs = {name: _counts(variants[name], locate) for name in rows}
    partial = {name: any(run.result.partial for run in variants[name]) for name in rows}
    return [_pair(rows[0], other, runs[rows[0]], runs[other], partial[rows[0]] or partial[other]) for other in rows[1:]]


def has(content: Content, methods: Sequence[str]) -> bool:
    """Does this content have generalised runs of all of them, by method or by the name of a row?"""
    if content.episodic:
        return False
    there = set(names_of(content).values())
    if not content.source:  # weights trained elsewhere are compared where a row is named, never by the way
        there |= {record.result.train.method for record in content.records}
    return set(methods) <= there


def tables_of_pairs(content: Content, pairs: Sequence[Pair]) -> list[Table]:
    """Differences with their intervals, and the classes won and lost."""
    corrected = {metric: holm([pair.found[metric].p for pair in pairs]) for metric in METRICS}
    rows = [
        _row(pair, metric, pair.found[metric], corrected[metric][i])
        for i, pair in enumerate(pairs)
        for metric in METRICS
    ]
    columns = [
        Column.text("A", "a"),
        Column.text("B", "b"),
        Column("metric", lambda row: HEADERS[row["metric"]], numeric=False),
        Column.figure("A, %", "mean_a", ".2f", scale=100),
        Column.figure("B, %", "mean_b", ".2f", scale=100),
        Column.percent("A − B", "difference", _difference),
        Column("95 % interval", _interval),
        Column.figure("detectable", "detectable", ".2f", scale=100),
        Column("p (Holm)" if len(pairs) > 1 else "p", _p, value=lambda row: row["p_corrected"]),
        Column.text("verdict", "verdict"),
    ]
    whole = Table(
        title=f"{content.split.name}{elsewhere(content)}: paired differences, in points",
        frame=pd.DataFrame(rows),
        columns=tuple(columns),
        notes=(*_explained(content, pairs), *(line for pair in pairs for line in _classes(content, pair))),
        protocol=content.protocol,
        name="comparison",
    )
    return [whole]


def below(pairs: Sequence[Pair], points: float) -> list[str]:
    """A line for each pair whose difference in hIoU is under so many points, or undefined."""
    lines = []
    for pair in pairs:
        difference = 100 * pair.found["hiou"].difference
        if math.isnan(difference) or difference < points:
            lines.append(f"{pair.a} - {pair.b}: hIoU {difference:+.2f} points, under {points:+g}")
    return lines


def _row_named(method: str, variants: Mapping[str, Sequence[RunRecord]]) -> str:
    if method in variants:
        return method
    of_method = [name for name, runs in variants.items() if runs[0].result.train.method == method]
    if len(of_method) == 1:
        return of_method[0]
    known = "; ".join(of_method or variants)
    raise UserError(f"compare {method}: {'several rows have' if of_method else 'no row has'} this name: {known}")


def _counts(runs: Sequence[RunRecord], locate: Locate) -> dict[tuple[int, int], Counts]:
    found = {}
    for run in runs:
        side = run.result.evaluation.side
        per_image = counted(locate(run), ("per_image",)).get("per_image")
        if per_image is None:
            raise UserError(f"{locate(run)}: holds no counts of single images; score the run again")
        seen = side.scored_as_seen
        listed = f"{side.data.ids_sha256} {run.result.evaluation.limit}"
        counts = counts_of(per_image, run.result.images, seen, side.absent_class, listed)
        found[run.result.evaluation.fold, run.result.train.seed] = counts
    return found


def _pair(a: str, b: str, first: Mapping[Any, Counts], second: Mapping[Any, Counts], partial: bool) -> Pair:
    try:
        found = compare(first, second)
    except ValueError as error:
        raise UserError(f"compare {a} with {b}: {error}") from None
    folds, seeds = shared(first, second)
    return Pair(a, b, found, folds, seeds, len(first) + len(second) - 2 * len(folds) * len(seeds), partial)


def _row(pair: Pair, metric: str, found: Difference, corrected: float) -> dict[str, Any]:
    return {
        "a": pair.a,
        "b": pair.b,
        "metric": metric,
        "mean_a": found.a,
        "mean_b": found.b,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "detectable": found.detectable,
        "p": found.p,
        "p_corrected": corrected,
        "verdict": _verdict(found.difference, corrected),
        "seeds": len(pair.seeds),
        "folds": len(pair.folds),
    }


def _verdict(difference: float, p: float) -> str:
    if math.isnan(p):
        return "undefined"
    if p >= ALPHA:
        return "tie"
    return "A higher" if difference > 0 else "B higher"


def _explained(content: Content, pairs: Sequence[Pair]) -> list[str]:
    lines = list(measured(content))
    if any(pair.partial for pair in pairs):
        lines.append("Partial: some of these runs were made from or scored on part of the data; no result.")
    for pair in pairs:
        out = f"; {pair.left_out} runs without a partner left out" if pair.left_out else ""
        alone = "; one seed: this is about these weights, not about the methods" if len(pair.seeds) == 1 else ""
        lines.append(
            f"{pair.a} and {pair.b}: folds {', '.join(map(str, pair.folds))}, "
            f"seeds {', '.join(map(str, pair.seeds))}{out}{alone}."
        )
    lines.append(
        f"Intervals: paired over seeds and images; images drawn {REPLICATES} times, the seeds' part "
        "t-shaped (choices ours). Detectable: half the interval; a smaller difference is a tie."
    )
    if len(pairs) > 1:
        lines.append(
            f"{len(pairs)} comparisons of one metric: p is Holm-corrected and decides the verdict; intervals are not."
        )
    return lines


def _classes(content: Content, pair: Pair) -> list[str]:
    """Classes in which A is clearly higher, clearly lower, or neither; each interval for itself, uncorrected."""
    lines = []
    for seen, word in ((False, "unseen"), (True, "seen")):
        groups: dict[str, list[tuple[float, str]]] = {"A higher": [], "B higher": [], "tie": [], "undefined": []}
        for index, label in enumerate(content.split.classes):
            found = pair.found.get((index, seen))
            if found is not None:
                groups[_verdict(found.difference, found.p)].append((found.difference, label))
        counts = [
            f"{title} in {len(groups[key])}{_named(groups[key])}"
            for key, title in (("A higher", f"{pair.a} higher"), ("B higher", f"{pair.b} higher"))
        ]
        lines.append(f"Classes {word}: {'; '.join(counts)}; ties {len(groups['tie'])} (each at 95 %, uncorrected).")
    return lines


def _named(classes: Sequence[tuple[float, str]]) -> str:
    if not classes:
        return ""
    ordered = sorted(classes, key=lambda item: (-abs(item[0]), item[1]))
    return f" ({', '.join(f'{label} {100 * value:+.1f}' for value, label in ordered)})"


def _difference(row: Row) -> str:
    apart = row["difference"]
    return UNDEFINED if math.isnan(apart) else f"{round(100 * apart, 2) + 0.0:+.2f}"  # no -0.00


def _interval(row: Row) -> str:
    return UNDEFINED if math.isnan(row["low"]) else f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}"


def _p(row: Row) -> str:
    p = row["p_corrected"]
    return UNDEFINED if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
