"""`check-determinism`: does a run come out the same bit for bit, whichever way it is made?"""

from __future__ import annotations

import argparse

from results.launch.commands import execution_options
from results.launch.commands import options as add
from results.launch.plan.request import Repetition


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Runs to make several times; short ones, unless said otherwise."""
    parser = commands.add_parser("check-determinism", help="train and score several ways, compare bit for bit")
    add.what_to_run(parser, folds=[0], limit=12)
    add.how_to_score(parser)
    group = parser.add_argument_group("how to repeat")
    group.add_argument("--method", dest="methods", nargs="+", metavar="M", help="the same as --methods")
    group.add_argument(
        "--worker-counts",
        nargs="*",
        type=add.positive,
        default=list(Repetition.worker_counts),
        metavar="N",
        help="loader processes; default: 2",
    )
    group.add_argument(
        "--resume-every",
        type=add.positive,
        default=Repetition.resume_every,
        metavar="K",
        help="stop and go on at every K-th step; default: %(default)s",
    )
    execution_options.threads(group)
    execution_options.device(group)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """A line for each run and way; exit code 1 where anything differs."""
    from results.launch.commands.parse import request_of
    from results.launch.run.determinism import compared_runs

    request, files = request_of(options)
    repetition = Repetition(tuple(options.worker_counts), options.resume_every, options.threads, options.device)
    differed = False
    for line, same in compared_runs(request, files, repetition):
        print(line, flush=True)
        differed |= not same
    return 1 if differed else 0
