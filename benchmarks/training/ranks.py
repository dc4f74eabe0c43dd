"""The processes that train one run together, seen from one of them: who it is, and what all of them agree on.

What a batch teaches goes through DistributedDataParallel on the device. Here are the few words about it that pass
between the processes besides: on the CPU, so that a GPU is never waited for, and so that a process that has died is
noticed at the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """One of `count` processes. Every method has to be called by all of them, in the same order."""

    rank: int = 0
    count: int = 1
    group: Any = None  # of torch.distributed, on the CPU; None for a process alone

    @property
    def first(self) -> bool:
        """Is this the one that writes?"""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Is it true on one of the ranks?"""
        if self.count == 1:
            return flag
        highest = torch.tensor(int(flag))
        dist.all_reduce(highest, dist.ReduceOp.MAX, group=self.group)
        return bool(highest)

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, in their order, on each of them."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value, group=self.group)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the ranks of a tensor on the CPU."""
        if self.count == 1:
            return values
        total = values.clone()
        dist.all_reduce(total, group=self.group)
        return total / self.count

    def from_first(self, make: Callable[[], T]) -> T:
        """What rank 0 makes, on all ranks; what it raises is raised on all."""
        if self.count == 1:
            return make()
        sent: list[Any] = [None, None]
        if self.first:
            try:
                sent[0] = make()
            except Exception as error:
                sent[1] = error
        dist.broadcast_object_list(sent, src=0, group=self.group)
        if sent[1] is not None:
            raise sent[1]
        return sent[0]


ALONE = Ranks()
