"""Ours beside a peer: in alternation, in one process: the least processor time, the median of wall time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Seconds of one call."""

    wall: float  # median
    wall_low: float  # quartiles
    wall_high: float
    processor: float  # the least, of all threads: other work on the machine only adds to it


@dataclass(frozen=True)
class Row:
    """One line of the table. A ratio above 1 means that ours is faster."""

    what: str
    peer: str
    ours: Timing
    theirs: Timing
    target: float | None = None  # the ratio to reach, of processor times
    note: str = ""

    @property
    def ratio(self) -> float:
        """Of processor times."""
        return self.theirs.processor / self.ours.processor

    @property
    def wall_ratio(self) -> float:
        """Of wall times."""
        return self.theirs.wall / self.ours.wall

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"ratio": self.ratio, "wall_ratio": self.wall_ratio}


def alternate(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[Timing, Timing]:
    """Ours and theirs, in turns."""
    one, other = turns((ours, theirs), repeats)
    return one, other


def turns(calls: Sequence[Callable[[], object]], repeats: int) -> list[Timing]:
    """All called once to warm up, then in turns, so that whatever else the machine does meets each of them."""
    for call in calls:
        call()
    samples: list[list[tuple[float, float]]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, into in zip(calls, samples, strict=True):
            into.append(timed(call))
    return [summary(of_one) for of_one in samples]


def once(call: Callable[[], object], repeats: int) -> Timing:
    """One thing alone."""
    call()
    return summary([timed(call) for _ in range(repeats)])


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def summary(samples: list[tuple[float, float]]) -> Timing:
    """The least processor seconds, median and quartiles of wall seconds."""
    wall = sorted(sample[0] for sample in samples)
    quarter = len(wall) // 4
    return Timing(statistics.median(wall), wall[quarter], wall[-1 - quarter], min(sample[1] for sample in samples))
