"""The commands that only look at stored records: tables, comparisons, the report, the export. No torch, no data."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.catalogue import benchmark
from results.launch.plan.runs import is_stale, methods_named
from results.store.folders import CorruptRecord, Stored, find_stored, unfinished
from results.store.record import RunRecord
from results.tables.content import gather
from results.tables.kinds import DEFAULT, KINDS, Kind
from results.tables.table import Table
from results.tables.tables import build_tables
from splits.errors import UserError


@dataclass
class Found:
    """What lies below the roots, filtered as asked."""

    stored: list[Stored] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)  # of runs without a record: folder -> state and reason
    stale: frozenset[str] = frozenset()

    @property
    def records(self) -> list[RunRecord]:
        """The records alone."""
        return [stored.record for stored in self.stored]


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: with thousands of live records each pass over them costs more than reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_uncollected()
def print_tables(options: argparse.Namespace) -> int:
    """Tables from stored records alone."""
    found = find(options)
    shown: Collection[Kind] = KINDS if options.show and "all" in options.show else options.show or DEFAULT
    tables = build_tables(found.records, by=options.by, states=found.states, stale=found.stale, show=shown)
    if not tables:
        raise UserError(f"there is no table of {', '.join(shown)} of these records")
    print(rendered(tables, options.format), end="")
    return 0


def rendered(tables: Sequence[Table], form: str) -> str:
    """The tables as Markdown, LaTeX, CSV or HTML."""
    if form == "html":
        from results.tables.html import html

        return html(tables)
    if form == "latex":
        from results.tables.latex import latex

        return "\n".join(latex(table) for table in tables)
    return "\n".join(table.csv() if form == "csv" else table.markdown() for table in tables)


def find(options: argparse.Namespace) -> Found:
    """Everything below `options.roots` that passes the filters; what cannot be trusted is told on stderr."""
    found = Found()
    for root in options.roots:
        if not root.is_dir():
            raise UserError(f"{root} is no folder of runs; give one with --from, or run something first")
        found.stored += _readable(root)
        found.states |= {folder: words for folder, words in unfinished(root).items() if _wanted_folder(folder, options)}
    found.stored = [stored for stored in found.stored if _wanted(stored.record, options)]
    if not found.stored and not found.states:
        raise UserError(f"no record in {', '.join(map(str, options.roots))} fits; `status` says what has been run")
    found.stale = frozenset(r.result.train.folder for r in found.records if is_stale(r))
    return found


def _wanted(record: RunRecord, options: argparse.Namespace) -> bool:
    train, scored = record.result.train, record.result.evaluation.benchmark
    settings = options.settings or [train.side.setting]
    return _wanted_place(scored, train.method, options) and train.side.setting in settings


def _wanted_folder(folder: str, options: argparse.Namespace) -> bool:
    place, method, _ = folder.split("/")
    return _wanted_place(place, method, options)


def _wanted_place(place: str, method: str, options: argparse.Namespace) -> bool:
    methods = methods_named(options.methods) if options.methods else [method]
    places = [benchmark(name).name for name in options.benchmarks] if options.benchmarks else [place]
    return method in methods and place in places


def _readable(root: Path) -> list[Stored]:
    stored = []
    for found in find_stored(root):
        if isinstance(found, CorruptRecord):
            print(f"left out: {found}", file=sys.stderr)
        else:
            stored.append(found)
    return stored


@_uncollected()
def print_comparison(options: argparse.Namespace) -> int:
    """Paired differences of the first method named to each of the others; 1 where the gate is not passed."""
    from results.tables.comparison import below, compare_content, has, tables_of_comparison
    from results.tables.families import reader

    if len(options.compared) < 2:
        raise UserError(f"compare {options.compared[0]}: names one method; expected two or more")
    found = find(options)
    paths = {s.record.result.confusion_sha256: s.confusion for s in found.stored}
    read = reader(lambda r: paths[r.result.confusion_sha256])
    contents = [content for content in gather(found.records, {}) if has(content, options.compared)]
    if not contents:
        known = sorted({record.result.train.method for record in found.records})
        raise UserError(
            f"compare {' '.join(options.compared)}: no benchmark has runs of all; there are: {', '.join(known)}"
        )
    failed: list[str] = []
    tables: list[Table] = []
    for content in contents:
        compared = compare_content(content, options.compared, read, delta=options.delta / 100, over=options.over)
        tables += tables_of_comparison(content, compared, read)
        if options.fail_under is not None:
            failed += below(compared, options.fail_under)
    print(rendered(tables, options.format), end="")
    for line in failed:
        print(f"gate: {line}", file=sys.stderr)
    return 1 if failed else 0


@_uncollected()
def write_export(options: argparse.Namespace) -> int:
    """Every field of every record, as CSV or parquet."""
    from results.tables.export import export

    found = find(options)
    if not found.stored:
        raise UserError("no run has a record yet: there is nothing to export")
    print(f"{export(found.records, options.out)} records in {options.out}")
    return 0


@_uncollected()
def write_report(options: argparse.Namespace) -> int:
    """The page of stored records, and its figures as files where asked."""
    from results.report.page import render
    from results.store.files import write_atomically

    found = find(options)
    paths = {s.record.result.confusion_sha256: s.confusion for s in found.stored}
    text = render(
        found.records,
        lambda record: paths[record.result.confusion_sha256],
        states=found.states,
        stale=found.stale,
        pictures=sorted(options.pictures.glob("*.png")) if options.pictures.is_dir() else (),
        figures_to=options.figures,
    )
    write_atomically(options.out, text.encode())
    print(options.out)
    return 0
