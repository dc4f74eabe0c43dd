"""Evaluation: the protocol's windows and sequence of resizes, image by image.

The image is resized to the short side; each window's scores are resized to the window, passed through the method's
activation, averaged where windows overlap, then resized once to the truth's size (equal sizes: nothing to do), then
argmax with ties to the lowest class. All bilinear, align_corners false. Classes go through in chunks with a running
best, so that all classes are never held at full size. Every image is scored by itself: nothing of the result depends
on batches, order, workers or seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.confusion import count
from benchmarks.data.reader import Reader
from benchmarks.geometry import Window, resized, windows
from benchmarks.labels import apply
from benchmarks.protocol import Inference
from benchmarks.shifts import ShiftSweep, shift_grid
from methods.method import FIRST_CODE, Images, Method, Vocabulary
from splits.errors import UserError

CHUNK = 16
Best = tuple[Tensor, Tensor]  # score and class of the best class so far, (H, W) each


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
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Score a method on every image of a reader. `table` maps mask values to classes, as in `benchmarks.labels`.

    background_below: where the best activated score is below it, background is predicted, as one class more; `table`
    then has that class too. A shift of the seen scores comes before this comparison.
    """
    method.eval()
    classes = len(vocabulary) + (background_below is not None)
    sweep = ShiftSweep(classes, shift_grid(method.seen_shift, method.shift_span), method.seen_shift, device)
    per_image: list[np.ndarray] = []
    ignored, start, warm = 0, time.perf_counter(), 0.0
    for index in range(len(reader)):
        sample = reader.read(index)
        truth = torch.from_numpy(apply(table, sample.mask)).to(device)
        labelled = truth < FIRST_CODE
        seen, unseen = best_classes(method, sample.image, vocabulary, inference, tuple(truth.shape), device)
        there = truth[labelled].long()
        rival = unseen if background_below is None else _or_background(unseen, truth, background_below, classes - 1)
        prediction = sweep.add(there, _at(seen, labelled), _at(rival, labelled))
        per_image.append(image_pairs(index, there, prediction, classes))
        ignored += truth.numel() - len(there)
        warm = warm or time.perf_counter()
        watch(index + 1, len(reader))
    end = time.perf_counter()
    rate = (len(reader) - 1) / (end - warm) if len(reader) > 1 else None
    counts = np.concatenate(per_image) if per_image else np.zeros((0, 4), np.int64)
    return Evaluation(sweep.shifts, sweep.own_index, sweep.matrices(), counts, len(reader), ignored, end - start, rate)


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
    best: dict[bool, Best] = {}
    for classes, scores in score_chunks(method, image, vocabulary, inference, size, device):
        values, where = scores.max(dim=0)  # the first of equal maxima, or NaN if there is one
        if values.isnan().any():
            raise UserError(
                f"{type(method).__name__}: scores among {', '.join(vocabulary.names[c] for c in classes)} are NaN; "
                "the weights are broken: train anew with a lower learning rate or 32-true precision"
            )
        chunk = (values, torch.tensor(classes, device=values.device)[where])
        kind = vocabulary.seen[classes[0]]
        if kind in best:
            better = chunk[0] > best[kind][0]  # strictly: an earlier class keeps a tie
            chunk = (torch.where(better, chunk[0], best[kind][0]), torch.where(better, chunk[1], best[kind][1]))
        best[kind] = chunk
    return best.get(True), best.get(False)


def score_chunks(
    method: Method,
    image: np.ndarray,
    vocabulary: Vocabulary,
    inference: Inference,
    size: tuple[int, ...],
    device: torch.device | str = "cpu",
    chunk: int = CHUNK,
) -> Iterator[tuple[list[int], Tensor]]:
    """Classes and their activated scores `(c, H, W)` at the truth's size; a chunk is all seen or all unseen."""
    height, width = resized(image.shape[0], image.shape[1], inference.short_side)
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(device)
    boxes = windows(height, width, inference.window, inference.stride)
    passes = [pixels, pixels.flip(-1)] if inference.flips else [pixels]
    grids = [_window_scores(method, picture, vocabulary, boxes) for picture in passes]
    seen = vocabulary.seen_mask(device)
    for kind in (True, False):
        members = [index for index, flag in enumerate(vocabulary.seen) if flag is kind]
        for first in range(0, len(members), chunk):
            classes = members[first : first + chunk]
            canvases = [_canvas(method, grid[:, classes], seen[classes], boxes, (height, width)) for grid in grids]
            if inference.flips:  # as mmsegmentation: the mirrored picture is scored whole, then turned back
                canvases = [(canvases[0] + canvases[1].flip(-1)) / 2]
            yield classes, _resize(canvases[0], size)[0]


def _window_scores(method: Method, pixels: Tensor, vocabulary: Vocabulary, boxes: tuple[Window, ...]) -> Tensor:
    """`(W, C, h, w)`; every window has the same size, so they go through the method as one batch."""
    return method.scores(Images(torch.stack([pixels[:, y1:y2, x1:x2] for y1, x1, y2, x2 in boxes])), vocabulary)


def _canvas(method: Method, grid: Tensor, seen: Tensor, boxes: tuple[Window, ...], size: tuple[int, int]) -> Tensor:
    """`(1, c, H, W)`: activated window scores, averaged where windows overlap."""
    window = (boxes[0][2] - boxes[0][0], boxes[0][3] - boxes[0][1])
    activated = _activated(method, _resize(grid, window), seen)  # (W, c, h, w)
    if len(boxes) == 1:
        return activated
    total = activated.new_zeros(1, activated.shape[1], *size)
    count = activated.new_zeros(1, 1, *size)
    for scored, (y1, x1, y2, x2) in zip(activated, boxes, strict=True):
        total[0, :, y1:y2, x1:x2] += scored
        count[0, :, y1:y2, x1:x2] += 1
    return total / count


def _activated(method: Method, scores: Tensor, seen: Tensor) -> Tensor:
    """The method's activation, class by class: vectorised functions round the last elements of a tensor in another way,
    so that a class's last bits would depend on the others in its chunk.
    """
    one_by_one = [method.activate(scores[:, [c]], seen[[c]]) for c in range(len(seen))]
    return torch.cat(one_by_one, dim=1)


def _resize(scores: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(scores.shape[-2:]) == tuple(size):
        return scores
    planes = scores.flatten(0, 1)[:, None]  # (W c, 1, h, w): beside others, a plane would be rounded by its place
    return interpolate(planes, size=tuple(size), mode="bilinear", align_corners=False).view(*scores.shape[:2], *size)


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
    return None if best is None else (best[0][labelled], best[1][labelled])


def image_pairs(image: int, truth: Tensor, prediction: Tensor, classes: int) -> np.ndarray:
    """`(n, 4)`: image, truth, prediction, pixels, for the pairs that occur."""
    counts = count(truth, prediction, classes, ignore=-1)  # what is ignored is gone already
    pairs = counts.nonzero()  # (n, 2)
    rows = torch.cat([torch.full_like(pairs[:, :1], image), pairs, counts[pairs[:, 0], pairs[:, 1]][:, None]], dim=1)
    return rows.cpu().numpy()
