"""`cancel`: cancel submitted runs that have not ended."""

from __future__ import annotations

import argparse

from results.launch.commands import options as add


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The runs."""
    parser = commands.add_parser("cancel", help="cancel submitted runs that have not ended")
    add.runs_and_targets(parser)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Cancel the living cluster jobs of the runs; returns the exit code."""
    from results.launch.commands.parse import request_of, transfer_of
    from results.launch.execute.cluster import cancel_grid
    from results.launch.plan.transfer import runs_of

    return cancel_grid(runs_of(*request_of(options), transfer_of(options), options.runs), options.runs)
