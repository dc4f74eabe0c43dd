"""Weights scored where they were not trained: on another benchmark, or under another fold of their own. No torch.

The classes asked, their words, the images and the sizes are the target's, and so is which classes count as seen or
unseen: the target's fold says it. A method's shift is taken off the classes that were labelled in its training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.catalogue import Data, benchmark
from benchmarks.overlap import groups, labelled, words_of
from benchmarks.spec import EvalSpec, TrainSpec, protocol_of
from results.launch.plan.checks import check_year
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import default_scale, evaluations_of, plan
from results.launch.plan.weight_cards import card_of, check_clip, run_folder, spec_on
from results.store.folders import SPEC, RunFolder, read_json
from splits.errors import UserError
from splits.hashing import file_sha256

# What says how weights were trained, with what stands there where nothing was given.
TRAINING = {
    "methods": ["all"],
    "benchmarks": None,
    "folds": None,
    "seeds": [0],
    "setting": "inductive",
    "recipe": "",
    "reading": [],
    "set": [],
    "sweep": [],
    "sweep_file": None,
    "training_images": None,
    "crop_decision": None,
    "border": None,
    "ranks": 1,
}


def asked(options: argparse.Namespace, request: Request, clip_file: Path | None = None) -> list[Run]:
    """Every run that a command line asks for: as planned, or each training on each target fold.

    clip_file: the CLIP, where it is a local file.
    """
    places = getattr(options, "on", None)
    if getattr(options, "on_folds", None) and not places:
        raise UserError("--on-folds belongs to --on; the folds of the training are --folds")
    if not named_otherwise(options):
        return _as_on_the_card(options, plan(request))
    if places and (options.sweep or options.sweep_file):
        raise UserError("--on scores finished weights elsewhere; nothing is chosen there: leave --sweep out")
    found = [run for train in _trainings(options, request, clip_file) for run in _onto(train, options, request)]
    _tell(found)
    return found


def named_otherwise(options: argparse.Namespace) -> bool:
    """Is a training or a target named in another way than by methods, benchmarks and folds?"""
    if not hasattr(options, "on"):  # of a command that knows no such way
        return False
    alone = options.weights is not None and options.methods == TRAINING["methods"] and card_of(options.weights)
    return bool(options.run or options.on or alone)


def _as_on_the_card(options: argparse.Namespace, runs: list[Run]) -> list[Run]:
    """The runs. Raises UserError where weights would stand among those of another training than their card tells."""
    if card := card_of(options.weights) if options.weights else None:
        spec = spec_on(card)
        for train in (run.train for run in runs):
            if (train.side.classes, train.side.seen) != (spec.side.classes, spec.side.seen):
                raise UserError(
                    f"{options.weights}: trained on {spec.benchmark} fold {spec.fold}, as its card says, and not on "
                    f"{train.benchmark} fold {train.fold}; score it there with `eval --weights "
                    f"{options.weights} --on {train.benchmark} --on-folds {train.fold}`"
                )
    return runs


def _trainings(options: argparse.Namespace, request: Request, clip_file: Path | None) -> list[TrainSpec]:
    """How the weights that are meant were trained."""
    named = _named(options)
    for spec in named:
        check_clip(spec, clip_file, " ".join(options.run or [str(options.weights)]))
    return named or _planned(options, request)


def _named(options: argparse.Namespace) -> list[TrainSpec]:
    """The trainings of runs or a card, none where the command line tells them otherwise."""
    if options.run:
        _nothing_else(options, "--run")
        if options.weights:
            raise UserError("--run names the weights already; leave --weights out")
        return [_of_run(run_folder(text, options.runs)) for text in options.run]
    if options.weights and card_of(options.weights):
        _nothing_else(options, f"the card of {options.weights.name}")
        return [_of_card(options.weights)]
    return []


def _planned(options: argparse.Namespace, request: Request) -> list[TrainSpec]:
    """Those that methods, benchmarks, folds and seeds name."""
    if options.weights and len(request.methods) != 1:
        raise UserError(f"{options.weights}: no card beside it; say what it is with --methods, --benchmarks, --folds")
    source = replace(request, part="val", inference=(), tune_on_test=False, data=_data(request, request.benchmarks))
    planned = plan(source)
    trained = [run.train for run in planned if run.train.recipe.iterations or run.train.weights]
    if idle := ", ".join(dict.fromkeys(run.train.method for run in planned if run.train not in trained)):
        told = f"{idle}: nothing is trained, so nothing is transferred; use `run` on {', '.join(options.on)}"
        if not trained:
            raise UserError(told)
        print(f"left out: {told}", file=sys.stderr)
    return trained


def _nothing_else(options: argparse.Namespace, what: str) -> None:
    """Refuse to be told twice, or otherwise, how weights were trained."""
    if given := [name for name, default in TRAINING.items() if getattr(options, name) != default]:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UserError(f"{what} names the training already; leave {named} out (where to score: --on, --on-folds)")


def _of_run(path: Path) -> TrainSpec:
    spec = TrainSpec.parse(read_json(path / SPEC), source=str(path / SPEC))
    if spec.predictions:
        raise UserError(f"{path}: holds imported predictions and no weights; nothing can be asked of it")
    if not RunFolder(path).trained():
        raise UserError(f"{path}: no finished weights there; let the run end first")
    if not (spec.recipe.iterations or spec.weights):
        raise UserError(f"{path}: nothing was trained, so nothing is transferred; run {spec.method} where you want it")
    return spec


def _of_card(file: Path) -> TrainSpec:
    """The training on a card, as one of imported weights: it was made elsewhere."""
    card = card_of(file)
    assert card is not None
    return spec_on(card).model_copy(update={"weights": file_sha256(file)})


def _onto(train: TrainSpec, options: argparse.Namespace, request: Request) -> list[Run]:
    """A training on every target."""
    places = options.on or [train.benchmark]
    check_year(places, request.data.year if options.run else "")
    runs = []
    for name in dict.fromkeys(places):
        bench = benchmark(name)
        folds = options.on_folds or ([f.index for f in bench.split.folds] if options.on else [train.fold])
        scale = request.scale or default_scale(bench, train.clip)
        there = replace(request, data=_data(request, [name]), tune_on_test=False)
        for evaluation in evaluations_of(bench, tuple(dict.fromkeys(folds)), scale, there):
            runs.append(Run(train, transferred(train, evaluation)))
            protocol_of(runs[-1].train, runs[-1].evaluation)  # refuses what cannot be measured
    return runs


def transferred(train: TrainSpec, evaluation: EvalSpec) -> EvalSpec:
    """The scoring with what the training knows of its classes; as it is where that is the training's own fold."""
    if (evaluation.benchmark, evaluation.fold) == (train.benchmark, train.fold):
        return evaluation
    known = labelled(train.side, words_of(evaluation.side))
    return EvalSpec(**dict(evaluation) | {"labelled": tuple(known)})


def _data(request: Request, names: Sequence[str]) -> Data:
    """The data as asked, its edition only where one of these benchmarks has several."""
    years = any(request.data.year in benchmark(name).split.years for name in names)
    return request.data if years else replace(request.data, year="")


def _tell(runs: Sequence[Run]) -> None:
    """Which classes weights know, once for each training and target."""
    told: set[str] = set()
    for run in runs:
        train, evaluation = run.train, run.evaluation
        head = f"{train.benchmark} fold {train.fold} -> {evaluation.benchmark} fold {evaluation.fold}"
        if evaluation.transferred and head not in told:
            told.add(head)
            print(f"{head}:", *groups(evaluation).lines(), sep="\n  ", file=sys.stderr)
