"""How much the constants that are ours move a method's hIoU: tables of settings drawn from their ranges.

A method's *spread* is the highest hIoU of its drawn settings and its own minus the lowest. A gain of one method over
another that is no larger than the spread of either could have come from our choice of constants, and is called not
established. A larger one is not thereby proven: `compare` says what chance could have done.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from benchmarks.spec import clip_words, protocol_of
from benchmarks.values import canonical_json
from results.store.record import RunRecord
from results.store.staleness import WHAT
from results.tables.aggregate import mean_over, tidy
from results.tables.content import Content, fold_range
from results.tables.notes import measured
from results.tables.table import HEADERS, PARTIAL_NOTE, STALE, Column, Row, Table
from splits.loader import load_split

METRICS = ("miou_seen", "miou_unseen", "hiou")


@dataclass(frozen=True)
class Point:
    """One setting of a method and the records of its runs."""

    drawn: Mapping[str, Any]  # config field -> value; empty for the setting that the method has without us
    records: tuple[RunRecord, ...]
    wanting: tuple[str, ...] = ()  # the state and reason of each run that has no record
    stale: bool = False

    def means(self, folds: Sequence[int]) -> dict[str, float]:
        """Metrics as fractions, over these folds and then over seeds; NaN where a run is wanting."""
        if self.wanting or not self.records:
            return dict.fromkeys(METRICS, math.nan)
        estimates = mean_over(tidy(self.records), folds).estimates
        return {metric: estimates[metric].mean for metric in METRICS}


@dataclass(frozen=True)
class Varied:
    """One method on one benchmark: as it is, and with its constants drawn."""

    name: str
    benchmark: str
    part: str
    folds: tuple[int, ...]
    seed: int  # of the draws
    default: Point
    points: tuple[Point, ...] = ()  # none: it is only held against the others
    ranges: Mapping[str, str] | None = None  # config field -> what it was drawn from, in words

    def hious(self) -> list[float]:
        """hIoU of each drawn setting whose runs are all there."""
        values = [point.means(self.folds)["hiou"] for point in self.points]
        return [value for value in values if not math.isnan(value)]

    @property
    def spread(self) -> float:
        """Highest minus lowest hIoU of the drawn settings and the default; NaN of fewer than two drawn ones."""
        values, default = self.hious(), self.default.means(self.folds)["hiou"]
        if len(values) < 2:
            return math.nan
        every = values if math.isnan(default) else [*values, default]  # the default is one more choice of ours
        return max(every) - min(every)

    @property
    def records(self) -> list[RunRecord]:
        """Every record of it."""
        return [record for point in (self.default, *self.points) for record in point.records]


def tables_of(methods: Sequence[Varied]) -> list[Table]:
    """Of one benchmark and part: the spreads, the gains beside them, and each drawn method setting by setting."""
    drawn = [method for method in methods if method.points]
    return [_summary(drawn), *([_gains(methods)] if len(methods) > 1 else []), *map(_settings, drawn)]


def _title(method: Varied) -> str:
    part = "" if method.part == "val" else f", {method.part} part"
    folds = f"mean over folds {fold_range(method.folds)}" if len(method.folds) > 1 else f"fold {method.folds[0]}"
    return f"{method.benchmark}{part}, {folds}, in percent"


def _summary(methods: Sequence[Varied]) -> Table:
    rows = []
    for method in methods:
        values = method.hious()
        rows.append(
            {
                "method": method.name,
                "constants": len(method.ranges or {}),
                "settings": len(values),
                "asked": len(method.points),
                "failed": sum(any(word.startswith("failed") for word in point.wanting) for point in method.points),
                "default": method.default.means(method.folds)["hiou"],
                "low": min(values, default=math.nan),
                "median": statistics.median(values or [math.nan]),
                "high": max(values, default=math.nan),
                "spread": method.spread,
            }
        )
    columns = [
        Column.text("method", "method"),
        Column.figure("constants", "constants", ".0f"),
        Column("settings", _there),
        Column.figure("failed", "failed", ".0f"),
        *(Column.figure(name, key, ".1f", 100) for name, key in _SUMMARISED.items()),
    ]
    notes = [
        *_measured(methods),
        "hIoU of settings drawn from the ranges of the constants that are ours, not an author's, all drawn at once; "
        "default: with the constants that the method has here; spread: the highest of all these minus the lowest, the "
        "default included; more settings can only widen it. The recipe (rate, length, batch) is not drawn.",
        *_chance(methods),
        *_marks(methods),
    ]
    title = f"Sensitivity to our own constants: hIoU on {_title(methods[0])}"
    return Table(title, pd.DataFrame(rows), tuple(columns), tuple(notes), _protocol(methods), "sensitivity")


_SUMMARISED = {"default": "default", "min": "low", "median": "median", "max": "high", "spread": "spread"}


def _there(row: Row) -> str:
    return str(row["asked"]) if row["settings"] == row["asked"] else f"{row['settings']} of {row['asked']}"


def _gains(methods: Sequence[Varied]) -> Table:
    """Every pair, the better one first, the gain at default constants beside the wider spread of the two."""
    values = {method.name: method.default.means(method.folds)["hiou"] for method in methods}
    rows: list[dict[str, Any]] = []
    for one, other in combinations(methods, 2):
        better, worse = (one, other) if values[one.name] >= values[other.name] else (other, one)
        spreads = {method.name: method.spread for method in (one, other) if not math.isnan(method.spread)}
        if not spreads or math.isnan(values[one.name] - values[other.name]):
            continue
        widest = max(spreads, key=lambda name: spreads[name])
        gain = values[better.name] - values[worse.name]
        rows.append(
            {
                "better": better.name,
                "worse": worse.name,
                "gain": gain,
                "spread": spreads[widest],
                "spread_of": widest,
                "larger": gain > spreads[widest],
                "verdict": "larger than the spread" if gain > spreads[widest] else "not established",
            }
        )
    rows.sort(key=lambda row: (row["better"], row["worse"]))
    notes = [
        f"Not established: the gain of {row['better']} over {row['worse']} ({100 * row['gain']:.1f}) is no larger "
        f"than the spread of {row['spread_of']} over our own constants ({100 * row['spread']:.1f})."
        for row in rows
        if not row["larger"]
    ]
    if unknown := [name for name, value in values.items() if math.isnan(value)]:
        notes.append(f"Not compared: without all runs at default constants are {', '.join(unknown)}.")
    if all(math.isnan(method.spread) for method in methods):
        notes.append("No method has a spread, which takes two settings.")
    title = f"Gains in hIoU at default constants beside the spread: {_title(methods[0])}"
    frame = pd.DataFrame(rows, columns=["better", "worse", "gain", "spread", "spread_of", "larger", "verdict"])
    return Table(title, frame, _GAIN_COLUMNS, tuple(notes), _protocol(methods), "gains")


_GAIN_COLUMNS = (
    Column.text("gain of", "better"),
    Column.text("over", "worse"),
    Column.figure("points", "gain", ".1f", 100),
    Column.figure("spread", "spread", ".1f", 100),
    Column.text("of", "spread_of"),
    Column.text("verdict", "verdict"),
)


def _settings(method: Varied) -> Table:
    rows = []
    for number, point in enumerate((method.default, *method.points)):
        wanting = f"{len(point.wanting)} wanting: {'; '.join(dict.fromkeys(point.wanting))}" if point.wanting else ""
        rows.append(
            {
                "method": method.name,
                "setting": str(number) if number else "default",
                **point.means(method.folds),
                "runs": len(point.records),
                "partial": any(record.result.partial for record in point.records),
                "stale": point.stale,
                "wanting": wanting,
                **{field: _plain(point.drawn[field]) for field in point.drawn},
            }
        )
    columns = [
        Column.named("setting", "setting"),
        *(Column.figure(HEADERS[key], key, ".1f", 100) for key in METRICS),
        Column.figure("runs", "runs", ".0f"),
    ]
    if any(row["wanting"] for row in rows):
        columns.append(Column.text("not there", "wanting"))
    ranges = "; ".join(f"{field} {words}" for field, words in (method.ranges or {}).items())
    notes = [f"Drawn with seed {method.seed}, each value as --format csv lists it: {ranges}.", *_made_with(method)]
    return Table(
        f"{method.name}, setting by setting: {_title(method)}",
        pd.DataFrame(rows),
        tuple(columns),
        tuple(notes),
        _protocol([method]),
        f"settings-{method.name}",
    )


def _plain(value: Any) -> Any:
    return canonical_json(value) if isinstance(value, list | tuple) else value


def _protocol(methods: Sequence[Varied]) -> Any:
    records = [record for method in methods for record in method.records]
    return protocol_of(records[0].result.train, records[0].result.evaluation) if records else None


def _measured(methods: Sequence[Varied]) -> Iterator[str]:
    """What the numbers are of: the benchmark's note, the part, the protocol, how many folds of how many."""
    first, split = methods[0], load_split(methods[0].benchmark)
    records = [record for method in methods for record in method.records]
    yield from measured(Content(split, part=first.part, protocol=_protocol(methods), records=records))
    folds = tuple(fold.index for fold in split.folds)
    if first.folds != folds:
        yield f"Folds {fold_range(first.folds)} of {fold_range(folds)}: no mean over the benchmark."
    if any(record.result.evaluation.tuned_on_test for record in records):
        yield "Settings were compared on the scored images themselves (--tune-on-test), no result."


def _chance(methods: Sequence[Varied]) -> Iterator[str]:
    if len({record.result.train.seed for method in methods for record in method.records}) == 1:
        yield "One training seed: the spread holds what another seed would have changed, too."


def _marks(methods: Sequence[Varied]) -> Iterator[str]:
    if any(record.result.partial for method in methods for record in method.records):
        yield PARTIAL_NOTE
    if any(point.stale for method in methods for point in (method.default, *method.points)):
        yield f"{STALE} stale: {WHAT} have changed since."


def _made_with(method: Varied) -> Iterator[str]:
    records = method.records
    if records:
        train = records[0].result.train
        seeds = ", ".join(map(str, sorted({record.result.train.seed for record in records})))
        yield f"CLIP {clip_words(train.clip)}, {train.recipe.name} recipe, training seeds {seeds}."
