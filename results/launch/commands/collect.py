"""`collect`: wait for submitted runs, then print the tables."""

from __future__ import annotations

import argparse

from results.launch.commands import execution_options
from results.launch.commands import options as add


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The runs, and how often to look."""
    parser = commands.add_parser("collect", help="wait for submitted runs, then print the tables")
    add.runs_and_targets(parser)
    execution_options.interval(parser)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Wait until no run is at work, then print the tables; returns the exit code."""
    from results.launch.commands.parse import request_of, transfer_of
    from results.launch.execute.cluster import wait_for
    from results.launch.execute.grid import print_tables
    from results.launch.execute.submission import statuses
    from results.launch.plan.transfer import runs_of
    from results.launch.run.data_state import DataStates

    request, files = request_of(options)
    runs = runs_of(request, files, transfer_of(options), options.runs)
    wait_for(runs, options.runs, options.interval)
    return print_tables(statuses(runs, options.runs, DataStates(request.data, look_only=True)), options.runs)
