"""From confusion matrices to every number a record holds of them. No torch: records are checked by the same sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import BACKGROUND, EvalSide
from benchmarks.scoring.metrics import fb_iou, iou_per_class, mean, pixel_accuracy, summary
from results.store.record import ClassCounts, Scores


def measured(
    side: EvalSide, shifts: NDArray[np.float64], own_index: int, matrices: NDArray[np.int64]
) -> dict[str, Any]:
    """The fields of a Result that its matrices decide: `own`, `unshifted`, `best`, `classes`, `labelled_pixels`.

    shifts: `(S,)` sorted, with 0 among them; matrices: `(S, C, C)` [shift, truth, prediction]. Raises ValueError or
    IndexError for matrices that are not those of such an evaluation.
    """
    if side.kind == "episodic-binary":
        return _of_items(side, matrices)
    seen = side.scored_as_seen
    scores = swept(side, shifts, matrices)
    own = summary(matrices[own_index], seen, side.absent_class)
    return {
        "own": scores[own_index],
        "unshifted": scores[int(np.flatnonzero(shifts == 0)[0])],
        "best": max(scores.values(), key=lambda s: -1.0 if s.hiou is None else s.hiou),
        "classes": tuple(
            ClassCounts(name=name, seen=seen[i], tp=own.tp[i], fp=own.fp[i], fn=own.fn[i], iou=_known(own.iou[i]))
            for i, name in enumerate(side.scored)
        ),
        "labelled_pixels": int(matrices[own_index].sum()),
    }


def swept(side: EvalSide, shifts: NDArray[np.float64], matrices: NDArray[np.int64]) -> dict[int, Scores]:
    """The scores of a generalised evaluation at each finite shift, by its place among the shifts."""
    foreground = [index for index, name in enumerate(side.scored) if name != BACKGROUND]
    metrics = [summary(matrix, side.scored_as_seen, side.absent_class) for matrix in matrices]
    return {
        place: Scores(
            shift=float(shift),
            pacc=_known(m.pacc),
            miou_seen=_known(m.miou_seen),
            miou_unseen=_known(m.miou_unseen),
            hiou=_known(m.hiou),
            miou=_known(mean(m.iou)),
            miou_foreground=_known(mean(m.iou, foreground)) if len(foreground) < len(m.iou) else None,
        )
        for place, (shift, m) in enumerate(zip(shifts, metrics, strict=True))
        if math.isfinite(shift)  # all-seen and all-unseen are ends of a curve, no choice of anybody's
    }


def _of_items(side: EvalSide, matrices: NDArray[np.int64]) -> dict[str, Any]:
    """Episodic items: the foreground of each unseen class; others are no class of the benchmark and are not listed."""
    (matrix,) = matrices
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
    classes = tuple(
        ClassCounts(
            name=name,
            seen=False,
            tp=int(hit[k]),
            fp=int(said[k] - hit[k]),
            fn=int(truth[k] - hit[k]),
            iou=_known(iou[k]),
        )
        for k, name in enumerate(side.unseen)
    )
    pixels = int(matrix.sum())
    return {"own": scores, "unshifted": scores, "best": scores, "classes": classes, "labelled_pixels": pixels}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
