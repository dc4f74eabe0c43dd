"""Sheets of predictions of finished runs on images of the scored part, chosen by a stated rule."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.catalogue import benchmark
from benchmarks.data.reader import Reader
from benchmarks.labels import apply, evaluation_table
from benchmarks.scoring.predict import predicted
from methods.method import Method
from results.launch.plan.request import Files, Pictures, Request, Run
from results.launch.plan.runs import plan
from results.launch.run.build import asked_of, vocabulary_of
from results.launch.run.data_state import DataState, DataStates, changed
from results.launch.run.finished_weights import of_plan
from results.report.pictures import contact_sheet
from results.report.sheet_note import sheet_note
from results.store.confusion import counted
from results.store.files import write_atomically
from results.store.folders import CONFUSION
from results.tables.statistics import counts_of
from splits.errors import UserError
from splits.near import suggestion

DIFFERENCE = (
    "Images by the difference in pixel accuracy: first those where {0} is furthest ahead of {1}, then those where it "
    "is furthest behind."
)
SPREAD = (
    "Images by pixel accuracy, the mean of the methods shown: from the worst (top) to the best, evenly spaced by rank."
)
OUTLINES = "Outlined: objects of unseen classes in red, of seen ones in black."


def prediction_sheets(request: Request, files: Files, root: Path, pictures: Pictures) -> Iterator[Path]:
    """Save one sheet for each benchmark, fold and seed of the request; returns where. root: of the finished runs.

    Raises UserError for a method of a difference that is not among them.
    """
    if len({*pictures.between}) < len(pictures.between):
        raise UserError(f"--by-difference {' '.join(pictures.between)}: expected two methods")
    for name in pictures.between:
        if name not in request.methods:
            raise UserError(f"--by-difference: {name} is not shown; {suggestion(name, request.methods)}")
    data = DataStates(request.data, train=False, look_only=True)
    for (name, fold, seed), group in groupby(sorted(plan(request), key=_place), key=_place):
        runs = list(group)
        states = [data.of(run) for run in runs]
        states[0].refuse(name)  # all are scored on the same images
        finished = [of_plan(run, root, files.clip) for run in runs]
        for run, of, state in zip(runs, finished, states, strict=True):
            for remark in (*of.remarks, *_old(run, state, root)):
                print(f"warning: {run.name}: {remark}", file=sys.stderr)
        reader = request.data.open(benchmark(name), request.part)
        between = f"-{'-'.join(pictures.between)}" if pictures.between else ""
        path = pictures.out / f"{name}-fold{fold}-seed{seed}{between}.png"
        images, rule = chosen(runs, root, pictures, len(reader))
        save_sheet(runs, [of.method for of in finished], reader, images, path)
        weights = {run.train.folder: of.weights_sha256 for run, of in zip(runs, finished, strict=True)}
        write_atomically(path.with_suffix(".txt"), sheet_note(f"{rule} {OUTLINES}", weights).encode())
        yield path


def _old(run: Run, state: DataState, root: Path) -> tuple[str, ...]:
    """Whether the numbers that images may be chosen by are of other files."""
    record = run.folder(root).read_record(run.evaluation)
    if record is None or not changed(state, "", record.result.eval_data_sha256):
        return ()
    return ("the data have changed since it was scored; `run --stale` scores it again",)


def chosen(runs: Sequence[Run], root: Path, pictures: Pictures, count: int) -> tuple[list[int], str]:
    """The images to show, of so many, and the rule in words. Raises UserError for methods that are not shown."""
    if pictures.choose == "first":
        return list(range(min(pictures.images, count))), "The first images."
    named = {run.train.method: run for run in runs}
    if missing := [name for name in pictures.between if name not in named]:
        raise UserError(f"--by-difference {' '.join(pictures.between)}: {', '.join(missing)} is not shown; --methods")
    pair = pictures.between or tuple(named)[:2]
    if pictures.choose == "difference" and len(pair) == 2:
        first, second = (accuracies(named[name], root) for name in pair)
        return most_different(first, second, pictures.images), DIFFERENCE.format(*pair)
    return spread(np.mean([accuracies(run, root) for run in runs], axis=0), pictures.images), SPREAD


def most_different(first: NDArray[np.float64], second: NDArray[np.float64], count: int) -> list[int]:
    """At most `count` images by how far two methods' shares lie apart: half where the first is better, then the other.

    Each half begins with the largest difference; undefined images are no choice.

    >>> most_different(np.array([0.9, 0.1, 0.5, np.nan]), np.array([0.1, 0.8, 0.5, 0.2]), 2)
    [0, 1]
    """
    apart = first - second
    order = [int(i) for i in np.argsort(-np.nan_to_num(apart, nan=0.0), kind="stable") if not np.isnan(apart[i])]
    ahead = [i for i in order if apart[i] >= 0]
    behind = [i for i in reversed(order) if apart[i] < 0]
    # where one side has too few, the other has more
    lead = min(len(ahead), max((count + 1) // 2, count - len(behind)))
    return ahead[:lead] + behind[: count - lead]


def accuracies(run: Run, root: Path) -> NDArray[np.float64]:
    """The share of each scored image's labelled pixels that is right, `(N,)`; NaN where none is labelled."""
    folder = run.folder(root)
    record = folder.read_record(run.evaluation)
    if record is None:
        raise UserError(f"{run.name}: not scored yet; `eval` does it, or take --choose first")
    rows = counted(folder.evaluation(run.evaluation) / CONFUSION, ("per_image",))["per_image"]
    counts = counts_of(rows, record.result.images, [c.seen for c in record.result.classes])
    labelled = counts.truth.sum(axis=1)
    return np.where(labelled > 0, counts.hit.sum(axis=1) / np.maximum(labelled, 1), np.nan)


def spread(shares: NDArray[np.float64], count: int) -> list[int]:
    """At most `count` images from the worst to the best, evenly spaced by rank; undefined ones are no choice.

    >>> spread(np.array([0.5, np.nan, 0.1, 0.9, 0.3]), 3)
    [2, 4, 3]
    """
    order = [int(i) for i in np.argsort(shares, kind="stable") if not np.isnan(shares[i])]
    ranks = np.linspace(0, len(order) - 1, min(count, len(order)))
    return [order[int(rank)] for rank in ranks]


def save_sheet(
    runs: Sequence[Run], methods: Sequence[Method], reader: Reader, images: Sequence[int], path: Path
) -> None:
    """A sheet of these images: image, truth, and what each run's method says."""
    side = runs[0].evaluation.side
    vocabulary, scored = vocabulary_of(side, side.classes), runs[0].evaluation
    asked = [asked_of(scored, run.train.method) for run in runs]
    split = benchmark(scored.benchmark).split
    table = evaluation_table(split, split.fold(scored.fold))  # what is not scored stays blank
    rows = []
    for index in images:
        sample = reader.read(index)
        truth = apply(table, sample.mask)
        predictions = [
            predicted(
                m,
                sample.image,
                words,
                side.inference,
                truth.shape,
                decision=decision,
                precision=scored.precision,
            )
            for m, (words, decision) in zip(methods, asked, strict=True)
        ]
        rows.append((sample.id, sample.image, truth, predictions))
    contact_sheet(rows, [run.train.method for run in runs], vocabulary.names, vocabulary.seen, path)


def _place(run: Run) -> tuple[str, int, int]:
    return run.train.benchmark, run.train.fold, run.train.seed
