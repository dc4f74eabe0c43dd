"""The `score` command: a record from the stored predictions of any other system."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.catalogue import Data, benchmark
from benchmarks.data.limited import Limited
from benchmarks.data.reader import Reader
from benchmarks.labels import evaluation_table
from benchmarks.recipes import imported
from benchmarks.scoring.evaluate import Evaluation
from benchmarks.scoring.external import Predictions, find_predictions, read_order, score_predictions
from methods.custom import NAME
from methods.registry import METHODS
from results.launch.commands.parse import SIZES, data_asked, given
from results.launch.plan.custom import keep
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.run.predict import CLASSES, INDEX
from results.launch.run.result import store
from results.store import machine, provenance
from results.store.files import write_atomically
from results.store.record import Costs, Phase, Provenance
from results.tables.tables import build_tables
from splits.errors import UserError

STAND_IN = "constant"  # plans the protocol: it needs no CLIP; nothing else of it is in the record
SCORING = ("absent_class", "background", "background_below", *SIZES)


def main(options: argparse.Namespace) -> int:
    """Score, store, print the table of it."""
    _check(options)
    data = data_asked(options)
    planned = _planned(options, data)
    reader = _reader(planned, data)
    root = options.predictions
    order = read_order(options.class_order or root / CLASSES)
    found = find_predictions(root / INDEX if (root / INDEX).is_dir() else root, order, reader.ids)
    run = _imported(options.name, planned, found.sha256(reader.ids))
    started = provenance.now()
    evaluation = _score(run, found, reader)
    keep(options.runs, options.benchmarks)
    _write(run, options.runs, evaluation, started)
    record = run.folder(options.runs).read_record(run.evaluation)
    assert record is not None, "it was just written"
    for table in build_tables([record], by="fold", show=["main"]):
        print(table.markdown())
    print(run.folder(options.runs).path)
    return 0


def _check(options: argparse.Namespace) -> None:
    if not NAME.fullmatch(options.name):
        raise UserError(f"--name {options.name!r}: expected letters, digits and . _ + - (it names a folder)")
    if options.name in METHODS:
        raise UserError(f"--name {options.name}: is a method of this harness; call the imported one something else")
    if not options.predictions.is_dir():
        raise UserError(f"--predictions {options.predictions}: there is no such folder")


def _planned(options: argparse.Namespace, data: Data) -> Run:
    """The protocol asked for, as the plan of a method would have it."""
    (name,) = options.benchmarks
    request = Request(
        methods=(STAND_IN,),
        benchmarks=(name,),
        folds=tuple(options.folds),
        seeds=(options.seed,),
        setting=options.setting,
        scale=options.scale or "native",
        part=options.part,
        templates=options.templates,
        inference=given(options, SCORING),
        limit=options.limit,
        data=data,
    )
    return plan(request)[0]


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
    asked = run.evaluation
    reader = data.open(benchmark(asked.benchmark), asked.part)
    reader.prepare()
    return Limited(reader, asked.limit) if asked.limit is not None else reader


def _score(run: Run, found: Predictions, reader: Reader) -> Evaluation:
    side, split = run.evaluation.side, benchmark(run.evaluation.benchmark).split
    table = evaluation_table(split, split.fold(run.evaluation.fold), background=side.background)
    return score_predictions(found, reader, side.scored, side.scored_as_seen, table)


def _write(run: Run, root: Path, evaluation: Evaluation, started: str) -> None:
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
        )
        folder.write_state("done", claim)


def _provenance(started: str) -> Provenance:
    scoring = Phase(
        **provenance.here(),
        device="cpu",
        processor=machine.processor(),
        threads=provenance.threads(),
        load=machine.load(),
        deterministic=True,
        started=started,
        ended=provenance.now(),
        attempts=1,
    )
    return Provenance(sources_sha256="", scoring=scoring)
