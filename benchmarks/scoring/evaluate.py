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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.data.reader import Reader, Watch
from benchmarks.labels import apply
from benchmarks.protocol import Inference
from benchmarks.scoring import bands
from benchmarks.scoring.bands import Best
from benchmarks.scoring.boundary import BoundaryCount
from benchmarks.scoring.confusion import count
from benchmarks.scoring.planes import Views, score_chunks, views
from benchmarks.scoring.seen_shift import ShiftSweep, shift_grid
from methods.method import FIRST_CODE, Method, Vocabulary
from splits.errors import UserError


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
    background_below: float | None = None,
    device: torch.device | str = "cpu",
    watch: Watch = lambda done, total: None,
) -> Evaluation:
    """Score a method on every image of a reader. `table` maps mask values to classes, as in `benchmarks.labels`.

    background_below: where the best activated score is below it, background is predicted, as one class more; `table`
    then has that class too. A shift of the seen scores comes before this comparison.
    """
    method.eval()
    classes = len(vocabulary) + (background_below is not None)
    sweep = ShiftSweep(classes, shift_grid(method.seen_shift, method.shift_span), method.seen_shift, device)
    near = BoundaryCount(classes)
    per_image = bytearray()  # in one piece, for a process that does not grow
    ignored, start, warm = 0, time.perf_counter(), 0.0
    for index, (image, labels) in enumerate(_ahead(reader, table)):
        truth = torch.from_numpy(labels).to(device)
        labelled = (truth.flatten() < FIRST_CODE).nonzero()[:, 0]
        seen, unseen = best_classes(method, image, vocabulary, inference, tuple(truth.shape), device)
        there = truth.flatten()[labelled].long()
        rival = unseen if background_below is None else _or_background(unseen, truth, background_below, classes - 1)
        prediction = sweep.add(there, _at(seen, labelled), _at(rival, labelled))
        per_image += image_pairs(index, there, prediction, classes).tobytes()
        near.add(labels, there, prediction)
        ignored += truth.numel() - len(there)
        warm = warm or time.perf_counter()
        watch(index + 1, len(reader))
    end = time.perf_counter()
    rate = (len(reader) - 1) / (end - warm) if len(reader) > 1 else None
    counts = np.frombuffer(bytes(per_image), np.int64).reshape(-1, 4)
    matrices = (sweep.shifts, sweep.own_index, sweep.matrices(), counts)
    return Evaluation(*matrices, len(reader), ignored, end - start, rate, near.matrix)


def _ahead(reader: Reader, table: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each picture with its truth, in order; the next one is read while this one is scored."""

    def read(index: int) -> tuple[np.ndarray, np.ndarray]:
        sample = reader.read(index)
        return sample.image, apply(table, sample.mask)

    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(read, 0) if len(reader) else None
        for index in range(len(reader)):
            assert coming is not None
            now = coming.result()
            coming = pool.submit(read, index + 1) if index + 1 < len(reader) else None
            yield now


def best_classes(
    method: Method,
    image: np.ndarray,
    vocabulary: Vocabulary,
    inference: Inference,
    size: tuple[int, ...],
    device: torch.device | str = "cpu",
) -> tuple[Best | None, Best | None]:
    """The best seen and the best unseen class of every pixel of one image, `(H, W)` each, at the truth's size.

    image: `(H, W, 3)` uint8. None where the vocabulary has no such class. Raises UserError for scores of NaN, among
    which nothing is best.
    """
    scored = views(method, image, vocabulary, inference, device)
    best: dict[bool, Best] = {}
    for classes, (values, where) in _chunks(scored, (size[0], size[1])):
        if values.isnan().any():
            raise UserError(
                f"{type(method).__name__}: scores among {', '.join(vocabulary.names[c] for c in classes)} are NaN; "
                "the weights are broken: train anew with a lower learning rate or 32-true precision"
            )
        chunk = (values, where)
        kind = vocabulary.seen[classes[0]]
        if kind in best:
            better = chunk[0] > best[kind][0]  # strictly: an earlier class keeps a tie
            chunk = (torch.where(better, chunk[0], best[kind][0]), torch.where(better, chunk[1], best[kind][1]))
        best[kind] = chunk
    return best.get(True), best.get(False)


def _chunks(scored: Views, size: tuple[int, int]) -> Iterator[tuple[list[int], Best]]:
    """Classes, all seen or all unseen, in order, with each pixel's best: the fast way where that is exact, else the
    plain one.
    """
    if bands.fits(scored, size):
        yield from bands.chunks(scored, size)
        return
    for classes, scores in score_chunks(scored, size):
        values, where = scores.max(dim=0)  # the first of equal maxima, or NaN if there is one
        yield classes, (values, torch.tensor(classes, device=values.device)[where])


def _or_background(unseen: Best | None, like: Tensor, threshold: float, background: int) -> Best:
    """The best unseen class where it reaches the threshold, else background with the threshold as its score.

    A seen class then wins where it beats what is left: it reaches the threshold, and no unseen class is better. Both
    hold at every shift, since a shift moves the seen scores alone.
    """
    if unseen is None:
        return torch.full_like(like, threshold, dtype=torch.float64), torch.full_like(
            like, background, dtype=torch.long
        )
    reached = unseen[0].double() >= threshold
    return (
        torch.where(reached, unseen[0].double(), threshold),
        torch.where(reached, unseen[1], background),
    )


def _at(best: Best | None, labelled: Tensor) -> Best | None:
    return None if best is None else (best[0].flatten()[labelled], best[1].flatten()[labelled])


def image_pairs(image: int, truth: Tensor, prediction: Tensor, classes: int) -> np.ndarray:
    """`(n, 4)`: image, truth, prediction, pixels, for the pairs that occur."""
    counts = count(truth, prediction, classes, ignore=-1)  # what is ignored is gone already
    pairs = counts.nonzero()  # (n, 2)
    rows = torch.cat([torch.full_like(pairs[:, :1], image), pairs, counts[pairs[:, 0], pairs[:, 1]][:, None]], dim=1)
    return rows.cpu().numpy()
