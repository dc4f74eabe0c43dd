"""From one evaluation's counts to the part of a record that must repeat bit for bit."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.evaluate import Evaluation
from benchmarks.metrics import summary
from benchmarks.protocol import BACKGROUND
from benchmarks.spec import protocol_of
from benchmarks.train import Curve
from results.launch.plan import Run
from results.record import ClassCounts, LossPoint, Result, Scores


def result_of(
    run: Run, evaluation: Evaluation, *, curve: Curve, confusion_sha256: str, weights_sha256: str, clip_sha256: str
) -> Result:
    """Metrics at the method's own shift, without, and at the best; counts per class; what identifies the run."""
    side = run.evaluation.side
    seen = [name in {*side.seen, BACKGROUND} for name in side.scored]
    metrics = [summary(matrix, seen, side.absent_class) for matrix in evaluation.matrices]
    scores = [
        Scores(
            shift=float(shift),
            pacc=_known(m.pacc),
            miou_seen=_known(m.miou_seen),
            miou_unseen=_known(m.miou_unseen),
            hiou=_known(m.hiou),
        )
        for shift, m in zip(evaluation.shifts, metrics, strict=True)
    ]
    own = metrics[evaluation.own_index]
    protocol = protocol_of(run.train, run.evaluation)
    return Result(
        train=run.train,
        evaluation=run.evaluation,
        protocol_hash=protocol.hash,
        family_hash=protocol.family,
        own=scores[evaluation.own_index],
        unshifted=scores[int(np.flatnonzero(evaluation.shifts == 0)[0])],
        best=max(scores, key=lambda s: -1.0 if s.hiou is None else s.hiou),
        classes=tuple(
            ClassCounts(name=name, seen=seen[i], tp=own.tp[i], fp=own.fp[i], fn=own.fn[i], iou=_known(own.iou[i]))
            for i, name in enumerate(side.scored)
        ),
        images=evaluation.images,
        labelled_pixels=int(evaluation.matrices[evaluation.own_index].sum()),
        ignored_pixels=evaluation.ignored_pixels,
        losses=tuple(LossPoint(step=step, losses=losses) for step, losses in curve),
        confusion_sha256=confusion_sha256,
        weights_sha256=weights_sha256,
        clip_sha256=clip_sha256,
        partial=side.data.partial
        or run.train.side.data.partial
        or run.train.limit is not None
        or run.evaluation.limit is not None,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
