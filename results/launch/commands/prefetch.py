"""`prefetch`: fetch the weights that runs need from the net into this machine's cache."""

from __future__ import annotations

import argparse

from results.launch.commands import options as add


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The runs."""
    parser = commands.add_parser("prefetch", help="fetch the weights of a grid, CLIP's and the bodies', into the cache")
    add.what_to_run(parser)
    add.how_to_score(parser)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """A line for all weights that are here then; returns the exit code."""
    from results.launch.commands.parse import request_of
    from results.launch.plan.runs import plan
    from results.launch.run.prefetch import fetched

    request, _ = request_of(options)
    lines = fetched(plan(request))
    print(next(lines, "nothing to fetch: these runs need no weights from the net"))
    for line in lines:
        print(line)
    return 0
