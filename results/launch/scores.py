"""From one evaluation's counts to the part of a record that must repeat bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.evaluate import Evaluation
from benchmarks.metrics import fb_iou, iou_per_class, mean, pixel_accuracy, summary
from benchmarks.protocol import BACKGROUND
from benchmarks.spec import protocol_of
from benchmarks.train import Curve
from results.confusion import ARRAYS, packed
from results.launch.plan import Run
from results.record import ClassCounts, LossPoint, Result, Scores


def result_of(run: Run, evaluation: Evaluation, *, curve: Curve, contamination: str = "", **digests: str) -> Result:
    """Metrics at the method's own shift, without, and at the best; counts per class; what identifies the run.

    digests: the fields of a Result that end in `_sha256`, of what was stored and what was loaded.
    """
    side, common = run.evaluation.side, _common(run, evaluation, curve) | digests | {"contamination": contamination}
    if side.kind == "episodic-binary":
        return _of_items(run, evaluation, common)
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
    return Result(
        own=scores[evaluation.own_index],
        unshifted=scores[int(np.flatnonzero(evaluation.shifts == 0)[0])],
        best=max(scores, key=lambda s: -1.0 if s.hiou is None else s.hiou),
        classes=tuple(
            ClassCounts(name=name, seen=seen[i], tp=own.tp[i], fp=own.fp[i], fn=own.fn[i], iou=_known(own.iou[i]))
            for i, name in enumerate(side.scored)
        ),
        **common,
    )


def counts_of(evaluation: Evaluation) -> bytes:
    """What lies beside a record as `confusion.npz`."""
    return packed({name: getattr(evaluation, name) for name in ARRAYS})


def _common(run: Run, evaluation: Evaluation, curve: Curve) -> dict[str, Any]:
    """What a result says whatever was measured."""
    protocol, sides = protocol_of(run.train, run.evaluation), (run.train.side, run.evaluation.side)
    return {
        "train": run.train,
        "evaluation": run.evaluation,
        "protocol_hash": protocol.hash,
        "family_hash": protocol.family,
        "images": evaluation.images,
        "labelled_pixels": int(evaluation.matrices[evaluation.own_index].sum()),
        "ignored_pixels": evaluation.ignored_pixels,
        "losses": tuple(LossPoint(step=step, losses=losses) for step, losses in curve),
        "partial": any(side.data.partial for side in sides)
        or run.train.limit is not None
        or run.evaluation.limit is not None,
    }


def _of_items(run: Run, evaluation: Evaluation, common: dict[str, Any]) -> Result:
    """Episodic items: the foreground of each unseen class; others are no class of the benchmark and are not listed."""
    side, (matrix,) = run.evaluation.side, evaluation.matrices
    iou, hit = iou_per_class(matrix)[1::2], np.diag(matrix)[1::2]
    truth, said = matrix.sum(axis=1)[1::2], matrix.sum(axis=0)[1::2]
    scores = Scores(
        shift=0.0,
        pacc=_known(pixel_accuracy(matrix)),
        miou_seen=None,
        miou_unseen=_known(mean(iou)),
        hiou=None,
        fb_iou=_known(fb_iou(matrix)),
    )
    return Result(
        own=scores,
        unshifted=scores,
        best=scores,
        classes=tuple(
            ClassCounts(
                name=name,
                seen=False,
                tp=int(hit[k]),
                fp=int(said[k] - hit[k]),
                fn=int(truth[k] - hit[k]),
                iou=_known(iou[k]),
            )
            for k, name in enumerate(side.unseen)
        ),
        **common,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
