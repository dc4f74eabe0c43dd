"""A job: a run and how to make it, and how its state is kept on disk while it is made.

Everything a job needs is in its `Job`, everything it did is on disk: it can be started again at any time by anybody.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.catalogue import Data
from results.launch.plan.custom import Custom
from results.launch.plan.request import Device, Run
from results.store.claim import Claim
from results.store.folders import RunFolder

WRITE_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """A run and how to make it; pickled as it is, it holds no state."""

    run: Run
    root: Path
    data: Data = field(default_factory=Data)
    train: bool = True  # False: only score weights that are there
    force: bool = False  # throw away what is there and start anew
    share: bool = True  # take weights and scores of the same run under another name (`results.launch.run.sharing`)
    threads: int = 1
    workers: int = 0
    device: Device = "cpu"
    weights_file: Path | None = None  # weights to score instead of training
    clip_file: Path | None = None  # where the CLIP is a local file
    custom: Custom = field(default_factory=Custom)  # data sets and methods that are not shipped
    scratch: str = ""  # a folder of the node's own to read the data from, after copying it there
    nodes: int = 1  # of a cluster, over which its ranks are spread
    logs: tuple[str, ...] = ()  # where its curves are copied to besides: tensorboard, wandb

    @property
    def ranks(self) -> int:
        """How many processes make the run: those that train it together. Scoring alone takes one."""
        return self.run.train.recipe.ranks if self.train else 1

    @property
    def half(self) -> bool:
        """Is anything of the run computed in half precision? So by its spec, whether or not it is trained now."""
        return self.run.train.recipe.precision != "32-true" or self.run.evaluation.precision == "bf16"


class StateWriter:
    """Writes the state of a running job for observers, at most once a second."""

    def __init__(self, folder: RunFolder, claim: Claim, iterations: int):
        self._folder, self._claim, self._iterations = folder, claim, iterations
        self._last = 0.0

    def write(self, step: int, rate: float | None, doing: str, *, now: bool = False) -> None:
        """The step reached, images per second, and what is being done."""
        moment = time.monotonic()
        if not now and moment - self._last < WRITE_EVERY_SECONDS:
            return
        self._last = moment
        details = {"step": step, "iterations": self._iterations, "rate": rate, "doing": doing}
        self._folder.write_state("running", self._claim, durable=False, **details)
