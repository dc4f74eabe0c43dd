"""`compare`: is one method better than another? Paired differences of stored records, with intervals."""

from __future__ import annotations

import argparse
import sys

from results.launch.commands import options as add
from results.launch.commands.parser import finite
from results.tables.forms import FORMS
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which methods, which records, and the gate."""
    parser = commands.add_parser("compare", help="paired differences of methods, with intervals and verdicts")
    parser.add_argument(
        "compared", nargs="+", metavar="A B", help="methods or rows of a table; A against each other one"
    )
    add.which_records(parser, methods=False)  # verdicts are one family: all rows count
    parser.add_argument(
        "--folds", nargs="+", type=add.natural, default=[], metavar="K", help="these alone; default: all"
    )
    parser.add_argument(
        "--over",
        default="images",
        choices=["images", "classes"],
        help="what an interval is over, besides seeds; classes: other unseen classes than these; default: %(default)s",
    )
    parser.add_argument(
        "--delta",
        type=finite,
        default=1.0,
        metavar="POINTS",
        help="smaller differences are equivalent; default: %(default)g",
    )
    parser.add_argument("--format", default=FORMS[0], choices=FORMS, help="default: %(default)s")
    parser.add_argument(
        "--fail-under",
        type=finite,
        metavar="POINTS",
        help="exit code 1 where A - B in hIoU is less than this, in points",
    )
    parser.set_defaults(command=main, methods=None)


def main(options: argparse.Namespace) -> int:
    """Print the differences of the first method to each of the others; 1 where the gate is not passed."""
    from results.launch.commands.parse import selection_of
    from results.store.selection import select, settled, uncollected
    from results.tables.comparison import Wanted, compare_records, one_csv
    from results.tables.forms import printed
    from results.tables.selected_tables import described

    if len(options.compared) < 2:
        raise UserError(f"compare {options.compared[0]}: names one method; expected two or more")
    with uncollected():
        selection = selection_of(options)
        found = described(select(selection, every_loss=False), selection)
    with settled():
        wanted = Wanted(
            tuple(options.compared), options.over, options.delta / 100, options.fail_under, tuple(options.folds)
        )
        tables, failed = compare_records(found.records, wanted, found.confusion, found.stale)
        print(one_csv(tables) if options.format == "csv" else printed(tables, options.format), end="")
    for line in failed:
        print(f"gate: {line}", file=sys.stderr)
    return 1 if failed else 0
