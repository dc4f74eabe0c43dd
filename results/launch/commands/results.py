"""`results verify`: are stored records what they say?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from results.store.places import runs_folder
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The one thing to do with results."""
    parser = commands.add_parser("results", help="look after stored records")
    verify = parser.add_subparsers(required=True, metavar="verify").add_parser(
        "verify", help="recompute every record's numbers; a line for each problem; exit code 1 if there is one"
    )
    verify.add_argument("--from", dest="roots", nargs="+", type=Path, default=[runs_folder()], metavar="DIR")
    verify.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """A line for each problem, and how many records were looked at; exit code 1 if there is a problem."""
    from results.store.folders import find_stored
    from results.store.verify import problems

    for root in options.roots:
        if not root.is_dir():
            raise UserError(f"--from {root}: is no folder of runs")
    found = [item for root in options.roots for item in find_stored(root)]
    wrong = list(problems(found))
    for line in wrong:
        print(line)
    summary = f"{len(found)} records, {len(wrong)} problem{'s' * (len(wrong) != 1)}"
    print(summary, file=sys.stderr if wrong else sys.stdout)
    return 1 if wrong else 0
