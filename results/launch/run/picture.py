"""Sheets of predictions of finished runs on images of the scored part, chosen by a stated rule."""

from __future__ import annotations

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
from results.launch.run.build import vocabulary_of
from results.launch.run.finished_weights import of_plan
from results.report.pictures import contact_sheet
from results.store.confusion import counted
from results.store.files import write_atomically
from results.store.folders import CONFUSION
from results.tables.statistics import counts_of
from splits.errors import UserError

SPREAD = (
    "Images by pixel accuracy, the mean of the methods shown: from the worst (top) to the best, evenly spaced by rank."
)
OUTLINES = "Outlined: objects of unseen classes in red, of seen ones in black."


def prediction_sheets(request: Request, files: Files, root: Path, pictures: Pictures) -> Iterator[Path]:
    """Save one sheet for each benchmark, fold and seed of the request; returns where. root: of the finished runs."""
    for (name, fold, seed), group in groupby(sorted(plan(request), key=_place), key=_place):
        runs = list(group)
        methods = [of_plan(run, root, files.clip).method for run in runs]
        reader = request.data.open(benchmark(name), request.part)
        path = pictures.out / f"{name}-fold{fold}-seed{seed}.png"
        if pictures.choose == "first":
            images, rule = list(range(min(pictures.images, len(reader)))), "The first images."
        else:
            shares = np.mean([accuracies(run, root) for run in runs], axis=0)
            images, rule = spread(shares, pictures.images), SPREAD
        save_sheet(runs, methods, reader, images, path)
        write_atomically(path.with_suffix(".txt"), f"{rule} {OUTLINES}\n".encode())
        yield path


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
    vocabulary = vocabulary_of(side, side.classes)
    scored = runs[0].evaluation
    split = benchmark(scored.benchmark).split
    table = evaluation_table(split, split.fold(scored.fold))  # what is not scored stays blank
    rows = []
    for index in images:
        sample = reader.read(index)
        truth = apply(table, sample.mask)
        predictions = [predicted(m, sample.image, vocabulary, side.inference, truth.shape) for m in methods]
        rows.append((sample.id, sample.image, truth, predictions))
    contact_sheet(rows, [run.train.method for run in runs], vocabulary.names, vocabulary.seen, path)


def _place(run: Run) -> tuple[str, int, int]:
    return run.train.benchmark, run.train.fold, run.train.seed
