"""`data verify` and `data prepare`: look at a data set, or make it ready. No torch."""

from __future__ import annotations

import argparse

from results.launch.commands import options as add


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The two things to do with a data set."""
    parser = commands.add_parser("data", help="look at a data set, or make it ready")
    actions = parser.add_subparsers(required=True, metavar="verify|prepare")
    verifying = actions.add_parser(
        "verify", help="look at every file; a line for each problem; exit code 1 if there is one"
    )
    preparing = actions.add_parser("prepare", help="build masks, or say what to put where")
    for action, command in ((verifying, verify), (preparing, prepare)):
        action.add_argument("benchmark", metavar="BENCHMARK", help="a name, or the TOML of your own data set")
        action.add_argument("--data-root", metavar="DIR", help="folders of data sets (else ZSS_DATA_ROOT)")
        action.add_argument("--year", choices=["2014", "2017"], help="of COCO; default: 2014 for coco-20i")
        action.add_argument("--jobs", type=add.positive, metavar="N", help="processes; default: one a core")
        action.set_defaults(command=command)
    verifying.add_argument("--list-missing", action="store_true", help="a line for each missing file too")
    for action in (verifying, preparing):
        action.add_argument("--subset", action="store_true", help="accept that some of the listed images are absent")
    preparing.add_argument("--download", action="store_true", help="fetch the official archives first (many GB)")


def verify(options: argparse.Namespace) -> int:
    """Look at every file of a data set; exit code 1 where something is wrong."""
    from benchmarks.data.whole_sets import verify_set

    sound = verify_set(
        options.benchmark,
        data_root=options.data_root,
        year=options.year or "",
        jobs=options.jobs,
        list_missing=options.list_missing,
        subset=options.subset,
    )
    return 0 if sound else 1


def prepare(options: argparse.Namespace) -> int:
    """Make what the harness needs of a data set and the data set has not; returns the exit code."""
    from benchmarks.data.whole_sets import prepare_set

    prepare_set(
        options.benchmark,
        data_root=options.data_root,
        year=options.year or "",
        jobs=options.jobs,
        subset=options.subset,
        fetch=options.download,
    )
    return 0
