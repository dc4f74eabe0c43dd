"""`export`: stored records for people's own analyses: tidy tables, every field, or hours of compute."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results.launch.commands import options as add
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which records, what of them, and where to write."""
    parser = commands.add_parser("export", help="records as tidy tables, as one table of every field, or hours")
    add.which_records(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="a folder: tables runs, classes, images, sweeps and their dictionary; a name ending in .csv or .parquet: "
        "every field of every record as one table",
    )
    parser.add_argument(
        "--format",
        nargs="+",
        choices=["csv", "parquet"],
        default=(),
        help="of a folder's tables; default: csv, and parquet where pyarrow is installed",
    )
    parser.add_argument(
        "--compute", action="store_true", help="instead: hours and energy over all attempts, by method and device"
    )
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Write, or print the hours where no --out is given; returns the exit code."""
    from results.launch.commands.parse import selection_of
    from results.store.selection import select, uncollected

    if options.out is None and not options.compute:
        raise UserError("export: give also --out, a folder or a file (or --compute, which prints)")
    single = options.out is not None and bool(options.out.suffix)
    if options.format and (single or options.compute):
        raise UserError("--format is of a folder's tables: the name of a file says its format")
    with uncollected():
        found = select(selection_of(options), every_loss=single)
        if not found.stored:
            raise UserError("no run has a record yet: there is nothing to export")
        if options.compute:
            return _compute(options, found.records)
        if single:
            from results.tables.export import export

            print(f"{export(found.records, options.out, found.stale)} records in {options.out}")
            return 0
        from results.tables.export_tables import export_tables

        counts = export_tables(found.stored, found.stale, options.out, options.format)
        words = ", ".join(f"{table} {count:,} rows" for table, count in counts.items())
        print(f"{len(found.stored)} records in {options.out}: {words}; dictionary.csv says what the columns mean")
    return 0


def _compute(options: argparse.Namespace, records: Sequence[Any]) -> int:
    from results.store.files import write_atomically
    from results.tables.compute import compute_table

    table = compute_table(records)
    if options.out is None:
        print(table.markdown(), end="")
        return 0
    if options.out.suffix != ".csv":
        raise UserError(f"--out {options.out}: hours are written as .csv")
    write_atomically(options.out, table.csv().encode())
    print(f"{len(table.frame)} rows in {options.out}")
    return 0
