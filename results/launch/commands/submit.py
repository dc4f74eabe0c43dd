"""`submit`: may these records go into a shared table? As a pull request with them would be checked."""

from __future__ import annotations

import argparse
import sys

from results.launch.commands import options as add
from splits.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which records."""
    parser = commands.add_parser(
        "submit", help="check records for a shared table: sound, whole grids, clean provenance; nothing is sent"
    )
    add.which_folders(parser)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """A line for each reason against it, then what there is; exit code 1 if there is one."""
    from results.launch.commands.parse import folders_of
    from results.store.folders import Stored, find_stored
    from results.store.shareable import refusals

    roots = folders_of(options)
    found = [item for root in roots for item in find_stored(root)]
    if not found:
        raise UserError(f"no record lies in {', '.join(map(str, roots))}")
    wrong = list(refusals(found))
    for line in wrong:
        print(line)
    rows = {(i.record.result.evaluation.benchmark, i.record.result.label) for i in found if isinstance(i, Stored)}
    for benchmark, label in sorted(rows):
        print(f"{benchmark}: {label}", file=sys.stderr)
    summary = f"{len(found)} records in {len(rows)} rows, {len(wrong)} reason{'s' * (len(wrong) != 1)} against them"
    print(summary, file=sys.stderr if wrong else sys.stdout)
    return 1 if wrong else 0
