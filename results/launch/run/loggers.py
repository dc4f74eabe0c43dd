"""Copies of a run's curves for TensorBoard or W&B, in the run's own folder: only with `--log`.

Nothing here is part of what a run is: neither its key nor its record knows of it, and a logger that fails is named in a
warning and left out. A step that is made again after a break is logged once: the last step that a logger has is noted
beside its files. The packages, and torch, are imported only when a run has something to log.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.spec import Recipe, TrainSpec
from results.launch.run.environment import environment
from results.store.record import Result
from splits.errors import UserError

if TYPE_CHECKING:
    from benchmarks.training.train import Progress

EXTRA = "logging"  # of pip
NOTE = "told"  # the file with the last step that a logger has
PROJECT = "zero-shot-segmentation"  # of W&B, unless WANDB_PROJECT names another
LONGEST_ID = 128  # of W&B
SHORT = 12  # letters of a protocol's hash, as under tables

Figures = Mapping[str, float]


class Logger(Protocol):
    """One of the places that curves are copied to; where it raises, a warning says so, and it is left out."""

    last: int  # the step up to which it has the curve

    def point(self, step: int, figures: Figures) -> None:
        """A point of the curve; steps rise."""

    def final(self, step: int, figures: Figures) -> None:
        """The scores."""

    def close(self) -> None:
        """Nothing more comes, for now."""


class TensorBoard:
    """Event files in `tensorboard/`. Points of steps that are made again are hidden by TensorBoard's own means."""

    def __init__(self, folder: Path, spec: TrainSpec, start: int | None) -> None:
        """start: the step that training goes on from; None where it is over."""
        from torch.utils.tensorboard import SummaryWriter

        events = folder / "tensorboard"
        self._note = events / NOTE
        self.last = min(_last_step(self._note), start or 0)
        self._writer = SummaryWriter(str(events), purge_step=None if start is None else self.last + 1)

    def point(self, step: int, figures: Figures) -> None:
        """Write it, then note it: what was not noted is hidden when it comes again."""
        self.final(step, figures)
        self._note.write_text(str(step))

    def final(self, step: int, figures: Figures) -> None:
        """Write the scores at the last step."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class WandB:
    """A W&B run in `wandb/`, offline unless WANDB_MODE says otherwise; after a break the same id goes on."""

    def __init__(self, folder: Path, spec: TrainSpec, start: int | None) -> None:
        """start: not needed; W&B takes nothing back, so steps that are made again are not logged again."""
        import wandb

        files = folder / "wandb"
        files.mkdir(exist_ok=True)
        self._note = files / NOTE
        self.last = _last_step(self._note)
        places = {f"WANDB_{kind}_DIR": str(files) for kind in ("CACHE", "CONFIG", "DATA", "ARTIFACT")}
        settings = wandb.Settings(
            console="off", silent=True, symlink=False, disable_git=True, disable_code=True, x_disable_stats=True
        )
        with environment(**{name: path for name, path in places.items() if name not in os.environ}):
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                mode=os.environ.get("WANDB_MODE", "offline"),
                id=run_id(spec),
                name=f"{spec.method} fold {spec.fold} seed {spec.seed}",
                group=f"{spec.benchmark} {spec.method}",
                config=spec.model_dump(mode="json"),
                resume="allow",
                dir=str(folder),
                settings=settings,
            )

    def point(self, step: int, figures: Figures) -> None:
        """Note it, then log it: a point that is lost with its process is better than one that is there twice."""
        self._note.write_text(str(step))
        self._run.log(dict(figures), step=step)

    def final(self, step: int, figures: Figures) -> None:
        """Put the scores into the run's summary, the columns of W&B's tables."""
        self._run.summary.update(dict(figures))

    def close(self) -> None:
        """End it; the same id goes on with it."""
        self._run.finish()


LOGGERS: dict[str, Callable[[Path, TrainSpec, int | None], Logger]] = {"tensorboard": TensorBoard, "wandb": WandB}


def check_logs(names: Sequence[str]) -> None:
    """Raises UserError where the package of a logger is not installed."""
    for name in names:
        found = find_spec(name)
        if found is None or found.origin is None:  # a folder of that name here, as W&B leaves them, is no package
            raise UserError(
                f"--log {name}: its package is not installed; pip install '.[{EXTRA}]', or: pip install {name}"
            )


def run_id(spec: TrainSpec) -> str:
    """A run's name for W&B: that of its folder, which ends in the key."""
    return re.sub(r"[^\w.-]", "-", spec.folder)[-LONGEST_ID:]


class Loggers:
    """The loggers of `--log`, opened when there is something to log. A context: all are closed at its end."""

    def __init__(self, names: Sequence[str], folder: Path, spec: TrainSpec) -> None:
        self._folder, self._spec, self._recipe = folder, spec, spec.recipe.shortened(spec.limit)
        self._names: tuple[str, ...] | None = tuple(names)  # None: opened
        self._open: dict[str, Logger] = {}
        self._step = 0

    def __enter__(self) -> Loggers:
        return self

    def __exit__(self, *_: object) -> None:
        self._each(lambda logger: logger.close())

    def update(self, progress: Progress) -> None:
        """Log the points of the curve that have come since; at first what was restored and never logged."""
        self._begin(progress.step - 1)
        if not self._open or not progress.curve or progress.curve[-1][0] <= self._step:
            return
        self._step = progress.curve[-1][0]
        self._each(lambda logger: _catch_up(logger, progress, self._recipe))

    def final(self, result: Result) -> None:
        """Log the scores, under the protocol they were made by."""
        self._begin(None)
        under = f"{result.evaluation.part}-{result.family_hash[:SHORT]}"
        scores = {"mIoU_seen": result.own.miou_seen, "mIoU_unseen": result.own.miou_unseen, "hIoU": result.own.hiou}
        figures = {f"{under}/{name}": value for name, value in scores.items() if value is not None}
        self._each(lambda logger: logger.final(self._recipe.iterations, figures))

    def _begin(self, start: int | None) -> None:
        """Open all. start: the step that training goes on from, None where it is over."""
        names, self._names = self._names, None
        for name in names or ():
            try:
                self._open[name] = LOGGERS[name](self._folder, self._spec, start)
            except Exception as error:
                _warn(name, error)

    def _each(self, act: Callable[[Logger], Any]) -> None:
        for name, logger in list(self._open.items()):
            try:
                act(logger)
            except Exception as error:
                del self._open[name]
                _warn(name, error)


def _catch_up(logger: Logger, progress: Progress, recipe: Recipe) -> None:
    """Log what a logger has not of the curve; the rate of images is known of the newest point alone."""
    from benchmarks.training.train import WATCHED, learning_rate

    for step, losses in progress.curve:
        if step <= logger.last:
            continue
        kinds = {name: "watched" if name.startswith(WATCHED) else "loss" for name in losses}
        figures = {f"{kinds[name]}/{name.removeprefix(WATCHED)}": value for name, value in losses.items()}
        figures["learning_rate"] = learning_rate(recipe, step - 1)
        if step == progress.step and progress.images_per_second is not None:
            figures["images_per_second"] = progress.images_per_second
        logger.point(step, figures)
        logger.last = step


def _last_step(note: Path) -> int:
    return int(note.read_text()) if note.is_file() else 0


def _warn(name: str, error: Exception) -> None:
    words = " ".join(str(error).split()) or "no message"
    print(f"warning: --log {name}: {type(error).__name__}: {words}; the run goes on without it", file=sys.stderr)
