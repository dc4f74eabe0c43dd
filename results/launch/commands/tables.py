"""`tables`: tables of stored records. Needs no data and no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from results.launch.commands import options as add
from results.tables.forms import FORMS
from results.tables.kinds import DEFAULT, KINDS, Kind
from results.tables.views import BYS, COLUMNS, DEFAULT_COLUMNS, NOTES, View
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
        choices=BYS,
        help="fold: each fold for itself; default: method, but fold where no row has all folds",
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        choices=COLUMNS,
        help=f"of main tables and ablations; default: {', '.join(DEFAULT_COLUMNS)}",
    )
    parser.add_argument(
        "--notes",
        choices=NOTES,
        help="under each table; short: the rest stands once, in the appendix; none: no appendix either; default: short",
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
    from results.tables.table import without_notes

    kinds = KINDS if options.show and "all" in options.show else tuple(options.show or DEFAULT)
    _check(options, kinds)
    view = View(kinds, options.by, tuple(options.columns or DEFAULT_COLUMNS), options.notes or "short")
    selection, alone = selection_of(options), kinds == ("published",)
    with uncollected():
        found, every, kept = chosen(selection, may_be_empty=alone, jobs=cores())
    with settled():
        tables = selected_tables(found, every, kept, view)
        if alone and not tables:
            tables = published_alone(selection.benchmarks, selection.settings)
            tables = without_notes(tables) if view.notes == "none" else tables
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


def _check(options: argparse.Namespace, kinds: Sequence[Kind]) -> None:
    """Raise UserError for an option that would be ignored."""
    if options.notes in ("short", "full") and options.format == "csv":
        raise UserError(f"--notes {options.notes}: a CSV has no notes; leave --notes out, or choose another --format")
    if options.notes in ("none", "full") and "appendix" in (options.show or ()):
        raise UserError(f"--show appendix: it is what short notes leave out; leave --notes {options.notes} out")
    for name in ("columns", "by"):
        if getattr(options, name) and not {"main", "ablations", "appendix"} & set(kinds):
            raise UserError(f"--{name}: none of {', '.join(kinds)} has such a choice; leave it out, or --show main")
