"""Benchmarks that are one: voc-15-5 is fold 3 of pascal-5i, by classes, images and protocol hash. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from results.launch.plan.request import Run
from results.store.folders import CorruptRecord

TWINS: Final = {("voc-15-5", 0): ("pascal-5i", 3), ("pascal-5i", 3): ("voc-15-5", 0)}


def twin(run: Run) -> Run | None:
    """The same training and scoring under the other name; None where there is none."""
    other = TWINS.get((run.train.benchmark, run.train.fold))
    if other is None or (run.evaluation.benchmark, run.evaluation.fold) != (run.train.benchmark, run.train.fold):
        return None
    names = {"benchmark": other[0], "fold": other[1]}
    return Run(run.train.model_copy(update=names), run.evaluation.model_copy(update=names))


def done_as_twins(runs: Sequence[Run], root: Path) -> Iterator[str]:
    """A line for each run that is not there and whose twin is."""
    for run in runs:
        other = twin(run)
        if other is not None and _is_done(other, root) and not _is_done(run, root):
            yield (
                f"{run.name} is the same training and scoring as {other.name}, which is done: --benchmarks "
                f"{other.train.benchmark} --folds {other.train.fold} shows it, and published rows stand beside both"
            )


def _is_done(run: Run, root: Path) -> bool:
    try:
        return run.folder(root).read_record(run.evaluation) is not None
    except CorruptRecord:
        return False  # the state of a run says so; here nothing may end for it
