"""hIoU at every seen-score shift from one evaluation pass.

Taking a shift off all seen scores only decides, per pixel, between the best seen and the best unseen class. So each
pixel is counted once under the first shift at which the unseen class wins; sums over those bins give the confusion
matrix at every shift, exactly.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SWEEP = 41


def shift_grid(own: float, span: float) -> np.ndarray:
    """Sorted shifts: 41 even ones over [-span, span], with 0 and the method's own made sure of. float64."""
    even = np.round(np.linspace(-span, span, SWEEP), 12)
    return np.unique(np.concatenate([even, [0.0, own]]))


class ShiftSweep:
    """Confusion matrices `(S, C, C)` [shift, truth, prediction], accumulated image by image."""

    def __init__(self, classes: int, shifts: np.ndarray, own: float, device: torch.device | str = "cpu"):
        self.classes, self.shifts, self.own = classes, shifts, own
        # scores come with the method's own shift already taken off, so the own shift compares against exactly 0
        self._offsets = torch.tensor(shifts - own, dtype=torch.float64, device=device)
        self._bins = len(shifts) + 1
        size = classes * classes * self._bins
        self._seen = torch.zeros(size, dtype=torch.int64, device=device)
        self._unseen = torch.zeros(size, dtype=torch.int64, device=device)

    @property
    def own_index(self) -> int:
        """Where the method's own shift stands in `shifts`."""
        return int(np.searchsorted(self.shifts, self.own))

    def add(self, truth: Tensor, seen: tuple[Tensor, Tensor] | None, unseen: tuple[Tensor, Tensor] | None) -> Tensor:
        """Count one image's labelled pixels; returns the prediction at the own shift `(P,)`.

        truth: `(P,)` int64 class of each labelled pixel. seen, unseen: score and class of the best seen and the best
        unseen class `(P,)` each, the own shift taken off the seen scores; None where a vocabulary has no such class.
        """
        if seen is None or unseen is None:
            _, winner = seen if seen is not None else unseen  # type: ignore[misc]
            bins = torch.full_like(winner, self._bins - 1 if unseen is None else 0)
            self._count(self._seen if unseen is None else self._unseen, truth, winner, bins)
            return winner
        margin = seen[0].double() - unseen[0].double()
        # a tie goes to the lower class index, as argmax does
        first = torch.searchsorted(self._offsets, margin, right=False)
        after_ties = torch.searchsorted(self._offsets, margin, right=True)
        wins = torch.where(seen[1] < unseen[1], after_ties, first)  # the seen class wins at this many first shifts
        self._count(self._seen, truth, seen[1], wins)
        self._count(self._unseen, truth, unseen[1], wins)
        return torch.where(wins > self.own_index, seen[1], unseen[1])

    def matrices(self) -> np.ndarray:
        """`(S, C, C)` int64."""
        shape = (self.classes, self.classes, self._bins)
        seen = self._seen.view(shape).cpu().numpy()
        unseen = self._unseen.view(shape).cpu().numpy()
        # at shift s the seen class stands where wins > s, the unseen one where wins <= s
        below = np.cumsum(unseen, axis=2)[..., :-1]
        above = seen.sum(axis=2, keepdims=True) - np.cumsum(seen, axis=2)[..., :-1]
        return np.ascontiguousarray(np.moveaxis(above + below, 2, 0))

    def _count(self, into: Tensor, truth: Tensor, prediction: Tensor, bins: Tensor) -> None:
        index = (truth * self.classes + prediction) * self._bins + bins
        into += torch.bincount(index, minlength=len(into))
