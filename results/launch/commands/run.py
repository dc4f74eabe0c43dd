"""`run`: train and score what is not there yet, print the tables. The default command."""

from __future__ import annotations

import argparse

from results.launch.commands import execution_options
from results.launch.commands import options as add


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Everything that a run may be given."""
    parser = commands.add_parser("run", help="train, score, tabulate; the default command")
    add.what_to_run(parser)
    add.how_to_score(parser)
    execution_options.how_to_execute(parser)
    execution_options.on_a_cluster(parser)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Make the runs and print their tables; returns the exit code."""
    from results.launch.commands.parse import execution_of, request_of
    from results.launch.execute.grid import make_runs
    from results.launch.plan.transfer import runs_of

    request, files = request_of(options)
    execution = execution_of(options)
    return make_runs(request, files, execution, runs_of(request, files, None, execution.root))
