"""`predict`: what finished weights predict for any pictures, or for a benchmark's images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from benchmarks.choices import Scale
from results.launch.commands import execution_options
from results.launch.commands import options as add
from results.launch.commands.parser import finite
from results.launch.plan.request import Prediction, Request
from results.store.places import runs_folder
from splits.errors import UserError
from splits.text import one_form


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Which weights, which pictures, which classes, and where to write."""
    parser = commands.add_parser("predict", help="what finished weights predict for your pictures, or a benchmark's")
    group = parser.add_argument_group("which weights")
    group.add_argument("--run", metavar="KEY", help="a finished run: its folder, or the key at the end of its name")
    group.add_argument(
        "--weights", type=Path, metavar="FILE", help="model.safetensors with its card beside it; others with --methods"
    )
    group.add_argument(
        "--methods", nargs=1, metavar="M", help="of weights without a card, or a method that trains nothing (clip)"
    )
    group.add_argument("--method-file", nargs="+", type=Path, metavar="FILE", help="as for `run`")
    group.add_argument("--clip", metavar="MODEL/TAG", help="as for `run`; with --run and a card only for a local file")
    group.add_argument("--runs", type=Path, default=runs_folder(), metavar="DIR", help=add.RUNS)
    _which_pictures(parser.add_argument_group("which pictures"))
    group = parser.add_argument_group("how to ask")
    group.add_argument("--templates", metavar="NAME", help="single, multi, shapes; default: those of the training")
    group.add_argument("--scale", choices=get_args(Scale), help="as for `run`")
    add.sizes(group)
    group.add_argument(
        "--background-below",
        type=finite,
        metavar="T",
        help="a pixel whose best score is below T is background, one class more",
    )
    execution_options.device(group)
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="gets index, overlays, sheet.png, classes.json"
    )
    group.add_argument(
        "--sheet",
        type=add.natural,
        default=Prediction.sheet,
        metavar="N",
        help="pictures on the sheet; default: %(default)s",
    )
    group.add_argument("--force", action="store_true", help="throw away earlier predictions in --out")
    parser.set_defaults(command=main)


def _which_pictures(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--images", type=Path, metavar="DIR", help="a folder of pictures, one picture, or a video")
    group.add_argument(
        "--every",
        type=add.positive,
        default=Prediction.every,
        metavar="N",
        help="of a video, each N-th frame; default: %(default)s",
    )
    group.add_argument("--classes", metavar="A,B,C", help="any words, in order; default: those of the training")
    group.add_argument("--benchmarks", nargs=1, metavar="B", help="instead of --images: the images of a benchmark")
    group.add_argument("--folds", nargs=1, type=add.natural, metavar="K", help="its classes; default: the weights' own")
    group.add_argument("--part", default=Request.part, choices=add.PARTS, help="default: %(default)s")
    add.which_data(group)
    group.add_argument("--limit", type=add.positive, metavar="N", help="the first N pictures")


def main(options: argparse.Namespace) -> int:
    """Predict, write, and print where; returns the exit code."""
    from results.launch.commands.parse import SIZES, clip_of, data_of, given
    from results.launch.plan.request import Files
    from results.launch.plan.runs import methods_named
    from results.launch.run.predict import predict

    clip, clip_file = clip_of(options.clip)
    request = Request(
        methods=methods_named(options.methods or ()),
        benchmarks=tuple(options.benchmarks or ()),
        folds=tuple(options.folds or ()) or None,
        clip=clip,
        scale=options.scale,
        part=options.part,
        templates=options.templates,
        inference=given(options, SIZES),
        data=data_of(options),
    )
    wanted = Prediction(
        request=request,
        files=Files(clip=clip_file, weights=options.weights),
        root=options.runs,
        out=options.out,
        run=options.run or "",
        images=options.images,
        every=options.every,
        classes=() if options.classes is None else class_names(options.classes),
        limit=options.limit,
        background_below=options.background_below,
        device=options.device,
        sheet=options.sheet,
        force=options.force,
    )
    print("\n".join(predict(wanted)))
    return 0


def class_names(text: str) -> tuple[str, ...]:
    """The words of a list with commas; raises UserError for an empty one.

    >>> class_names("dog, traffic light")
    ('dog', 'traffic light')
    """
    names = tuple(" ".join(one_form(name).split()) for name in text.split(","))
    if not all(names):
        raise UserError(f"--classes {text!r}: expected names parted by commas, none of them empty")
    return names
