"""`status`: the state of every run of a request."""

from __future__ import annotations

import argparse

from results.launch.commands import options as add


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The runs, and whether to look again."""
    parser = commands.add_parser("status", help="the state of every run asked for")
    add.runs_and_targets(parser)
    parser.add_argument(
        "--watch", nargs="?", type=add.positive, const=10, metavar="SECONDS", help="look again until no run is at work"
    )
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """A line for each run; with `--watch` again and again until none is at work."""
    from results.launch.commands.parse import request_of, transfer_of
    from results.launch.execute.follow import print_states, watched
    from results.launch.execute.submission import statuses
    from results.launch.plan.transfer import runs_of
    from results.launch.run.data_state import DataStates

    request, files = request_of(options)
    runs = runs_of(request, files, transfer_of(options), options.runs)
    if options.watch is None:
        print_states(statuses(runs, options.runs, DataStates(request.data, look_only=True)))
    else:
        print_states(watched(runs, options.runs, options.watch))
    return 0
