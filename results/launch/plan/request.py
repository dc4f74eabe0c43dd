"""What can be requested, as frozen values, and the run that a `Request` comes down to. Start reading at `Request`.

Nothing heavy is imported: the command line reads its defaults from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from benchmarks.catalogue import Data, Names, Scale
    from benchmarks.choices import Precision
    from benchmarks.spec import ClipId, EvalSpec, TrainSpec
    from results.launch.plan.readings import Reading
    from results.store.folders import RunFolder
    from splits.settings import Setting


LARGEST: Final = 2**63 - 1  # of whole numbers: torch and tables keep 64 bits with a sign
Device = Literal["cpu", "cuda"]
# Of images: those that two methods score most differently; from the worst to the best, evenly by rank; the first ones.
Choice = Literal["difference", "spread", "first"]


def _usual_data() -> Data:
    from benchmarks.catalogue import Data

    return Data()


@dataclass(frozen=True)
class Request:
    """What to run: all that can change a number, and where the data lie."""

    methods: tuple[str, ...]
    benchmarks: tuple[str, ...]
    folds: tuple[int, ...] | None = None  # None: all
    seeds: tuple[int, ...] = (0,)
    clip: ClipId | None = None  # None: the built-in one
    setting: Setting = "inductive"
    scale: Scale | None = None  # None: trial for photos under the built-in CLIP, else native
    part: str = "val"
    protocol: str = ""  # a name of benchmarks.open_vocabulary; empty: each benchmark's own
    templates: str | None = None  # a name of benchmarks.templates; None: the benchmark's own
    recipe: str = ""  # a choice of the benchmark's recipes; empty: its first
    readings: tuple[Reading, ...] = ()  # constants of methods that go before their recipes'
    overrides: tuple[str, ...] = ()  # "method.field=value"
    names: Names = "dataset"
    training: tuple[tuple[str, Any], ...] = ()  # fields of the protocol's training side that differ from its default
    inference: tuple[tuple[str, Any], ...] = ()  # the same of its evaluation side
    precision: Precision = "float32"  # of the scoring's forward pass
    limit: int | None = None
    ranks: int = 1  # processes that train each run together
    accumulate: int = 1  # micro-batches that each rank's share of a batch is cut into
    weights: str = ""  # sha256 of a file of weights to score instead of training
    sweep: tuple[tuple[str, ...], ...] = ()  # further overrides, each a setting of its own
    tune_on_test: bool = False  # a sweep may be scored on the val part; every record says so
    data: Data = field(default_factory=_usual_data)


@dataclass(frozen=True)
class Files:
    """Where the files lie that a request names by their content."""

    clip: Path | None = None  # None: the CLIP is no local file
    weights: Path | None = None  # None: no weights are given by their file


@dataclass(frozen=True)
class Transfer:
    """Finished weights by name, and the targets to score them on."""

    runs: tuple[str, ...] = ()  # folders of finished runs, or the keys that end their names
    benchmarks: tuple[str, ...] = ()  # to score on; empty: where the weights were trained
    folds: tuple[int, ...] = ()  # of these benchmarks; empty: all
    described: tuple[str, ...] = ()  # options that were given to describe the training


@dataclass(frozen=True)
class Draw:
    """Whose constants are drawn from their ranges, and how often."""

    methods: tuple[str, ...]
    n: int = 8  # settings of each method
    seed: int = 0


@dataclass(frozen=True)
class Repetition:
    """How a run is made again to see whether it comes out the same bit for bit."""

    worker_counts: tuple[int, ...] = (2,)  # data loader processes, a way each
    resume_every: int = 5  # steps after which one way stops and goes on
    threads: int = 1
    device: Device | None = None  # None: cuda where there is one


@dataclass(frozen=True)
class Pictures:
    """Which images a sheet shows, and where sheets are written."""

    out: Path
    images: int = 6  # rows of the sheet
    choose: Choice = "difference"
    between: tuple[str, ...] = ()  # the two methods of a difference; empty: the first two shown


@dataclass(frozen=True)
class Prediction:
    """Which finished weights predict what, and where that is written."""

    request: Request  # method and benchmark may be empty: those of the weights
    files: Files
    root: Path  # of the stored runs
    out: Path
    run: str = ""  # a finished run: its folder, or the key at the end of its name
    images: Path | None = None  # pictures or a video; None: the images of the request's benchmark
    every: int = 1  # of a video, each N-th frame
    classes: tuple[str, ...] = ()  # empty: those of the training
    limit: int | None = None  # pictures
    background_below: float | None = None  # a best score below says background, as one class more
    device: Device | None = None  # None: cuda where there is one
    sheet: int = 24  # pictures on the sheet
    force: bool = False  # throw away earlier predictions


@dataclass(frozen=True)
class Run:
    """What to train and how to score it; both specs have a key, which together name the record."""

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
        scored = self.evaluation
        return f" on {scored.benchmark} fold {scored.fold}" if scored.transferred else ""

    def folder(self, root: Path) -> RunFolder:
        """Where it is stored."""
        from results.store.folders import RunFolder

        return RunFolder(root / self.train.folder)
