"""`score`: a record from the stored predictions of any other system."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from benchmarks import choices
from results.launch.commands import options as add
from results.launch.plan.request import Request
from results.store.places import runs_folder
from splits.settings import SETTINGS


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The predictions, and the protocol that they are scored by."""
    parser = commands.add_parser("score", help="score the stored predictions of any other system")
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="DIR", help="an index PNG, or npz, for each image, by its id"
    )
    parser.add_argument("--name", required=True, metavar="X", help="what the system is called in tables")
    parser.add_argument(
        "--class-order", type=Path, metavar="FILE", help="JSON list of class names; default: DIR/classes.json"
    )
    parser.add_argument("--benchmarks", nargs=1, required=True, metavar="B", help="as for `run`, but one")
    parser.add_argument(
        "--folds",
        nargs=1,
        type=add.natural,
        required=True,
        metavar="K",
        help="whose classes were unseen in its training",
    )
    parser.add_argument(
        "--seed", type=add.natural, default=Request.seeds[0], metavar="S", help="of its training; default: %(default)s"
    )
    parser.add_argument(
        "--setting", default=Request.setting, choices=SETTINGS, help="in which it was trained; default: %(default)s"
    )
    parser.add_argument("--part", default=Request.part, choices=add.PARTS, help="default: %(default)s")
    add.which_data(parser)
    parser.add_argument("--limit", type=add.positive, metavar="N", help="the first N images; marked in tables")
    parser.add_argument("--runs", type=Path, default=runs_folder(), metavar="DIR", help=add.RUNS)
    group = parser.add_argument_group("how it was asked (part of the protocol; default: as this harness asks)")
    group.add_argument("--protocol", default=Request.protocol, metavar="NAME", help="as for `run`")
    group.add_argument("--templates", metavar="NAME", help="single, multi, shapes")
    group.add_argument("--scale", default="native", choices=get_args(choices.Scale), help="default: %(default)s")
    add.sizes(group)
    add.absent_class(group)
    add.background(group)
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Score, store, print the table of it and where it lies; returns the exit code."""
    from results.launch.commands.parse import SIZES, data_of, given
    from results.launch.run.external_predictions import score
    from results.store.folders import CONFUSION
    from results.tables.tables import build_tables
    from results.tables.views import View

    request = Request(
        methods=(),
        benchmarks=tuple(options.benchmarks),
        folds=tuple(options.folds),
        seeds=(options.seed,),
        setting=options.setting,
        scale=options.scale,
        part=options.part,
        protocol=options.protocol,
        templates=options.templates,
        inference=given(options, ("absent_class", "background", "background_below", *SIZES)),
        limit=options.limit,
        data=data_of(options),
    )
    run = score(options.name, options.predictions, options.class_order, request, options.runs)
    folder = run.folder(options.runs)
    record = folder.read_record(run.evaluation)
    assert record is not None, "it was just written"
    matrix = folder.evaluation(run.evaluation) / CONFUSION
    for table in build_tables([record], view=View(("main",), by="fold"), locate=lambda _: matrix):
        print(table.markdown())
    print(folder.path)
    return 0
