"""hIoU at every seen-score shift from one evaluation pass.

Taking a shift off all seen scores only decides, per pixel, between the best seen and the best unseen class. So each
pixel is counted once under the first shift at which the unseen class wins; sums over those bins give the confusion
matrix at every shift, exactly. The first and the last shift are infinite: all pixels get their best seen class, all get
their best unseen one. So the curve of U against S has both ends, for every method, whatever the scale of its scores.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.scoring.counts import Counts

SWEEP = 41
CELLS = 1024  # of the table that says about where a margin stands among the shifts


def shift_grid(own: float, span: float) -> np.ndarray:
    """Sorted shifts: 41 even ones over [-span, span], both infinities, with 0 and the method's own made sure of."""
    even = np.round(np.linspace(-span, span, SWEEP), 12)
    return np.unique(np.concatenate([even, [0.0, own, -np.inf, np.inf]]))


class ShiftSweep:
    """Confusion matrices `(S, C, C)` [shift, truth, prediction], accumulated image by image."""

    def __init__(self, classes: int, shifts: np.ndarray, own: float, device: torch.device | str = "cpu"):
        self.classes, self.shifts, self.own = classes, shifts, own
        # scores come with the method's own shift already taken off, so the own shift compares against exactly 0
        offsets = shifts - own
        self._offsets = torch.tensor(offsets, dtype=torch.float64, device=device)
        self._bins = len(shifts) + 1
        self._below = int((offsets == -np.inf).sum())  # offsets below every margin
        self._ranks = _Ranks(torch.tensor(offsets[np.isfinite(offsets)], dtype=torch.float64, device=device))
        size = (classes + 1) * classes * self._bins
        self._seen, self._unseen = Counts(size, device), Counts(size, device)

    @property
    def own_index(self) -> int:
        """Where the method's own shift stands in `shifts`."""
        return int(np.searchsorted(self.shifts, self.own))

    def add(self, truth: Tensor, seen: tuple[Tensor, Tensor] | None, unseen: tuple[Tensor, Tensor] | None) -> Tensor:
        """Count pixels; returns the prediction at the own shift `(P,)`.

        truth: `(P,)` int64 class of each pixel; what has the number of classes in its place counts nowhere. seen,
        unseen: score and class of the best seen and the best unseen class `(P,)` each, the own shift taken off the seen
        scores; None where a vocabulary has no such class.
        """
        if seen is None or unseen is None:
            _, winner = seen if seen is not None else unseen  # type: ignore[misc]
            bins = torch.full_like(truth, self._bins - 1 if unseen is None else 0)
            self._count(self._seen if unseen is None else self._unseen, truth, winner, bins)
            return winner
        margin = seen[0].double() - unseen[0].double()
        # a tie goes to the lower class index, as argmax does
        first = self._ranks(margin) + self._below
        tied = self._offsets.index_select(0, first.clamp(max=len(self.shifts) - 1)) == margin  # no two shifts are equal
        wins = first + (tied & (seen[1] < unseen[1]))  # the seen class wins at this many first shifts
        self._count(self._seen, truth, seen[1], wins)
        self._count(self._unseen, truth, unseen[1], wins)
        return torch.where(wins > self.own_index, seen[1], unseen[1])

    def matrices(self) -> np.ndarray:
        """`(S, C, C)` int64."""
        shape = (self.classes + 1, self.classes, self._bins)
        seen = self._seen.settled().view(shape)[:-1].cpu().numpy()
        unseen = self._unseen.settled().view(shape)[:-1].cpu().numpy()
        # at shift s the seen class stands where wins > s, the unseen one where wins <= s
        below = np.cumsum(unseen, axis=2)[..., :-1]
        above = seen.sum(axis=2, keepdims=True) - np.cumsum(seen, axis=2)[..., :-1]
        return np.ascontiguousarray(np.moveaxis(above + below, 2, 0))

    def _count(self, into: Counts, truth: Tensor, prediction: Tensor, bins: Tensor) -> None:
        room = into.room(len(truth))
        torch.add(bins, truth, alpha=self.classes * self._bins, out=room).add_(prediction, alpha=self._bins)


class _Ranks:
    """How many offsets lie below each margin: `torch.searchsorted`, on a CPU with a table to start from."""

    def __init__(self, offsets: Tensor):
        """offsets: `(S,)` float64, sorted, no two equal."""
        self._offsets = offsets
        self._padded = torch.cat([offsets, offsets.new_full((1,), torch.inf)])
        self._even = len(offsets) > 1 and offsets.device.type == "cpu"
        if self._even:
            self._low, self._high = float(offsets[0]), float(offsets[-1])
            cells = self._cells(offsets)  # rises with the offset: what stands in a lower cell is smaller
            self._base = torch.searchsorted(cells, torch.arange(CELLS, device=offsets.device))  # offsets in lower cells
            self._most = int(cells.unique(return_counts=True)[1].max())  # offsets of one cell

    def __call__(self, margins: Tensor) -> Tensor:
        """`(P,)` int64."""
        if not self._even or margins.isnan().any():
            return torch.searchsorted(self._offsets, margins)
        ranks = self._base.index_select(0, self._cells(margins))
        for _ in range(self._most):
            ranks += self._padded.index_select(0, ranks) < margins
        return ranks

    def _cells(self, values: Tensor) -> Tensor:
        return ((values - self._low) * (CELLS / (self._high - self._low))).clamp_(0, CELLS - 1).long()
