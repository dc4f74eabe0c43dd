"""Counting pixels into a confusion matrix: whole numbers on the device, exact for any number of pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def count(truth: Tensor, prediction: Tensor, classes: int, ignore: int = 255) -> Tensor:
    """`(classes, classes)` int64 [truth, prediction] of two integer maps of equal shape, on their device.

    Pixels whose truth is `ignore` are counted into one extra row, which is dropped. (Float32 counts, as those of
    `torch.histc`, stop at 2^24 pixels.) Raises ValueError for unequal shapes, and for classes outside `0..classes-1`,
    which a plain bincount would file under a wrong class.
    """
    if truth.shape != prediction.shape:
        raise ValueError(
            f"truth is {tuple(truth.shape)} but prediction {tuple(prediction.shape)}; expected equal shapes"
        )
    if not truth.numel():
        return torch.zeros(classes, classes, dtype=torch.int64, device=truth.device)
    rows, columns = truth.flatten().long(), prediction.flatten().long()
    rows = torch.where(rows == ignore, classes, rows)  # the extra row
    allowed = (rows >= 0) & (rows <= classes) & (columns >= 0) & (columns < classes)
    allowed &= (rows < classes) | (truth.flatten() == ignore)
    if not allowed.all():
        wrong = int((~allowed).nonzero()[0])
        raise ValueError(
            f"truth {int(truth.flatten()[wrong])} with prediction {int(columns[wrong])}: expected truths in "
            f"0..{classes - 1} or {ignore}, predictions in 0..{classes - 1}"
        )
    counts = torch.bincount(rows * classes + columns, minlength=(classes + 1) * classes)
    return counts.view(classes + 1, classes)[:classes]
