"""From one evaluation's counts to the part of a record that must repeat bit for bit."""

from __future__ import annotations

from typing import Any

from benchmarks.evaluate import Evaluation
from benchmarks.spec import protocol_of
from benchmarks.train import Curve
from results.confusion import ARRAYS, packed
from results.launch.plan import Run
from results.measured import measured
from results.record import LossPoint, Result


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


def counts_of(evaluation: Evaluation) -> bytes:
    """What lies beside a record as `confusion.npz`."""
    return packed({name: getattr(evaluation, name) for name in ARRAYS})
