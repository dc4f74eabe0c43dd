"""`results verify`: are stored records what they say?"""

from __future__ import annotations

import argparse
import sys

from results.launch.commands import options as add
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The one thing to do with results."""
    parser = commands.add_parser("results", help="look after stored records")
    verify = parser.add_subparsers(required=True, metavar="verify").add_parser(
        "verify", help="recompute every record's numbers; a line for each problem; exit code 1 if there is one"
    )
    add.which_folders(verify)
    verify.add_argument("--jobs", type=add.positive, metavar="N", help="processes; default: one a core")
    verify.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """A line for each problem, and how many records were looked at; exit code 1 if there is a problem."""
    from benchmarks.data.parallel import cores
    from results.launch.commands.parse import folders_of
    from results.store.verify_many import problems_below

    roots = folders_of(options)
    wrong, seen = 0, 0
    for found in problems_below(roots, options.jobs or cores()):
        if isinstance(found, int):
            seen = found
        else:
            wrong += 1
            print(found, flush=True)
    if not (seen or wrong):
        raise UserError(f"no record in {', '.join(map(str, roots))}; expected <benchmark>/<method>/<run> below")
    summary = f"{seen} records, {wrong} problem{'s' * (wrong != 1)}"
    print(summary, file=sys.stderr if wrong else sys.stdout)
    return 1 if wrong else 0
