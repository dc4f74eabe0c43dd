"""What is asked for, and the one run it comes down to. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.catalogue import Data, Names, Scale
from benchmarks.spec import ClipId, EvalSpec, TrainSpec
from results.launch.plan.readings import Reading
from results.store.folders import RunFolder
from splits.settings import Setting


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    methods: tuple[str, ...]
    benchmarks: tuple[str, ...]
    folds: tuple[int, ...] | None = None  # None: all
    seeds: tuple[int, ...] = (0,)
    clip: ClipId | None = None  # None: the built-in one
    setting: Setting = "inductive"
    scale: Scale | None = None  # None: trial for photos under the built-in CLIP, else native
    part: str = "val"
    templates: str | None = None  # a name of benchmarks.templates; None: the benchmark's own
    recipe: str = ""  # a choice of the benchmark's recipes; empty: its first
    readings: tuple[Reading, ...] = ()  # constants of methods that go before their recipes'
    overrides: tuple[str, ...] = ()  # "method.field=value"
    names: Names = "dataset"
    training: tuple[tuple[str, Any], ...] = ()  # fields of the training side asked to differ
    inference: tuple[tuple[str, Any], ...] = ()  # fields of the evaluation side asked to differ
    limit: int | None = None
    ranks: int = 1  # processes that train each run together
    accumulate: int = 1  # micro-batches that each rank's share of a batch is cut into
    weights: str = ""  # sha256 of a file of weights to score instead of training
    sweep: tuple[tuple[str, ...], ...] = ()  # further overrides, each a setting of its own
    tune_on_test: bool = False  # a sweep may be scored on the val part; every record says so
    data: Data = field(default_factory=Data)


@dataclass(frozen=True)
class Run:
    """One job: what to train and how to score it."""

    train: TrainSpec
    evaluation: EvalSpec

    @property
    def name(self) -> str:
        """For people: method, benchmark, fold, seed, and where it is scored if that is elsewhere."""
        t = self.train
        return f"{t.method} {t.benchmark} fold {t.fold} seed {t.seed}{self._elsewhere}"

    @property
    def place(self) -> str:
        """Its folder, and where it is scored if that is elsewhere."""
        return f"{self.train.folder}{self._elsewhere}"

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Where it is trained, and where it is scored if that is elsewhere."""
        return tuple(dict.fromkeys((self.train.benchmark, self.evaluation.benchmark)))

    @property
    def _elsewhere(self) -> str:
        asked = self.evaluation
        return f" on {asked.benchmark} fold {asked.fold}" if asked.transferred else ""

    def folder(self, root: Path) -> RunFolder:
        """Where it is stored."""
        return RunFolder(root / self.train.folder)
