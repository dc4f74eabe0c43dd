"""The commands for what people bring, as `harness.py` parses them: pictures, predictions, methods. No torch here."""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

from benchmarks import choices
from results.launch.commands import options as add

COMMANDS = ("predict", "score", "check")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """A parser for each of these commands."""
    _predict(commands.add_parser("predict", help="what finished weights say about your own pictures, or a benchmark's"))
    _score(commands.add_parser("score", help="score the stored predictions of any other system"))
    _check(commands.add_parser("check", help="does a method of your own keep what the harness takes for granted?"))


def bring(options: argparse.Namespace) -> None:
    """Make known what the command line names by file, what packages bring, and what lies beside the runs looked at."""
    told = [text for value in vars(options).values() for text in (value if isinstance(value, list) else [value])]
    files = getattr(options, "method_file", None) or any(isinstance(t, str) and t.endswith(".toml") for t in told)
    roots = [r for r in (getattr(options, "runs", None), *(getattr(options, "roots", None) or ())) if r is not None]
    stored = any(next(root.glob("*/benchmark.json"), None) for root in roots)
    if files or stored or entry_points(group="zss_harness.methods"):
        from results.launch.plan.custom import resolve

        resolve(options)


def _predict(parser: argparse.ArgumentParser) -> None:
    """Which weights, which pictures, how to ask."""
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
    group.add_argument("--runs", type=Path, default=add.RUNS, metavar="DIR", help="default: results/runs")
    group = parser.add_argument_group("which pictures")
    group.add_argument("--images", type=Path, metavar="DIR", help="a folder of pictures, one picture, or a video")
    group.add_argument("--every", type=add.positive, default=1, metavar="N", help="of a video, each N-th frame")
    group.add_argument("--classes", metavar="A,B,C", help="any words, in order; default: those of the training")
    group.add_argument("--benchmarks", nargs=1, metavar="B", help="instead of --images: the images of a benchmark")
    group.add_argument("--folds", nargs=1, type=add.natural, metavar="K", help="its classes; default: the weights' own")
    group.add_argument("--part", default="val", choices=["val", "tune"])
    add.which_data(group)
    group.add_argument("--limit", type=add.positive, metavar="N", help="the first N pictures")
    group = parser.add_argument_group("how to ask")
    group.add_argument("--templates", metavar="NAME", help="single, multi, shapes; default: those of the training")
    group.add_argument("--scale", choices=get_args(choices.Scale), help="as for `run`")
    add.sizes(group)
    group.add_argument(
        "--background-below", type=float, metavar="T", help="a best score below T says background, as one class more"
    )
    group.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda where there is one")
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="gets index, overlays, sheet.png, classes.json"
    )
    group.add_argument("--sheet", type=add.natural, default=24, metavar="N", help="pictures on the sheet; default: 24")
    group.add_argument("--force", action="store_true", help="throw away earlier predictions in --out")
    parser.set_defaults(command=add.calling("results.launch.run.predict:main"))


def _score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="DIR", help="an index PNG, or npz, for each image, by its id"
    )
    parser.add_argument("--name", required=True, metavar="X", help="what the system is called in tables")
    parser.add_argument(
        "--class-order", type=Path, metavar="FILE", help="JSON list of class names; default: DIR/classes.json"
    )
    parser.add_argument("--benchmarks", nargs=1, required=True, metavar="B")
    parser.add_argument("--folds", nargs=1, type=add.natural, required=True, metavar="K")
    parser.add_argument("--seed", type=add.natural, default=0, metavar="S", help="of its training; default: 0")
    parser.add_argument("--setting", default="inductive", choices=add.SETTINGS, help="in which it was trained")
    parser.add_argument("--part", default="val", choices=["val", "tune"])
    add.which_data(parser)
    parser.add_argument("--limit", type=add.positive, metavar="N", help="the first N images; marked in tables")
    parser.add_argument("--runs", type=Path, default=add.RUNS, metavar="DIR", help="default: results/runs")
    group = parser.add_argument_group("how it was asked (part of the protocol; default: as this harness asks)")
    group.add_argument("--templates", metavar="NAME", help="single, multi, shapes")
    group.add_argument("--scale", choices=get_args(choices.Scale), help="default: native")
    add.sizes(group)
    group.add_argument("--absent-class", choices=get_args(choices.AbsentRule))
    group.add_argument("--background", choices=get_args(choices.Background))
    group.add_argument("--background-below", type=float, metavar="T")
    parser.set_defaults(command=add.calling("results.launch.run.external_predictions:main"))


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--method-file", nargs="+", type=Path, metavar="FILE", help="files with methods of your own")
    parser.add_argument("--methods", nargs="+", metavar="M", help="default: those of the files")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="M.FIELD=VALUE",
        help="other settings than the defaults",
    )
    parser.set_defaults(command=add.calling("results.launch.commands.check:main"))
