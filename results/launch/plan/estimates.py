"""How many hours a grid will take, from what finished runs of the same kind took."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from results.launch.plan.request import Run
from results.store.folders import find_records
from results.store.record import Result, RunRecord

Kind = tuple[str, str, str, int | None]  # what makes two runs take about the same time


def expected(runs: Sequence[Run], root: Path) -> str:
    """A line: hours of all runs and all their ranks together, where rates have been measured below `root`."""
    measured: dict[Kind, list[tuple[float, str]]] = {}
    for record in find_records(root):
        if isinstance(record, RunRecord):
            seconds = _seconds(record) * record.result.train.recipe.ranks  # each rank holds its GPU to the end
            measured.setdefault(_kind(record.result), []).append((seconds, record.provenance.scoring.device))
    known = [measured[_kind(run)] for run in runs if _kind(run) in measured]
    if not known:
        return f"hours to expect: unknown, no run of these methods and settings has been measured in {root}"
    hours = sum(mean(seconds for seconds, _ in found) for found in known) / 3600
    devices = sorted({device for found in known for _, device in found})
    rest = f"; {len(runs) - len(known)} more were never measured" if len(known) < len(runs) else ""
    return f"hours to expect: {hours:.2f} for {len(known)} runs, as measured on {', '.join(devices)}{rest}"


def _kind(of: Run | Result) -> Kind:
    train = of.train
    return train.method, train.benchmark, train.recipe.digest(), train.limit


def _seconds(record: RunRecord) -> float:
    """Of a whole run: `train_seconds` is of the last attempt alone, so the rate decides where there is one."""
    recipe, rate = record.result.train.recipe.shortened(record.result.train.limit), record.costs.train_images_per_second
    training = recipe.iterations * recipe.batch / rate if rate else record.costs.train_seconds
    return training + record.costs.eval_seconds
