"""Evaluation: the protocol's windows and sequence of resizes, image by image.

The image is resized to the short side; each window's scores are resized to the window, passed through the method's
activation, averaged where windows overlap, then resized once to the truth's size (equal sizes: nothing to do), then
argmax with ties to the lowest class. All bilinear, align_corners false. Classes go through in chunks with a running
best, so that all classes are never held at full size. Every image is scored by itself: nothing of the result depends
on batches, order, workers or seeds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.choices import Precision
from benchmarks.data.reader import Reader, Watch
from benchmarks.labels import apply
from benchmarks.protocol import Inference
from benchmarks.scoring import bands
from benchmarks.scoring.ahead import Truth, at_short_side, in_order
from benchmarks.scoring.bands import Best
from benchmarks.scoring.confusion import count
from benchmarks.scoring.decision import Decision, by_probability
from benchmarks.scoring.nan_watch import NanWatch
from benchmarks.scoring.planes import Views, score_chunks, seen_first, views
from benchmarks.scoring.seen_shift import shift_grid
from benchmarks.scoring.tally import MOST_IMAGES, Tally
from methods.method import Method, Vocabulary
from methods.returned import seen_shift_of

PLAIN: Final = Decision()  # every name is a class, the highest score decides


@dataclass(frozen=True)
class Evaluation:
    """What one pass over the images counted."""

    shifts: np.ndarray  # (S,) float64, sorted
    own_index: int
    matrices: np.ndarray  # (S, C, C) int64 [shift, truth, prediction]
    per_image: np.ndarray  # (N, 4) int64: image, truth, prediction, pixels; at the own shift, what is 0 left out
    images: int
    ignored_pixels: int
    seconds: float
    images_per_second: float | None  # the first image left out
    boundary: np.ndarray | None = None  # (C, C) int64 at the own shift, near boundaries alone; None: not measured


@torch.inference_mode()
def evaluate(
    method: Method,
    reader: Reader,
    vocabulary: Vocabulary,
    inference: Inference,
    table: np.ndarray,
    *,
    decision: Decision = PLAIN,
    swept: bool = True,
    background_below: float | None = None,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    watch: Watch = lambda done, total: None,
) -> Evaluation:
    """Score a method on every image of a reader. `table` maps mask values to classes, as in `benchmarks.labels`.

    decision: what classes the vocabulary stands for, and how they are chosen. swept: count at every shift of the seen
    scores; False, where no class is unseen and so none matters: at the method's own and at none.
    background_below: where the best activated score is below it, background is predicted, as one class more; `table`
    then has that class too. A shift of the seen scores comes before this comparison. precision: of the forward pass.
    """
    method.eval()
    device = torch.device(device)
    classes = decision.classes(len(vocabulary)) + (background_below is not None)
    own, span = seen_shift_of(method)
    shifts = shift_grid(own, span) if swept else np.unique([0.0, own])
    tally = Tally(classes, shifts, own, device)
    nans = NanWatch(method)

    def read(index: int) -> tuple[NDArray[np.uint8], Truth]:
        sample = reader.read(index)
        return at_short_side(sample.image, inference), Truth.of(apply(table, sample.mask), classes)

    start, warm = time.perf_counter(), 0.0
    for index, (image, truth) in enumerate(in_order(read, len(reader), device)):
        best = best_classes(method, image, vocabulary, inference, truth.size, device, nans, decision, precision)
        tally.add(truth, *best, background_below)
        if index % MOST_IMAGES == 0:
            nans.check()
        warm = warm or time.perf_counter()
        watch(index + 1, len(reader))
    nans.check()
    matrices, pairs = tally.sweep.matrices(), tally.pairs.rows()
    end = time.perf_counter()
    rate = (len(reader) - 1) / (end - warm) if len(reader) > 1 else None
    return Evaluation(
        tally.sweep.shifts,
        tally.sweep.own_index,
        matrices,
        pairs,
        len(reader),
        tally.ignored,
        end - start,
        rate,
        tally.pairs.boundary,
    )


def best_classes(
    method: Method,
    image: np.ndarray,
    vocabulary: Vocabulary,
    inference: Inference,
    size: tuple[int, ...],
    device: torch.device | str = "cpu",
    nans: NanWatch | None = None,
    decision: Decision = PLAIN,
    precision: Precision = "float32",
) -> tuple[Best | None, Best | None]:
    """The best seen and the best unseen class of every pixel of one image, `(H, W)` each, at the truth's size.

    image: `(H, W, 3)` uint8. decision: of the names of the vocabulary; by probabilities, all count as seen. None where
    the vocabulary has no such class. Raises UserError for scores of NaN, among which nothing is best; given `nans`,
    where a device would have to be waited for, that one does when it is asked.
    """
    noted = NanWatch(method) if nans is None else nans
    scored = views(method, image, vocabulary, inference, device, precision)
    if decision.softmax is not None:
        said = by_probability(scored, (size[0], size[1]), decision)
        noted.note(vocabulary, list(range(len(vocabulary))), said[0])
        if nans is None:
            noted.check()
        return said, None
    best: dict[bool, Best] = {}
    for classes, (values, where) in _chunks(scored, (size[0], size[1])):
        noted.note(vocabulary, classes, values)
        chunk = (values, where)
        kind = vocabulary.seen[classes[0]]
        if kind in best:
            better = chunk[0] > best[kind][0]  # strictly: an earlier class keeps a tie
            chunk = (torch.where(better, chunk[0], best[kind][0]), torch.where(better, chunk[1], best[kind][1]))
        best[kind] = chunk
    if nans is None:
        noted.check()
    seen, unseen = (decision.owned(best[kind]) if kind in best else None for kind in (True, False))
    return seen, unseen


def _chunks(scored: Views, size: tuple[int, int]) -> Iterator[tuple[list[int], Best]]:
    """Classes, all seen or all unseen, in order, with each pixel's best: the fast way where that is exact, else the
    plain one.
    """
    if bands.fits(scored, size):
        yield from bands.chunks(scored, size)
        return
    names, first = seen_first(scored.seen, scored.grids[0].device)[1], 0
    for classes, scores in score_chunks(scored, size):
        values, where = scores.max(dim=0)  # the first of equal maxima, or NaN if there is one
        yield classes, (values, names[first : first + len(classes)][where])
        first += len(classes)


def image_pairs(image: int, truth: Tensor, prediction: Tensor, classes: int) -> np.ndarray:
    """`(n, 4)`: image, truth, prediction, pixels, for the pairs that occur."""
    counts = count(truth, prediction, classes, ignore=-1)  # what is ignored is gone already
    pairs = counts.nonzero()  # (n, 2)
    rows = torch.cat([torch.full_like(pairs[:, :1], image), pairs, counts[pairs[:, 0], pairs[:, 1]][:, None]], dim=1)
    return rows.cpu().numpy()
