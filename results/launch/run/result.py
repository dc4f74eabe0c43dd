"""From one evaluation's counts to the part of a record that must repeat bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scoring.evaluate import Evaluation
from benchmarks.spec import protocol_of
from benchmarks.training.train import Curve
from benchmarks.values import canonical_json
from results.launch.plan.request import Run
from results.store.confusion import ARRAYS, packed
from results.store.folders import CONFUSION, RECORD, SPEC, RunFolder
from results.store.metrics import measured
from results.store.record import Costs, LossPoint, Provenance, Result, RunRecord


def result_of(run: Run, evaluation: Evaluation, *, curve: Curve, contamination: str = "", **digests: Any) -> Result:
    """Metrics at the method's own shift, without, and at the best; counts per class; what identifies the run.

    digests: the fields of a Result that end in `_sha256`, of what was stored and what was loaded.
    """
    protocol, sides = protocol_of(run.train, run.evaluation), (run.train.side, run.evaluation.side)
    return Result(
        train=run.train,
        evaluation=run.evaluation,
        protocol_hash=protocol.hash,
        family_hash=protocol.family,
        **measured(run.evaluation.side, evaluation.shifts, evaluation.own_index, evaluation.matrices),
        images=evaluation.images,
        ignored_pixels=evaluation.ignored_pixels,
        losses=tuple(LossPoint(step=step, losses=losses) for step, losses in curve),
        partial=any(side.data.partial for side in sides)
        or run.train.limit is not None
        or run.evaluation.limit is not None,
        contamination=contamination,
        **digests,
    )


def store(
    folder: RunFolder,
    run: Run,
    evaluation: Evaluation,
    write: Callable[[Path, bytes], None],
    *,
    costs: Costs,
    provenance: Provenance,
    **fields: Any,
) -> Result:
    """Write what was scored, with its spec: the confusion matrices first, the record last; returns its `result`.

    fields: as of `result_of`, but for the matrices' digest.
    """
    content = packed({name: getattr(evaluation, name) for name in ARRAYS})
    result = result_of(run, evaluation, confusion_sha256=hashlib.sha256(content).hexdigest(), **fields)
    record = RunRecord(result=result, costs=costs, provenance=provenance)
    target = folder.evaluation(run.evaluation)
    write(target / SPEC, canonical_json(run.evaluation.model_dump(mode="json")).encode())
    write(target / CONFUSION, content)
    write(target / RECORD, record.model_dump_json(indent=1).encode())
    return result
