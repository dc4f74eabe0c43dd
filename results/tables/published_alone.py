"""Tables of the register alone, without any run of ours: what the literature printed for each benchmark."""

from __future__ import annotations

import math
from collections.abc import Collection

import pandas as pd

from benchmarks.catalogue import BENCHMARKS
from benchmarks.open_vocabulary import SETS
from results.tables.published_numbers import PLACES
from results.tables.register import METRICS, OPEN, Published, gains, numbers, open_vocabulary, published
from results.tables.sets import published_sets
from results.tables.table import HEADERS, UNDEFINED, Column, Table

_NOTES = (
    "As printed, in percent; no run of this harness stands here. Whether two rows compare depends on their settings, "
    "backbones and sizes, which the sources do not all state.",
)


def published_alone(benchmarks: Collection[str] = (), settings: Collection[str] = ()) -> list[Table]:
    """A table for each benchmark of the register, or for these: generalised rows, episodic folds, open vocabularies.

    Gains have a table of their own. A benchmark with a fold that the literature has a name for has the rows of that
    name. settings: of generalised rows and gains these alone; empty: all.
    """
    named = {*benchmarks, *(PLACES[name][0] for name in benchmarks if name in PLACES)}
    rows = [row for row in published() if not named or row.benchmark in named]
    rows = [row for row in rows if not settings or row.setting in settings]
    names = list(dict.fromkeys(row.benchmark for row in rows))
    tables = [_generalised(name, [row for row in rows if row.benchmark == name]) for name in names]
    tables += _gains(named, settings)
    items = dict.fromkeys(n.benchmark for n in numbers() if n.kind == "episodic-binary")
    tables += [_items(name) for name in items if not benchmarks or name in benchmarks]
    asked = dict.fromkeys(n.benchmark for n in numbers() if n.kind == OPEN)
    together = [name for name in SETS if not benchmarks or name in benchmarks]
    in_one = together if len(together) > 1 else ()
    singly = [name for name in asked if not benchmarks or (name in benchmarks and name not in in_one)]
    return [*tables, *map(_open, singly), *(published_sets(together) if in_one else ())]


def _generalised(name: str, rows: list[Published]) -> Table:
    sources = list(dict.fromkeys(row.source for row in rows))
    frame = pd.DataFrame(
        [
            {"method": row.method, "setting": row.setting, "backbone": row.backbone, "source": row.source}
            | {metric: _fraction(getattr(row, metric)) for metric in METRICS}
            | {"source_number": sources.index(row.source) + 1, "note": row.note}
            for row in rows
        ]
    )
    columns = (
        Column.text("published method", "method"),
        Column.text("setting", "setting"),
        Column("backbone", lambda row: row["backbone"] or UNDEFINED, numeric=False),
        *(Column.figure(HEADERS[metric], metric, ".1f", scale=100) for metric in METRICS),
        Column("source", lambda row: f"[{row['source_number']}]", numeric=False),
    )
    cited = [f"[{number}] {source}." for number, source in enumerate(sources, 1)]
    folds = [f"The same as fold {fold} of {of}." for of, (known, fold) in PLACES.items() if known == name]
    noted = [f"{row.method}, {row.setting}: {row.note}." for row in rows if row.note]
    return Table(f"{name}: published", frame, columns, (*_NOTES, *folds, *cited, *noted), None, f"published-{name}")


def _gains(named: Collection[str], settings: Collection[str]) -> list[Table]:
    """Gains that are stated without a table; those on benchmarks that no text names go with any of generalised rows."""
    generalised = {row.benchmark for row in published()} | {gain.benchmark for gain in gains()}
    rows = [
        {
            "method": gain.method,
            "benchmark": gain.benchmark,
            "setting": gain.setting,
            "gain": gain.value / 100,
            "source": gain.source,
            "note": gain.note,
        }
        for gain in gains()
        if (not settings or gain.setting in settings)
        and (not named or gain.benchmark in named or (gain.benchmark not in BENCHMARKS and generalised & {*named}))
    ]
    columns = (
        Column.text("published method", "method"),
        Column.text("benchmark", "benchmark"),
        Column.text("setting", "setting"),
        Column.figure("gain", "gain", "+.1f", scale=100),
        Column.text("source", "source"),
        Column.text("note", "note"),
    )
    title = "generalised: published gains in hIoU, in points"
    return [Table(title, pd.DataFrame(rows), columns, (_GAIN_NOTE,), None, "published-gains")] if rows else []


_GAIN_NOTE = "Stated without a table, over rows that the sources do not all name: a gain is no value to compare with."


def _items(name: str) -> Table:
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    of = [number for number in numbers() if number.kind == "episodic-binary" and number.benchmark == name]
    for number in of:
        found.setdefault((number.method, number.backbone, number.source), {})[number.fold] = number.value
    places = sorted({number.fold for number in of})
    frame = pd.DataFrame(
        [
            {"method": method, "backbone": backbone, "source": source}
            | {place: _fraction(values.get(place)) for place in places}
            for (method, backbone, source), values in found.items()
        ]
    )
    columns = (
        Column.text("published method", "method"),
        Column.text("backbone", "backbone"),
        *(Column.figure(p if p == "mean" else f"fold {p}", p, ".1f", scale=100) for p in places),
        Column.text("source", "source"),
    )
    title = f"{name}: published (episodic-binary), mIoU"
    return Table(title, frame, columns, _NOTES, None, f"published-{name}-episodic")


def _open(name: str) -> Table:
    found = sorted(open_vocabulary(name), key=lambda n: (n.method, n.backbone, n.source))
    sources = list(dict.fromkeys(n.source for n in found))
    rows = [
        {
            "method": n.method,
            "backbone": n.backbone,
            "miou": _fraction(n.value),
            "source": n.source,
            "source_number": sources.index(n.source) + 1,
        }
        for n in found
    ]
    columns = (
        Column.text("published method", "method"),
        Column.text("backbone", "backbone"),
        Column.figure("mIoU", "miou", ".2f", scale=100),
        Column("source", lambda row: f"[{row['source_number']}]", numeric=False),
    )
    cited = [f"[{number}] {source}." for number, source in enumerate(sources, 1)]
    title = f"{name}: published (open-vocabulary), mIoU"
    return Table(title, pd.DataFrame(rows), columns, (*_NOTES, _OPEN_NOTE, *cited), None, f"published-{name}-open")


_OPEN_NOTE = (
    "Open vocabulary: no class is unseen, so nothing here compares with mIoU(U) or hIoU. Names of classes, sizes, "
    "thresholds on background and refinement (PAMR) differ between sources and move these numbers by points."
)


def _fraction(printed: float | None) -> float:
    return math.nan if printed is None else round(printed / 100, 6)
