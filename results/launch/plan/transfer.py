"""Weights scored where they were not trained: on another benchmark, or under another fold of their own. No torch.

The classes of the target, their words, its images and sizes are what is scored, and the target's fold says which
classes count as seen or unseen. A method's shift is taken off the classes that were labelled in its training.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.catalogue import Data, benchmark
from benchmarks.overlap import groups, labelled, words_of
from benchmarks.spec import EvalSpec, TrainSpec, protocol_of
from methods.registry import METHODS
from results.launch.plan.checks import check_year
from results.launch.plan.request import Files, Request, Run, Transfer
from results.launch.plan.runs import evaluations_of, plan, scale_of
from results.launch.plan.weight_cards import card_of, check_clip, origin_of, run_folder
from results.store.folders import SPEC, RunFolder, read_json
from splits.errors import UserError
from splits.hashing import file_sha256


def runs_of(request: Request, files: Files, transfer: Transfer | None, root: Path) -> list[Run]:
    """The runs of a command: as planned, or each training on each target fold.

    transfer: None for a command that scores weights only where they were trained. root: where finished runs lie.
    """
    if transfer is not None and transfer.folds and not transfer.benchmarks:
        raise UserError("--on-folds belongs to --on; the folds of the training are --folds")
    if transfer is None or not names_training(transfer, files):
        return _as_on_the_card(files.weights, request.weights, plan(request))
    if transfer.benchmarks and request.sweep:
        raise UserError("--on scores finished weights elsewhere; nothing is chosen there: leave --sweep out")
    trainings = _named(transfer, files, root) or _planned(request, files, transfer)
    runs = [run for train in trainings for run in _onto(train, transfer, request)]
    _print_classes(runs)
    return runs


def names_training(transfer: Transfer, files: Files) -> bool:
    """Is a training or a target named in another way than by methods, benchmarks and folds?"""
    alone = files.weights is not None and "methods" not in transfer.described and card_of(files.weights)
    return bool(transfer.runs or transfer.benchmarks or alone)


def _as_on_the_card(weights: Path | None, sha256: str, runs: list[Run]) -> list[Run]:
    """The runs. Raises UserError where weights would stand among those of another training than their card's."""
    if spec := origin_of(weights, sha256) if weights else None:
        for train in (run.train for run in runs):
            if _training_of(train.method) != _training_of(spec.method):
                raise UserError(
                    f"{weights}: trained as {spec.method}, as its card says, and not as {train.method}; tensors of the "
                    "same names are no sign that they are"
                )
            if (train.side.classes, train.side.seen) != (spec.side.classes, spec.side.seen):
                raise UserError(
                    f"{weights}: trained on {spec.benchmark} fold {spec.fold}, as its card says, and not on "
                    f"{train.benchmark} fold {train.fold}; score it there with `eval --weights "
                    f"{weights} --on {train.benchmark} --on-folds {train.fold}`"
                )
    return runs


def _training_of(method: str) -> str:
    """The method whose training its weights come from."""
    return (METHODS[method].trained_as if method in METHODS else "") or method


def _named(transfer: Transfer, files: Files, root: Path) -> list[TrainSpec]:
    """The trainings of runs or a card; none where methods, benchmarks and folds name them."""
    if transfer.runs:
        _check_named_once(transfer, "--run")
        if files.weights:
            raise UserError("--run names the weights already; leave --weights out")
        found = [_of_run(run_folder(text, root)) for text in transfer.runs]
    elif files.weights and card_of(files.weights):
        _check_named_once(transfer, f"the card of {files.weights.name}")
        found = [_of_card(files.weights)]
    else:
        return []
    for spec in found:
        check_clip(spec, files.clip, " ".join(transfer.runs or [str(files.weights)]))
    return found


def _planned(request: Request, files: Files, transfer: Transfer) -> list[TrainSpec]:
    """The trainings that methods, benchmarks, folds and seeds name."""
    if files.weights and len(request.methods) != 1:
        raise UserError(f"{files.weights}: no card beside it; say what it is with --methods, --benchmarks, --folds")
    source = replace(request, part="val", inference=(), tune_on_test=False, data=_data(request, request.benchmarks))
    planned = plan(source)
    trained = [run.train for run in planned if run.train.recipe.iterations or run.train.weights]
    if idle := ", ".join(dict.fromkeys(run.train.method for run in planned if run.train not in trained)):
        reason = f"{idle}: nothing is trained, so nothing is transferred; use `run` on {', '.join(transfer.benchmarks)}"
        if not trained:
            raise UserError(reason)
        print(f"left out: {reason}", file=sys.stderr)
    return trained


def _check_named_once(transfer: Transfer, what: str) -> None:
    """Raise UserError where options describe a training that is named already."""
    if transfer.described:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in transfer.described)
        raise UserError(f"{what} names the training already; leave {options} out (where to score: --on, --on-folds)")


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
    sha256 = file_sha256(file)
    spec = origin_of(file, sha256)
    assert spec is not None
    return spec.model_copy(update={"weights": sha256})


def _onto(train: TrainSpec, transfer: Transfer, request: Request) -> list[Run]:
    """A training on every target."""
    targets = transfer.benchmarks or (train.benchmark,)
    check_year(targets, request.data.year if transfer.runs else "")
    runs = []
    for name in dict.fromkeys(targets):
        bench = benchmark(name)
        every = [f.index for f in bench.split.folds] if transfer.benchmarks else [train.fold]
        scale = scale_of(bench, train.clip, request)
        there = replace(request, data=_data(request, [name]), tune_on_test=False)
        for evaluation in evaluations_of(bench, tuple(dict.fromkeys(transfer.folds or every)), scale, there):
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
    """The data of a request, its edition only where one of these benchmarks has several."""
    years = any(request.data.year in benchmark(name).split.years for name in names)
    return request.data if years else replace(request.data, year="")


def _print_classes(runs: Sequence[Run]) -> None:
    """Which classes weights know, once for each training and target."""
    printed: set[str] = set()
    for run in runs:
        train, evaluation = run.train, run.evaluation
        head = f"{train.benchmark} fold {train.fold} -> {evaluation.benchmark} fold {evaluation.fold}"
        if evaluation.transferred and head not in printed:
            printed.add(head)
            print(f"{head}:", *groups(evaluation).lines(), sep="\n  ", file=sys.stderr)
