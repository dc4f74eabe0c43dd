"""Errors near the boundaries of the truth, counted apart.

A labelled pixel is near a boundary where the centre of a pixel with another label lies at most 5 pixels from its own
(Euclidean), in the truth at its own size. What is ignored counts as one label more: the outline of an object against
ignored background, or against the void border that VOC draws around objects, is a boundary too (as in DeepLab's bands
around void labels: Chen et al., ICLR 2015). The picture's edge is none. The reach of 5 pixels
(`benchmarks.scoring.metrics.REACH`) is ours.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.labels import Labels, class_indices
from benchmarks.scoring.confusion import count
from benchmarks.scoring.metrics import REACH

_STEPS = np.arange(-REACH, REACH + 1)
_DISC = (_STEPS[:, None] ** 2 + _STEPS**2 <= REACH**2).astype(np.uint8)


def near_boundary(truth: Labels) -> NDArray[np.bool_]:
    """`(H, W)`: which pixels of a truth `(H, W)` lie near a boundary, ignored ones included.

    >>> near_boundary(np.array([[0, 0, 0, 0, 0, 0, 1]], dtype=np.uint8)).astype(int)
    array([[0, 1, 1, 1, 1, 1, 1]])
    """
    # a disc that holds two labels has a highest and a lowest one; OpenCV leaves out what lies beyond the edge
    return cv2.dilate(truth, _DISC) != cv2.erode(truth, _DISC)


class BoundaryCount:
    """A confusion matrix of the labelled pixels near a boundary, accumulated image by image."""

    def __init__(self, classes: int):
        self.matrix = np.zeros((classes, classes), dtype=np.int64)  # [truth, prediction]

    def add(self, labels: Labels, truth: Tensor, prediction: Tensor) -> None:
        """Count one image. labels: its truth `(H, W)`. truth, prediction: its labelled pixels, row by row, `(P,)`."""
        near = torch.from_numpy(near_boundary(labels)[class_indices(labels)]).to(truth.device)
        counts = count(truth[near], prediction[near], len(self.matrix), ignore=-1)  # what is ignored is gone already
        self.matrix += counts.cpu().numpy()
