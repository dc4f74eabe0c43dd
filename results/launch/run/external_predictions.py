"""A record from the stored predictions of any other system."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.catalogue import Data, benchmark
from benchmarks.data.limited import Limited
from benchmarks.data.listing import files_below
from benchmarks.data.parallel import cores
from benchmarks.data.reader import Reader
from benchmarks.labels import evaluation_table
from benchmarks.recipes import imported
from benchmarks.scoring.evaluate import Evaluation
from benchmarks.scoring.external import (
    SUFFIXES,
    Predictions,
    check_files,
    cut_words,
    find_predictions,
    read_order,
    score_predictions,
)
from benchmarks.spec import TrainSpec
from methods.custom import NAME
from methods.registry import METHODS
from results.launch.plan.custom import keep
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.run.data_state import DataState, DataStates
from results.launch.run.predict import CLASSES, INDEX, MADE
from results.launch.run.result import store
from results.store import machine, provenance
from results.store.files import write_atomically
from results.store.folders import SPEC, RunFolder, read_json
from results.store.record import Costs, Phase, Provenance
from splits.errors import UserError

STAND_IN = "constant"  # plans the protocol: it needs no CLIP; nothing else of it is in the record


def score(name: str, folder: Path, class_order: Path | None, request: Request, root: Path) -> Run:
    """Score the predictions in a folder and store the record; returns the run that it is stored as.

    name: of the system. class_order: a JSON list; None: the folder's own. request: the protocol, of one benchmark, fold
    and seed; its methods count for nothing. Raises UserError where the predictions are not those of the images.
    """
    _check(name, folder)
    planned = plan(replace(request, methods=(STAND_IN,)))[0]
    data = DataStates(request.data, train=False).of(planned)
    data.refuse(planned.evaluation.benchmark)
    whole = _reader(planned, request.data)
    limit = planned.evaluation.limit
    reader = whole if limit is None else Limited(whole, limit)
    order = read_order(class_order or folder / CLASSES)
    found = find_predictions(_files(folder), order, reader.ids, others=whole.ids)
    run = _imported(name, planned, found.sha256(reader.ids))
    _check_name(run, root)
    warnings = (*data.warnings, *check_files(found, jobs=cores()))
    started = provenance.now()
    evaluation = _score(run, found, reader)
    keep(root, request.benchmarks)
    warnings += cut_words(found, evaluation, planned.evaluation.side.scored_as_seen)
    _write(run, root, evaluation, started, replace(data, warnings=warnings))
    return run


def _check(name: str, folder: Path) -> None:
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name!r}: expected letters, digits and . _ + - (it names a folder)")
    if name in METHODS:
        raise UserError(f"--name {name}: is a method of this harness; call the imported one something else")
    if not folder.is_dir():
        words = "is a file; give its folder" if folder.exists() else "there is no such folder"
        raise UserError(f"--predictions {folder}: {words}")


def _files(folder: Path) -> Path:
    """The folder of the files: `index` where `predict` wrote there. Raises UserError where others lie beside that."""
    if not (folder / INDEX).is_dir():
        return folder
    paths = [path.relative_to(folder) for path in files_below(folder) if path.suffix.lower() in SUFFIXES]
    if beside := [path for path in paths if path.parts[0] not in MADE]:
        raise UserError(
            f"{folder}: holds predictions, first {beside[0]}, beside those of `predict` in {INDEX}, and which of them "
            f"are meant nobody knows; move one of both to another folder, each with its {CLASSES}"
        )
    return folder / INDEX


def _check_name(run: Run, root: Path) -> None:
    """Raises UserError where other predictions were scored under this name: their rows would contradict each other."""
    spec = run.train
    for path in sorted((root / spec.benchmark / spec.method).glob(f"fold{spec.fold}-seed{spec.seed}-*/{SPEC}")):
        there = TrainSpec.parse(read_json(path), source=str(path))
        if there.predictions not in ("", spec.predictions) and RunFolder(path.parent).read_record(run.evaluation):
            raise UserError(
                f"--name {spec.method}: other predictions were scored under this name, {path.parent}; give these "
                "another name, or delete that folder"
            )


def _imported(name: str, planned: Run, sha256: str) -> Run:
    """The run of these predictions: nothing of the stand-in that planned it stays."""
    changes: dict[str, Any] = {
        "method": name,
        "config": {},
        "clip": None,
        "limit": None,
        "recipe": imported(planned.train.recipe),
        "predictions": sha256,
    }
    return Run(planned.train.model_copy(update=changes), planned.evaluation)


def _reader(run: Run, data: Data) -> Reader:
    scored = run.evaluation
    reader = data.open(benchmark(scored.benchmark), scored.part)
    reader.prepare()
    return reader


def _score(run: Run, found: Predictions, reader: Reader) -> Evaluation:
    side, split = run.evaluation.side, benchmark(run.evaluation.benchmark).split
    table = evaluation_table(split, split.fold(run.evaluation.fold), background=side.background)
    return score_predictions(found, reader, side.scored, side.scored_as_seen, table)


def _write(run: Run, root: Path, evaluation: Evaluation, started: str, data: DataState) -> None:
    """The record, as those of runs."""
    folder = run.folder(root)
    claim = folder.claims.claim()
    if claim is None:
        raise UserError(f"{folder.path}: somebody is at work there; wait for its end")
    with claim:
        folder.write_spec(run.train, claim)
        store(
            folder,
            run,
            evaluation,
            partial(write_atomically, before_rename=claim.check),
            costs=Costs(parameters_trainable=0, parameters_total=0, eval_seconds=evaluation.seconds),
            provenance=_provenance(started),
            curve=[],
            weights_sha256=run.train.predictions,
            clip_sha256="",
            eval_data_sha256=data.eval_sha256,
            warnings=data.warnings,
        )
        folder.write_state("done", claim)


def _provenance(started: str) -> Provenance:
    scoring = Phase(
        **provenance.here(),
        device="cpu",
        processor=machine.processor(),
        threads=cores(),
        load=machine.load(),
        deterministic=True,
        started=started,
        ended=provenance.now(),
        attempts=1,
    )
    return Provenance(sources_sha256="", scoring=scoring)
