"""The options that several commands share. Defaults are read from the values that they become.

Everything that can change a number is in `what_to_run`, `which_protocol` and `how_to_score`; the rest cannot.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, get_args

from benchmarks import choices
from results.launch.commands.parser import Listed, counted, finite, names, numbers
from results.launch.plan.request import Request
from results.store.places import runs_folder
from splits.settings import SETTINGS

PARTS = (Request.part, "tune")
RUNS = "default: ZSS_RUNS, else results/runs"
# What describes a training by its options; where weights are named by run or card, none of it may be given.
TRAINING = (
    *("methods", "benchmarks", "folds", "seeds", "setting", "recipe", "reading", "set", "sweep", "sweep_file"),
    *("training_images", "crop_decision", "border", "ranks"),
)


def what_to_run(
    parser: argparse.ArgumentParser,
    *,
    methods: bool = True,
    folds: list[int] | None = None,
    limit: int | None = None,
) -> None:
    """Methods (unless a command has its own way to name them), benchmarks, folds, seeds, what makes a run another.

    folds, limit: a command's own defaults.
    """
    group = parser.add_argument_group("what to run")
    if methods:
        group.add_argument(
            "--methods",
            nargs="+",
            type=names,
            action=Listed,
            default=["all"],
            metavar="M",
            help="names, all, rivals, training-free, ablation:METHOD",
        )
    group.add_argument("--method-file", nargs="+", type=Path, metavar="FILE", help="files with methods of your own")
    group.add_argument(
        "--benchmarks",
        nargs="+",
        type=names,
        action=Listed,
        metavar="B",
        help="names, or the TOML of your own data set; default: shapes-5i, or pascal-5i where a data root is known",
    )
    group.add_argument(
        "--folds",
        nargs="+",
        type=numbers,
        action=Listed,
        default=folds,
        metavar="K",
        help=f"0 1, 0,1 or 0-1; default: {' '.join(map(str, folds)) if folds else 'all'}",
    )
    group.add_argument(
        "--seeds",
        nargs="+",
        type=numbers,
        action=Listed,
        default=list(Request.seeds),
        metavar="S",
        help="0 1 2, 0,1,2 or 0-2; default: 0",
    )
    group.add_argument(
        "--clip",
        metavar="MODEL/TAG",
        help="open_clip model and tag (ViT-B-16/openai) or MODEL/path/to/file; default: built in",
    )
    group.add_argument(
        "--setting",
        default=Request.setting,
        choices=SETTINGS,
        help="what training knows of unseen classes; default: %(default)s",
    )
    group.add_argument(
        "--templates",
        metavar="NAME",
        help="sentences that CLIP is asked with: single, multi (ZegCLIP's 15), shapes; default: the benchmark's",
    )
    which_data(group)
    group.add_argument(
        "--scale",
        choices=get_args(choices.Scale),
        help="photos at the papers' size, or at one the built-in CLIP can see (default with it: trial)",
    )
    _settings(group)
    _batches(group)
    group.add_argument(
        "--limit",
        type=positive,
        default=limit,
        metavar="N",
        help=f"a trial run: N images and N iterations at most{f'; default: {limit}' if limit else ''}",
    )
    group.add_argument(
        "--runs",
        type=Path,
        default=runs_folder(),
        metavar="DIR",
        help=f"where runs are stored; {RUNS}",
    )


def _settings(group: argparse._ActionsContainer) -> None:
    """Other settings than the defaults, several of them, or weights that are there already."""
    group.add_argument(
        "--recipe",
        default=Request.recipe,
        metavar="NAME",
        help="of shapes-5i: shapes (minutes; default) or long (four times that)",
    )
    group.add_argument(
        "--reading",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="constants of a method as you read its paper (TOML; `list reading METHOD` prints one)",
    )
    group.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="M.FIELD=VALUE",
        help="a method's or the recipe's setting, e.g. zegclip.prompt_tokens=100 recipe.iterations=600",
    )
    group.add_argument(
        "--sweep",
        nargs="+",
        action="extend",
        default=[],
        metavar="M.FIELD=A,B,C",
        help="each combination of these values; scored on what is no test: --part tune, or a -tune benchmark",
    )
    group.add_argument("--sweep-file", type=Path, metavar="FILE", help="a grid, or n random settings, in TOML")
    group.add_argument("--tune-on-test", action="store_true", help="let a sweep see val; every record and row says so")
    group.add_argument(
        "--weights", type=Path, metavar="FILE", help="score these weights of one method instead of training it"
    )


def _batches(group: argparse._ActionsContainer) -> None:
    """How the batches of a training are shared and cut."""
    group.add_argument(
        "--ranks",
        type=positive,
        default=Request.ranks,
        metavar="N",
        help="processes that train each run together, sharing its batches (DDP), one a GPU; default: %(default)s",
    )
    group.add_argument(
        "--accumulate",
        type=positive,
        default=Request.accumulate,
        metavar="K",
        help="micro-batches that each batch (of a rank) is cut into, for a small card: the batch stays; "
        "default: %(default)s",
    )


def which_data(parser: argparse._ActionsContainer) -> None:
    """Where the data lie, and how much of them may be missing."""
    parser.add_argument(
        "--data-root", metavar="DIR", help=f"folders of data sets, joined by {os.pathsep!r} (else ZSS_DATA_ROOT)"
    )
    parser.add_argument("--year", choices=["2014", "2017"], help="of COCO; default: 2014 for coco-20i")
    parser.add_argument("--subset", action="store_true", help="use the listed images that are present; marked partial")


def which_protocol(parser: argparse.ArgumentParser) -> None:
    """Choices of the training side."""
    group = parser.add_argument_group("what may be learned from (each choice is another protocol and another training)")
    group.add_argument(
        "--class-names",
        default=Request.names,
        choices=get_args(choices.Names),
        help="renamed: potted plant, tv monitor, ...; default: %(default)s",
    )
    _choice(group, "--training-images", choices.TrainingImages, "those that contain unseen classes")
    _choice(group, "--crop-decision", choices.CropDecision, "full: as released ZegCLIP, a small leak")
    _choice(group, "--border", choices.Border, "what VOC's border pixels are to a method")


def how_to_score(parser: argparse.ArgumentParser, *, part: str = Request.part) -> None:
    """Choices of the evaluation side. part: by default; empty: the tune part of each benchmark that has one."""
    which_protocol(parser)
    group = parser.add_argument_group("how to score (each choice is another protocol)")
    group.add_argument(
        "--protocol",
        default=Request.protocol,
        metavar="NAME",
        help="sizes, windows, sentences, words and thresholds by one name: training-free (one rule for all), or those "
        "of a method's released code: sclip, clearclip, naclip, proxyclip, resclip, sc-clip; further options change it",
    )
    group.add_argument(
        "--part",
        default=part,
        choices=PARTS,
        help=f"tune: to choose constants on, no result; default: {part or 'tune where there is one'}",
    )
    _choice(group, "--kind", choices.Kind, "episodic-binary: HSNet's items, the class is given")
    _choice(group, "--items", choices.Items, "of episodic-binary")
    absent_class(group)
    background(group)
    sizes(group)
    group.add_argument(
        "--precision",
        default=Request.precision,
        choices=get_args(choices.Precision),
        help="of the scoring's forward pass, said in every row; tf32: CUDA; a training's: --set recipe.precision=...; "
        "default: %(default)s",
    )


def _choice(parser: argparse._ActionsContainer, option: str, choice: Any, words: str) -> None:
    """A choice of the protocol. Its first value is the default; None leaves it to the benchmark."""
    values = get_args(choice)
    parser.add_argument(option, choices=values, help=f"{words}; default: {values[0]}")


def absent_class(parser: argparse._ActionsContainer) -> None:
    """Which classes a mean leaves out."""
    _choice(
        parser, "--absent-class", choices.AbsentRule, "skip: a class in neither truth nor prediction is not averaged"
    )


def background(parser: argparse._ActionsContainer) -> None:
    """Whether background is a class, and what it is."""
    _choice(parser, "--background", choices.Background, "class: background is scored too, as one more seen class")
    parser.add_argument(
        "--background-below",
        type=finite,
        metavar="T",
        help="with --background class: a pixel whose best score is below T is background; where background is a class "
        "with words (voc21, pc60, coco-object): one whose highest probability is below T",
    )


def sizes(parser: argparse._ActionsContainer) -> None:
    """How an image is cut up to be asked about."""
    usual = "default: the protocol's"
    parser.add_argument("--short-side", type=positive, metavar="PX", help=f"the image is resized to it; {usual}")
    parser.add_argument("--window", type=positive, metavar="PX", help=f"side of the sliding window; {usual}")
    parser.add_argument("--stride", type=positive, metavar="PX", help=f"from window to window; {usual}")
    parser.add_argument(
        "--flips", action="store_true", default=None, help="average the scores of the mirrored image in"
    )


def where_to_score(parser: argparse.ArgumentParser) -> None:
    """Finished weights, by name, and other places to score them than the one they were trained for."""
    group = parser.add_argument_group("transfer: finished weights scored on another benchmark or fold")
    group.add_argument(
        "--run", nargs="+", metavar="KEY", help="finished runs: folders, or the keys that end their names"
    )
    group.add_argument(
        "--on",
        nargs="+",
        type=names,
        action=Listed,
        metavar="B",
        help="the benchmarks to score on; --benchmarks and --folds name the training",
    )
    group.add_argument(
        "--on-folds", nargs="+", type=numbers, action=Listed, metavar="K", help="the folds of --on; default: all"
    )


def runs_and_targets(parser: argparse.ArgumentParser) -> None:
    """Runs as they are trained, or finished weights and where to score them."""
    what_to_run(parser)
    where_to_score(parser)
    how_to_score(parser)
    parser.set_defaults(training_defaults={name: parser.get_default(name) for name in TRAINING})


def which_records(parser: argparse.ArgumentParser, *, methods: bool = True) -> None:
    """The stored records to look at."""
    group = parser.add_argument_group("which records")
    which_folders(group)
    if methods:
        group.add_argument(
            "--methods",
            nargs="+",
            type=names,
            action=Listed,
            metavar="M",
            help="names, all, ablation:METHOD; default: every one",
        )
    group.add_argument("--benchmarks", nargs="+", type=names, action=Listed, metavar="B", help="default: every one")
    group.add_argument("--settings", nargs="+", choices=SETTINGS, help="default: every one")


def which_folders(parser: argparse._ActionsContainer) -> None:
    """Where stored records lie."""
    parser.add_argument(
        "--from",
        dest="roots",
        nargs="+",
        type=Path,
        default=[runs_folder()],
        metavar="DIR",
        help=f"folders of runs, of other machines too; {RUNS}",
    )


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = natural(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return value


def natural(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return counted(text)
