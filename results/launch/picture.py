"""The `picture` command: predictions of finished runs on the first images of the scored part."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.catalogue import benchmark
from benchmarks.data.reader import Reader
from benchmarks.evaluate import Best, best_classes
from benchmarks.labels import apply, evaluation_table
from methods.method import Method
from results.launch.build import vocabulary_of
from results.launch.grid import request_of
from results.launch.plan import Run, plan
from results.launch.weights import finished_method
from results.pictures import contact_sheet
from splits.errors import UserError


def print_pictures(options: argparse.Namespace) -> int:
    """Save one sheet for each benchmark, fold and seed asked for, and say where."""
    request, clip_file = request_of(options)
    if options.kind == "episodic-binary":
        raise UserError("--kind episodic-binary: pictures show all classes at once; leave it out")
    for (name, fold, seed), group in groupby(sorted(plan(request), key=_place), key=_place):
        runs = list(group)
        methods = [finished_method(run, options.runs, clip_file) for run in runs]
        path = options.out / f"{name}-fold{fold}-seed{seed}.png"
        save_sheet(runs, methods, request.data.open(benchmark(name), request.part), options.images, path)
        print(path)
    return 0


@torch.inference_mode()
def save_sheet(runs: Sequence[Run], methods: Sequence[Method], reader: Reader, count: int, path: Path) -> None:
    """A sheet of the first `count` images: image, truth, and what each run's method says."""
    side = runs[0].evaluation.side
    vocabulary = vocabulary_of(side, side.classes)
    asked = runs[0].evaluation
    split = benchmark(asked.benchmark).split
    table = evaluation_table(split, split.fold(asked.fold))  # what is not asked about stays blank
    rows = []
    for index in range(min(count, len(reader))):
        sample = reader.read(index)
        truth = apply(table, sample.mask)
        said = [best_classes(m, sample.image, vocabulary, side.inference, truth.shape) for m in methods]
        rows.append((sample.id, sample.image, truth, [_winner(seen, unseen) for seen, unseen in said]))
    contact_sheet(rows, [run.train.method for run in runs], vocabulary.names, vocabulary.seen, path)


def _place(run: Run) -> tuple[str, int, int]:
    return run.train.benchmark, run.train.fold, run.train.seed


def _winner(seen: Best | None, unseen: Best | None) -> NDArray[np.int64]:
    """The class of every pixel, ties to the lower index."""
    if seen is None or unseen is None:
        only = seen or unseen
        assert only is not None, "a vocabulary has at least one class"
        return only[1].numpy()
    first = (seen[0] > unseen[0]) | ((seen[0] == unseen[0]) & (seen[1] < unseen[1]))
    return torch.where(first, seen[1], unseen[1]).numpy()
