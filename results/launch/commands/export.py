"""`export`: every field of every stored record, as CSV or parquet."""

from __future__ import annotations

import argparse
from pathlib import Path

from results.launch.commands import options as add
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which records, and the file to write."""
    parser = commands.add_parser("export", help="every field of every record, as CSV or parquet")
    add.which_records(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="ending in .csv or .parquet")
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Write the file; returns the exit code."""
    from results.launch.commands.parse import selection_of
    from results.store.selection import select, uncollected
    from results.tables.export import export

    with uncollected():
        found = select(selection_of(options))
        if not found.stored:
            raise UserError("no run has a record yet: there is nothing to export")
        print(f"{export(found.records, options.out)} records in {options.out}")
    return 0
