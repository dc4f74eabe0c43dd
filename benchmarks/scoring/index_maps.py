"""Index maps in memory: their confusion matrix, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splits.errors import UserError


def maps(value: Any, what: str) -> list[NDArray[Any]]:
    """One map `(H, W)`, a stack `(N, H, W)` or a sequence of them, as a list. Raises UserError for what is none.

    what: truth or prediction, for the message.
    """
    try:
        given = [np.asarray(one) for one in value] if isinstance(value, list | tuple) else [np.asarray(value)]
        if given and all(one.ndim == 1 for one in given):  # one map as nested lists
            given = [np.stack(given)]
    except ValueError:
        raise UserError(f"metrics: a map of the {what} is (H, W) of integers, got rows of several lengths") from None
    planes = [plane for one in given for plane in (one if one.ndim == 3 else [one])]
    for plane in planes:
        if plane.ndim != 2 or not np.issubdtype(plane.dtype, np.integer):
            raise UserError(f"metrics: a map of the {what} is (H, W) of integers, got {plane.shape} {plane.dtype}")
    return planes


def flags(seen: Any) -> NDArray[np.bool_]:
    """Was each class labelled in training? `(C,)`. Raises UserError for what is not True or False: indices, say."""
    try:
        given = np.asarray(seen)
    except ValueError:
        given = np.zeros(0)  # rows of several lengths
    if given.ndim != 1 or not given.size or given.dtype != np.bool_:
        raise UserError(
            "metrics: `seen` is True or False for each class, in the order of the classes, got "
            f"{given.dtype} of shape {given.shape}"
        )
    return given


def counted(truth: NDArray[Any], prediction: NDArray[Any], classes: int, ignore: int, number: int) -> NDArray[np.int64]:
    """The confusion matrix `(C, C)` [truth, prediction] of one pair; `ignore` in the truth is left out.

    Raises UserError, naming the pair by its `number`, for other sizes and for indices that are no class.
    """
    if truth.shape != prediction.shape:
        raise UserError(f"metrics: map {number} is {truth.shape} in the truth and {prediction.shape} in the prediction")
    kept = truth != ignore
    rows, columns = truth[kept].astype(np.int64), prediction[kept].astype(np.int64)
    for what, values in (("truth", rows), ("prediction", columns)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            wrong = sorted(set(values[(values < 0) | (values >= classes)].tolist()))[:5]
            raise UserError(f"metrics: map {number}: the {what} holds {wrong}, expected 0 to {classes - 1} or {ignore}")
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)
