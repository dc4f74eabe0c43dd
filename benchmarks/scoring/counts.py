"""How often each of many indices came, counted on their device."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

# Pixels noted before they are counted: a pass over all bins costs more than an image's pixels. A GPU is waited for at
# each count.
PENDING: Final = 1 << 20
PENDING_ELSEWHERE: Final = 1 << 23


class Counts:
    """Indices are noted in one piece of memory: kept image by image they would lie between whatever else comes and
    goes, and the process would grow.
    """

    def __init__(self, size: int, device: torch.device | str):
        device = torch.device(device)
        self._counts = torch.zeros(size, dtype=torch.int64, device=device)
        pending = PENDING if device.type == "cpu" else PENDING_ELSEWHERE
        self._noted, self._filled = torch.empty(pending, dtype=torch.int64, device=device), 0

    def room(self, count: int) -> Tensor:
        """A place for so many more indices, `(count,)` int64, to be filled at once."""
        if self._filled + count > len(self._noted):
            self.settled()
        if count > len(self._noted):
            self._noted = self._noted.new_empty(count)
        start, self._filled = self._filled, self._filled + count
        return self._noted[start : self._filled]

    def settled(self) -> Tensor:
        """The counts `(size,)` of all that was noted."""
        self._counts += torch.bincount(self._noted[: self._filled], minlength=len(self._counts))
        self._filled = 0
        return self._counts

    def taken(self) -> Tensor:
        """The counts `(size,)`, which begin anew."""
        counts = self.settled()
        self._counts = torch.zeros_like(counts)
        return counts
