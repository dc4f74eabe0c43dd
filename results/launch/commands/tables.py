"""`tables`: tables of stored records. Needs no data and no torch."""

from __future__ import annotations

import argparse

from results.launch.commands import options as add
from results.tables.forms import FORMS
from results.tables.kinds import DEFAULT, KINDS
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which records, which tables, in which form."""
    parser = commands.add_parser("tables", help="tables of stored records; needs no data and no torch")
    add.which_records(parser)
    parser.add_argument(
        "--show", nargs="+", choices=[*KINDS, "all"], help=f"which tables; default: {', '.join(DEFAULT)}"
    )
    parser.add_argument("--by", default="method", choices=["method", "fold"], help="fold: each fold for itself")
    parser.add_argument("--format", default=FORMS[0], choices=FORMS)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Print the tables; returns the exit code."""
    from results.launch.commands.parse import selection_of
    from results.store.selection import select, uncollected
    from results.tables.calibration import tuned_scores
    from results.tables.forms import printed
    from results.tables.published_alone import published_alone
    from results.tables.tables import build_tables

    kinds = KINDS if options.show and "all" in options.show else options.show or DEFAULT
    selection, alone = selection_of(options), tuple(kinds) == ("published",)
    with uncollected():
        found = select(selection, may_be_empty=alone)
        tuned = tuned_scores(found.stored) if "calibrated" in kinds else {}
        tables = build_tables(
            found.records, by=options.by, states=found.states, stale=found.stale, show=kinds, tuned=tuned
        )
        tables = tables or (published_alone(selection.benchmarks) if alone else [])
        if not tables:
            raise UserError(f"there is no table of {', '.join(kinds)} of these records")
        print(printed(tables, options.format), end="")
    return 0
