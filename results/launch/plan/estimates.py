"""What a grid will cost: iterations, images, and hours from what finished runs took. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import mean

from benchmarks.catalogue import Data, benchmark
from benchmarks.data.datasets import expected_images
from benchmarks.spec import EvalSpec, clip_words
from methods.registry import METHODS
from results.launch.plan.request import Run
from results.store.folders import find_records
from results.store.record import Result, RunRecord
from splits.errors import UserError

Kind = tuple[str, str, str, int | None]  # what makes two runs take about the same time
Count = Callable[[EvalSpec], int | None]  # images of a scoring
Step = tuple[str, str, str]  # what makes an image of two runs take about the same time
TIMELESS = frozenset(  # fields of a recipe that say nothing about the time of a step
    "name iterations lr min_lr weight_decay betas poly_power warmup_iterations warmup_ratio decay restart_at".split()
)


@dataclass
class _Measured:
    """What finished runs took, in seconds over all ranks, each with its device."""

    runs: dict[Kind, list[tuple[float, str]]] = field(default_factory=dict)
    training: dict[Step, list[tuple[float, str]]] = field(default_factory=dict)  # of an image
    scoring: dict[Step, list[tuple[float, str]]] = field(default_factory=dict)

    def add(self, record: RunRecord) -> None:
        """Take one record in."""
        ranks, device = record.result.train.recipe.ranks, record.provenance.scoring.device
        self.runs.setdefault(_kind(record.result), []).append((_seconds(record) * ranks, device))
        if rate := record.costs.train_images_per_second:
            self.training.setdefault(_step(record.result), []).append((ranks / rate, device))
        if rate := record.costs.eval_images_per_second:
            self.scoring.setdefault(_step(record.result), []).append((ranks / rate, device))

    def scaled(self, run: Run, images_of: Count) -> tuple[float, set[str]] | None:
        """Seconds of a run from the rates of others with the same step; None where none is known."""
        recipe, step = run.train.recipe.shortened(run.train.limit), _step(run)
        trains = _trains(run)
        if step not in self.scoring or (trains and step not in self.training):
            return None
        if (count := images_of(run.evaluation)) is None:
            return None
        found = [(self.scoring[step], count)]
        found += [(self.training[step], recipe.iterations * recipe.batch)] if trains else []
        seconds = sum(mean(each for each, _ in rates) * times for rates, times in found)
        return seconds, {device for rates, _ in found for _, device in rates}


def expected(runs: Sequence[Run], root: Path, data: Data | None = None, shipped: Path | None = None) -> str:
    """A line: hours of all runs and all their ranks together, where a run of the same kind, or its step, was measured.

    root: whose records are looked at. data: where images are counted that no list ships for. shipped: records that come
    with the project, for runs that `root` says nothing of.
    """
    parts, left = [], list(runs)
    for place, which in ((root, ""), (shipped, " (shipped records)")):
        if place is not None and left:
            words, left = _told(left, _measured(place), data or Data())
            parts += [f"{line}{which}" for line in words]
    if not parts:
        return f"hours to expect: unknown, no run of these methods and settings has been measured in {root}"
    if left:
        parts.append(f"{len(left)} more {'was' if len(left) == 1 else 'were'} never measured")
    return f"hours to expect: {'; '.join(parts)}"


def _measured(root: Path) -> _Measured:
    found = _Measured()
    for record in find_records(root):
        if isinstance(record, RunRecord):
            found.add(record)
    return found


def _told(runs: Sequence[Run], measured: _Measured, data: Data) -> tuple[list[str], list[Run]]:
    """Hours in words, and the runs that nothing is known of."""
    words, left = [], []
    known = [measured.runs[_kind(run)] for run in runs if _kind(run) in measured.runs]
    scaled, images_of = [], _once(data)
    for run in runs:
        if _kind(run) in measured.runs:
            continue
        if (found := measured.scaled(run, images_of)) is not None:
            scaled.append(found)
        else:
            left.append(run)
    if known:
        hours = sum(mean(seconds for seconds, _ in each) for each in known) / 3600
        devices = sorted({device for each in known for _, device in each})
        words.append(f"{hours:.2f} for {_runs(len(known))}, as measured on {', '.join(devices)}")
    if scaled:
        hours = sum(seconds for seconds, _ in scaled) / 3600
        devices = sorted({device for _, each in scaled for device in each})
        words.append(f"{hours:.2f} for {_runs(len(scaled))}, scaled from steps measured on {', '.join(devices)}")
    return words, left


def work(runs: Sequence[Run], data: Data) -> Iterator[str]:
    """Lines: what each method trains and how many images are scored."""
    trained: dict[tuple[str, int, int], int] = {}
    for run in runs:
        recipe = run.train.recipe.shortened(run.train.limit)
        if recipe.iterations and not run.train.weights and _trains(run):
            key = (run.train.method, recipe.iterations, recipe.batch)
            trained[key] = trained.get(key, 0) + 1
    for (method, iterations, batch), count in trained.items():
        yield f"to train: {method}: {_runs(count)} x {iterations:,} iterations of {batch} images"
    training = {method for method, _, _ in trained}
    if idle := [m for m in dict.fromkeys(run.train.method for run in runs if not _trains(run)) if m not in training]:
        yield f"nothing to train: {', '.join(idle)}"
    counts = list(map(_once(data), (run.evaluation for run in runs)))
    if unknown := counts.count(None):
        yield f"to score: the images of {unknown} runs are not known; name the data with --data-root"
    if some := [count for count in counts if count is not None]:
        yield f"to score: {sum(some):,} images in {_runs(len(some))}"


def images(scored: EvalSpec, data: Data) -> int | None:
    """How many images a scoring goes over; None where that takes data that are not there, or items are scored."""
    if scored.side.kind != "generalised":
        return None
    bench = benchmark(scored.benchmark)
    count: int | None = None
    if bench.photos and not scored.side.data.partial and not bench.custom and scored.part in ("train", "val"):
        count = expected_images(bench.split, scored.part)
    else:
        try:
            count = len(data.open(bench, scored.part))
        except (UserError, OSError):
            return None
    return count if scored.limit is None or count is None else min(count, scored.limit)


def _once(data: Data) -> Count:
    """`images`, for each scoring once: seeds and methods share theirs, and folders may have to be looked through."""
    return cache(lambda scored: images(scored, data))


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _trains(run: Run) -> bool:
    known = METHODS.get(run.train.method)
    return bool(run.train.recipe.iterations) and (known is None or known.trained)


def _step(of: Run | Result) -> Step:
    train, scored = of.train, of.evaluation
    essence = {name: value for name, value in dict(train.recipe).items() if name not in TIMELESS}
    sizes = scored.side.inference.model_dump_json()
    return train.method, f"{train.benchmark} {scored.benchmark} {clip_words(train.clip)}", f"{essence} {sizes}"


def _kind(of: Run | Result) -> Kind:
    train = of.train
    return train.method, train.benchmark, train.recipe.digest(), train.limit


def _seconds(record: RunRecord) -> float:
    """Of a whole run: `train_seconds` is of the last attempt alone, so the rate decides where there is one."""
    recipe, rate = record.result.train.recipe.shortened(record.result.train.limit), record.costs.train_images_per_second
    training = recipe.iterations * recipe.batch / rate if rate else record.costs.train_seconds
    return training + record.costs.eval_seconds
