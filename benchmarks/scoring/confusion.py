"""Counting pixels into a confusion matrix: whole numbers on the device, exact for any number of pixels."""

from __future__ import annotations

from functools import reduce

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPARE = 1024  # rows beyond the classes that are counted without asking whether a pixel is ignored
BYTES = 256
PIECE = 1 << 24  # pixels: OpenCV hands its counts over as float32, which has every whole number up to here


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
    rows, columns = truth.flatten(), prediction.flatten()
    lowest, highest = (int(end) for end in rows.aminmax())
    first, last = (int(end) for end in columns.aminmax())
    if lowest < 0 or highest >= classes + SPARE or first < 0 or last >= classes:
        return _count_with_care(rows.long(), columns.long(), classes, ignore)
    if rows.device.type == "cpu" and max(highest, classes - 1) < BYTES:
        counts = _count_bytes(rows, columns, classes)
    else:
        bins = torch.add(columns, rows.long(), alpha=classes).long()
        counts = torch.bincount(bins, minlength=max(highest + 1, classes) * classes).view(-1, classes)
    if 0 <= ignore < len(counts):
        counts[ignore] = 0
    if counts[classes:].any():
        return _count_with_care(rows.long(), columns.long(), classes, ignore)
    return counts[:classes]


def _count_bytes(rows: Tensor, columns: Tensor, classes: int) -> Tensor:
    """`(256, classes)` counts of maps that fit into bytes: OpenCV reads an eighth of the memory."""
    sizes, ranges = [BYTES, classes], [0, BYTES, 0, classes]
    pieces = (
        cv2.calcHist([_bytes(rows[at : at + PIECE]), _bytes(columns[at : at + PIECE])], [0, 1], None, sizes, ranges)
        for at in range(0, len(rows), PIECE)
    )
    return torch.from_numpy(reduce(np.add, (piece.astype(np.int64) for piece in pieces)))


def _bytes(values: Tensor) -> NDArray[np.uint8]:
    """A picture of one row."""
    return values.to(torch.uint8).numpy()[None]


def _count_with_care(rows: Tensor, columns: Tensor, classes: int, ignore: int) -> Tensor:
    """The same pixel by pixel: an ignored truth may be any number, and what is wrong is named."""
    ignored = rows == ignore
    rows = torch.where(ignored, classes, rows)  # the extra row
    allowed = (rows >= 0) & ((rows < classes) | ignored) & (columns >= 0) & (columns < classes)
    if not allowed.all():
        wrong = int((~allowed).nonzero()[0])
        raise ValueError(
            f"truth {int(rows[wrong])} with prediction {int(columns[wrong])}: expected truths in "
            f"0..{classes - 1} or {ignore}, predictions in 0..{classes - 1}"
        )
    counts = torch.bincount(rows * classes + columns, minlength=(classes + 1) * classes)
    return counts.view(classes + 1, classes)[:classes]
