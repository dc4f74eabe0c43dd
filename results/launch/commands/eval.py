"""`eval`: score finished weights under another evaluation, benchmark or fold, without training."""

from __future__ import annotations

import argparse

from results.launch.commands import execution_options
from results.launch.commands import options as add


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """As `run`, and where to score."""
    parser = commands.add_parser("eval", help="score finished weights under another evaluation, without training")
    add.runs_and_targets(parser)
    execution_options.how_to_execute(parser)
    execution_options.on_a_cluster(parser)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Score what is not scored yet, and print the tables; returns the exit code."""
    from results.launch.commands.parse import execution_of, request_of, transfer_of
    from results.launch.execute.grid import make_runs
    from results.launch.plan.transfer import runs_of

    request, files = request_of(options)
    execution = execution_of(options, train=False)
    return make_runs(request, files, execution, runs_of(request, files, transfer_of(options), execution.root))
