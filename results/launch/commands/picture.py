"""`picture`: sheets of predictions of finished runs beside image and truth, as PNG."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from results.launch.commands import options as add
from results.launch.plan.request import Choice, Pictures
from results.store.places import results_folder


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which runs, which images, and where to write."""
    parser = commands.add_parser("picture", help="predictions of finished runs beside image and truth, as PNG")
    add.what_to_run(parser)
    add.how_to_score(parser)
    parser.add_argument(
        "--images",
        type=add.positive,
        default=Pictures.images,
        metavar="N",
        help="rows of the sheet; default: %(default)s",
    )
    parser.add_argument(
        "--choose",
        default=Pictures.choose,
        choices=get_args(Choice),
        help="difference: those that two methods score most differently; spread: from the worst to the best "
        "scored image, evenly by rank, also where one method is shown; first: the first ones; default: %(default)s",
    )
    parser.add_argument(
        "--by-difference", nargs=2, default=(), metavar=("A", "B"), help="the two methods; default: the first two shown"
    )
    parser.add_argument(
        "--out", type=Path, default=results_folder() / "figures", metavar="DIR", help="default: results/figures"
    )
    parser.add_argument(
        "--pseudo-masks", action="store_true", help="instead: what a method's mining makes of training images"
    )
    parser.set_defaults(command=main)


def main(options: argparse.Namespace) -> int:
    """Save a sheet for each benchmark, fold and seed, or one of pseudo masks for each run, and print where."""
    from results.launch.commands.parse import request_of

    request, files = request_of(options)
    choose: Choice = "difference" if options.by_difference else options.choose
    pictures = Pictures(options.out, options.images, choose, tuple(options.by_difference))
    if options.pseudo_masks:
        from results.launch.run.pseudo_masks import pseudo_mask_sheets

        sheets = pseudo_mask_sheets(request, files, pictures)
    else:
        from results.launch.run.picture import prediction_sheets

        sheets = prediction_sheets(request, files, options.runs, pictures)
    for path in sheets:
        print(path)
    return 0
