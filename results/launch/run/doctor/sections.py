"""The parts of a check of a GPU: each ends well, goes wrong in one line, or is left out with a reason."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

Row = dict[str, Any]  # one line of a section's table


class LeftOut(Exception):
    """This machine cannot do it: the reason."""


@dataclass(frozen=True)
class Bench:
    """What is checked: a device, at the papers' sizes or, on a CPU, small ones."""

    device: torch.device

    @property
    def small(self) -> bool:
        """A trial of the checks themselves."""
        return self.device.type == "cpu"

    @property
    def kind(self) -> str:
        """As `--device` names it."""
        return self.device.type

    def settled(self) -> float:
        """The time, when the device has nothing left to do."""
        if self.device.type == "cuda" and torch.cuda.is_available():
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def freed(self) -> None:
        """Give back what nobody holds: other processes need it, and a peak is to be of one method."""
        gc.collect()
        if self.device.type == "cuda" and torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass
class Section:
    """What came of one part."""

    name: str
    state: Literal["ok", "failed", "left out"] = "ok"
    said: str = ""
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    trace: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def section(name: str, work: Callable[[], tuple[str, list[Row]]]) -> Section:
    """Do one part: what it says and its rows. A row with `wrong` in it makes it fail; an error ends no other."""
    start, made = time.perf_counter(), Section(name)
    try:
        made.said, made.rows = work()
        if wrong := [row for row in made.rows if row.get("wrong")]:
            made.state, made.said = "failed", f"{len(wrong)} of {len(made.rows)} wrong; {made.said}"
    except LeftOut as reason:
        made.state, made.said = "left out", str(reason)
    except Exception as error:
        made.state, made.said, made.trace = "failed", words_of(error), traceback.format_exc()
    made.seconds = round(time.perf_counter() - start, 1)
    return made


def words_of(error: Exception) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0]}"
