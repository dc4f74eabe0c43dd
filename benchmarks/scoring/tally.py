"""What one pass over the images counts: matrices at every shift, the pairs of each image, errors near boundaries.

Everything is counted on the device that scores, in pieces of an image, and read when it is full or at the end.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.scoring.ahead import Truth, sent
from benchmarks.scoring.bands import Best
from benchmarks.scoring.counts import Counts
from benchmarks.scoring.seen_shift import ShiftSweep

PIECE: Final = 1 << 19  # pixels counted at once
MOST_IMAGES: Final = 64  # whose pairs are kept before they are read
MOST_BINS: Final = 1 << 22  # of their counts


class PairCounts:
    """Pixels of each (truth, prediction) of each image, and those near boundaries over all images."""

    def __init__(self, classes: int, device: torch.device):
        """classes: truths are `0..classes`, the last of which is not counted; predictions are below it."""
        self._shape = (2, classes + 1, classes)  # near a boundary, truth, prediction
        size = int(np.prod(self._shape))
        self._room = max(1, min(MOST_IMAGES, MOST_BINS // size))
        self._counts = Counts(self._room * size, device)
        self._first, self._images = 0, 0  # the image in the first place, and how many have begun
        self._rows = bytearray()  # in one piece, for a process that does not grow
        self.boundary = np.zeros((classes, classes), dtype=np.int64)  # [truth, prediction]

    def begin(self) -> None:
        """What is added from here on is of the next image."""
        if self._images - self._first == self._room:
            self._read()
        self._images += 1

    def add(self, truth: Tensor, prediction: Tensor, near: Tensor) -> None:
        """Count pixels `(P,)` of whole numbers: truth, prediction, and 1 near a boundary."""
        _, rows, columns = self._shape
        place = (self._images - self._first - 1) * 2
        into = self._counts.room(len(truth))
        torch.add(truth, near.long().add_(place), alpha=rows, out=into).mul_(columns).add_(prediction)

    def rows(self) -> NDArray[np.int64]:
        """`(N, 4)`: image, truth, prediction, pixels, for the pairs that occur."""
        self._read()
        return np.frombuffer(bytes(self._rows), np.int64).reshape(-1, 4)

    def _read(self) -> None:
        counts = self._counts.taken().view(self._room, *self._shape)[:, :, :-1].cpu().numpy()
        self.boundary += counts[:, 1].sum(axis=0)
        whole = counts.sum(axis=1)
        pairs = np.argwhere(whole)
        pixels = whole[tuple(pairs.T)]
        pairs[:, 0] += self._first
        self._rows += np.concatenate([pairs, pixels[:, None]], axis=1).astype(np.int64).tobytes()
        self._first = self._images


class Tally:
    """The counts of one evaluation."""

    def __init__(self, classes: int, shifts: NDArray[np.float64], own: float, device: torch.device):
        self._classes, self._device = classes, device
        self.sweep = ShiftSweep(classes, shifts, own, device)
        self.pairs = PairCounts(classes, device)
        self.ignored = 0

    def add(self, truth: Truth, seen: Best | None, unseen: Best | None, background_below: float | None = None) -> None:
        """Count one image: its best seen and its best unseen class at every pixel, `(H, W)` each.

        background_below: where no score reaches it, the last class, background, is predicted.
        """
        self.pairs.begin()
        self.ignored += truth.ignored
        codes, near = sent(truth.planes, self._device).flatten(1)
        for first in range(0, len(codes), PIECE):
            piece = slice(first, first + PIECE)
            labelled = codes[piece] < truth.first_code
            self._count(codes[piece], labelled, near[piece], _part(seen, piece), _part(unseen, piece), background_below)

    def _count(
        self,
        codes: Tensor,
        labelled: Tensor,
        near: Tensor,
        seen: Best | None,
        unseen: Best | None,
        background_below: float | None,
    ) -> None:
        """labelled: `(P,)` bool, which of the codes `(P,)` are classes."""
        if codes.device.type == "cpu":  # counting less is faster; how many are left, a GPU would have to be asked
            which = labelled.nonzero()[:, 0]
            codes, near, seen, unseen = codes[which], near[which], _part(seen, which), _part(unseen, which)
            labelled = labelled[which]
        truth = torch.where(labelled, codes.long(), self._classes)
        if background_below is not None:
            like = seen if seen is not None else unseen
            assert like is not None
            unseen = or_background(unseen, like[0], background_below, self._classes - 1)
        self.pairs.add(truth, self.sweep.add(truth, seen, unseen), near)


def or_background(unseen: Best | None, like: Tensor, threshold: float, background: int) -> Best:
    """The best unseen class where it reaches the threshold, else background with the threshold as its score.

    A seen class then wins where it beats what is left: it reaches the threshold, and no unseen class is better. Both
    hold at every shift, since a shift moves the seen scores alone. like: a tensor of as many pixels.
    """
    if unseen is None:
        return (
            torch.full_like(like, threshold, dtype=torch.float64),
            torch.full_like(like, background, dtype=torch.long),
        )
    scores = unseen[0].double()
    reached = scores >= threshold
    return torch.where(reached, scores, threshold), torch.where(reached, unseen[1].long(), background)


def _part(best: Best | None, which: slice | Tensor) -> Best | None:
    return None if best is None else (best[0].flatten()[which], best[1].flatten()[which])
