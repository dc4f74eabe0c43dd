"""The best seen and unseen class of every pixel, band of rows by band: the sequence of resizes without the full maps.

Held at once are the rows of the picture's canvas that a band of the truth needs, never all classes at full size. Where
`bilinear` is not exact (another machine, sizes at which torch takes another kernel, other types of scores),
`evaluate` goes the plain way, `planes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.scoring.activation import activated_columns
from benchmarks.scoring.bilinear import SMALL, Space, across, axis, down, exact
from benchmarks.scoring.planes import Views, class_type

Size = tuple[int, int]
Best = tuple[Tensor, Tensor]  # score and class of the best class so far, (H, W) each

CHUNK: Final = 64  # classes at once; their places must fit into a byte
BAND: Final = 1 << 19  # scores of one band, about: what a core's caches hold


def fits(scored: Views, size: Size) -> bool:
    """Whether this way is exact for scores like these and a truth of this size."""
    grid = scored.grids[0]
    if grid.device.type != "cpu" or grid.dtype not in (torch.float32, torch.float64):
        return False
    steps = ((tuple(grid.shape[-2:]), scored.window), (scored.canvas, size))
    return all(old == new or sum(new) > SMALL for old, new in steps) and exact(grid.dtype)


def chunks(scored: Views, size: Size) -> Iterator[tuple[list[int], Best]]:
    """Classes, all seen or all unseen, in order, with each pixel's best among them; ties go to the class first in line.

    Where a score is NaN, so is the best.
    """
    order = sorted(range(len(scored.seen)), key=lambda index: not scored.seen[index])  # seen first, else as they stand
    space, type_ = Space(scored.grids[0].dtype), class_type(len(scored.seen))
    for first in range(0, len(order), CHUNK):
        classes = order[first : first + CHUNK]
        seen = torch.tensor([scored.seen[index] for index in classes])
        canvas = _Canvas([_View(scored, grid[:, classes], seen, space) for grid in scored.grids], space, type_)
        parts = [classes[: int(seen.sum())], classes[int(seen.sum()) :]]
        yield from canvas.best([part for part in parts if part], size)


class _Canvas:
    """The resized picture's scores, on demand."""

    def __init__(self, views: Sequence[_View], space: Space, type_: torch.dtype):
        """type_: of a map of classes."""
        self._views, self._space, self._type = views, space, type_
        self._size, self._classes = views[0].canvas, views[0].classes

    def best(self, parts: Sequence[list[int]], size: Size) -> Iterator[tuple[list[int], Best]]:
        """Each part of the classes with its best."""
        values = [torch.empty(size, dtype=self._views[0].dtype) for _ in parts]
        places = [torch.empty(size, dtype=torch.uint8) for _ in parts]
        for first, last, scores in self._bands(size):
            pixels = scores.view(-1, self._classes)
            flat = self._space("flat", self._classes, len(pixels))
            cv2.transpose(pixels.numpy(), dst=flat.numpy())
            start = 0
            for part, value, place in zip(parts, values, places, strict=True):
                best, where = _first_maximum(flat[start : start + len(part)])
                value[first:last], place[first:last] = best.view(-1, size[1]), where.view(-1, size[1])
                start += len(part)
        for part, value, place in zip(parts, values, places, strict=True):
            names = torch.tensor(part, dtype=self._type).numpy()
            yield part, (value, torch.from_numpy(np.take(names, place.numpy(), mode="clip")))

    def _bands(self, size: Size) -> Iterator[tuple[int, int, Tensor]]:
        """Rows `first:last` of the truth with their scores `(rows, W, c)`."""
        (old, old_width), (height, width), classes = self._size, size, self._classes
        step = max(1, BAND // (max(width, old_width) * classes))
        along = axis(old, height, self._views[0].dtype)
        done, end = self._space("odd", 0, width, classes), 0  # resized rows of the canvas, and where they end
        for index, first in enumerate(range(0, height, step)):
            last = min(first + step, height)
            if self._size == size:
                yield first, last, self._rows(first, last)
                continue
            low, high = int(along.low[first]), int(along.high[last - 1]) + 1
            rows = self._space("odd" if index % 2 else "even", high - low, width, classes)
            again = done[max(low - (end - len(done)), 0) :]  # the last ones of the band before may be the first here
            rows[: len(again)] = again
            across(self._rows(low + len(again), high), width, self._space, rows[len(again) :])
            done, end = rows, high
            out = self._space("band", last - first, width, classes)
            yield first, last, down(rows, old, height, first, last, low, out)

    def _rows(self, first: int, last: int) -> Tensor:
        rows = self._views[0].rows(first, last, "picture")
        if len(self._views) == 1:
            return rows
        mirrored = self._views[1].rows(first, last, "mirrored").flip(1)
        return (rows + mirrored) / 2  # as mmsegmentation: the mirrored picture is scored whole, then turned back


class _View:
    """One view of the picture (as it is, or mirrored): rows of its canvas."""

    def __init__(self, scored: Views, grid: Tensor, seen: Tensor, space: Space):
        """grid: `(W, c, h, w)` scores of the windows; seen: `(c,)` bool."""
        self.classes, self.dtype, self.canvas = len(seen), grid.dtype, scored.canvas
        self._method, self._seen, self._boxes, self._space = scored.method, seen, scored.boxes, space
        self._height, width = scored.window
        self._columns = []  # (h, window's width, c) for each window
        for scores in grid:
            rows = scores.permute(1, 2, 0).contiguous()
            self._columns.append(across(rows, width, space, rows.new_empty(len(rows), width, self.classes)))
        self._visits = torch.zeros(scored.canvas, dtype=grid.dtype)
        for top, left, bottom, right in scored.boxes:
            self._visits[top:bottom, left:right] += 1

    def rows(self, first: int, last: int, name: str) -> Tensor:
        """Rows `first:last` of the canvas, `(rows, W, c)`: activated, averaged where windows overlap."""
        if len(self._boxes) == 1:
            return self._window_rows(0, first, last, name)
        total = self._space(name, last - first, self.canvas[1], self.classes).zero_()
        for index, (top, left, bottom, right) in enumerate(self._boxes):
            begin, end = max(first, top), min(last, bottom)
            if begin < end:
                scores = self._window_rows(index, begin - top, end - top, "window")
                total[begin - first : end - first, left:right] += scores
        return total.div_(self._visits[first:last, :, None])

    def _window_rows(self, index: int, first: int, last: int, name: str) -> Tensor:
        columns = self._columns[index]
        out = self._space(name, last - first, *columns.shape[1:])
        down(columns, len(columns), self._height, first, last, 0, out)
        return activated_columns(self._method, out.view(-1, self.classes), self._seen).view(out.shape)


def _first_maximum(scores: Tensor) -> Best:
    """The maximum over the classes `(c, n)` and the first place that has it, as bytes."""
    best = scores.amax(dim=0)
    hits = np.equal(scores.numpy(), best.numpy()).view(np.uint8)
    ranks = np.arange(len(hits), 0, -1, dtype=np.uint8)[:, None]  # the first class ranks highest
    first = torch.from_numpy(np.multiply(hits, ranks, out=hits)).amax(dim=0)
    return best, len(hits) - first
