"""From one evaluation's counts to the part of a record that must repeat bit for bit."""

from __future__ import annotations

from benchmarks.evaluate import Evaluation
from benchmarks.spec import protocol_of
from benchmarks.train import Curve
from results.launch.plan import Run
from results.measured import measured
from results.record import LossPoint, Result


def result_of(
    run: Run, evaluation: Evaluation, *, curve: Curve, confusion_sha256: str, weights_sha256: str, clip_sha256: str
) -> Result:
    """Metrics at the method's own shift, without, and at the best; counts per class; what identifies the run."""
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
        confusion_sha256=confusion_sha256,
        weights_sha256=weights_sha256,
        clip_sha256=clip_sha256,
        partial=any(side.data.partial for side in sides)
        or run.train.limit is not None
        or run.evaluation.limit is not None,
    )
