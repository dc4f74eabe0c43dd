"""`tables`: tables of stored records. Needs no data and no torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from results.launch.commands import options as add
from results.tables.forms import FORMS
from results.tables.kinds import DEFAULT, KINDS
from results.tables.views import COLUMNS, DEFAULT_COLUMNS, NOTES, View
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which records, which tables, in which form."""
    parser = commands.add_parser("tables", help="tables of stored records; needs no data and no torch")
    add.which_records(parser)
    parser.add_argument(
        "--show", nargs="+", choices=[*KINDS, "all"], help=f"which tables; default: {', '.join(DEFAULT)}"
    )
    parser.add_argument(
        "--by",
        choices=["method", "fold"],
        help="fold: each fold for itself; default: method, but fold where no row has all folds",
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        default=DEFAULT_COLUMNS,
        choices=COLUMNS,
        help=f"of main tables and ablations; default: {', '.join(DEFAULT_COLUMNS)}",
    )
    parser.add_argument(
        "--notes",
        default="short",
        choices=NOTES,
        help="under each table; short: the rest stands once, in the appendix; default: %(default)s",
    )
    parser.add_argument("--format", default=FORMS[0], choices=FORMS, help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write one file a table there, instead of printing")
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Print the tables, or write them; returns the exit code."""
    from benchmarks.data.parallel import cores
    from results.launch.commands.parse import selection_of
    from results.store.selection import settled, uncollected
    from results.tables.forms import printed, write_each
    from results.tables.published_alone import published_alone
    from results.tables.selected_tables import chosen, selected_tables

    kinds = KINDS if options.show and "all" in options.show else tuple(options.show or DEFAULT)
    view = View(kinds, options.by, tuple(options.columns), options.notes)
    selection, alone = selection_of(options), kinds == ("published",)
    with uncollected():
        found, every, kept = chosen(selection, may_be_empty=alone, jobs=cores())
    with settled():
        tables = selected_tables(found, every, kept, view)
        tables = tables or (published_alone(selection.benchmarks, selection.settings) if alone else [])
        if not tables:
            raise UserError(f"there is no table of {', '.join(kinds)} of these records")
        if options.out is not None:
            print("\n".join(map(str, write_each(tables, options.format, options.out))))
            return 0
        if options.format == "csv" and len(tables) > 1:
            raise UserError(
                f"{len(tables)} tables do not fit one CSV; give --out DIR for a file each, or one of --show"
            )
        print(printed(tables, options.format), end="")
    return 0
