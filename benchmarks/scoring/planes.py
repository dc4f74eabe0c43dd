"""The protocol's windows and sequence of resizes, written out plainly: planes of scores at the truth's size.

Classes go through in chunks, so that all classes are never held at full size. This is what every faster way is held to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from benchmarks.choices import Precision
from benchmarks.protocol import Inference
from benchmarks.scoring.activation import activated_planes
from benchmarks.scoring.ahead import at_short_side, sent
from benchmarks.scoring.windows import Window, windows
from methods.method import Images, Method, Vocabulary
from methods.precision import forward_in, wide
from methods.returned import scores_of

CHUNK = 16
BYTES, WORDS = 1 << 8, 1 << 15  # numbers that a byte, and a signed pair of bytes, count from 0


@dataclass(frozen=True)
class Views:
    """A method's scores of one picture: of its windows, and of those of its mirror image if that is averaged in."""

    method: Method
    seen: tuple[bool, ...]
    grids: tuple[Tensor, ...]  # (W, C, h, w) each
    boxes: tuple[Window, ...]
    canvas: tuple[int, int]  # size of the resized picture

    @property
    def window(self) -> tuple[int, int]:
        """The windows' size; all have the same."""
        return self.boxes[0].bottom - self.boxes[0].top, self.boxes[0].right - self.boxes[0].left


def views(
    method: Method,
    image: np.ndarray,
    vocabulary: Vocabulary,
    inference: Inference,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
) -> Views:
    """Resize the picture `(H, W, 3)` uint8 to the size that is scored and score its windows, all as one batch.

    precision: of the method's forward pass; its scores are float32 or wider.
    """
    device = torch.device(device)
    image = at_short_side(image, inference)
    height, width = image.shape[:2]
    pixels = sent(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), device)
    boxes = windows(height, width, inference.window, inference.stride)
    pictures = [pixels, pixels.flip(-1)] if inference.flips else [pixels]
    batches = [Images(torch.stack([picture[:, y1:y2, x1:x2] for y1, x1, y2, x2 in boxes])) for picture in pictures]
    with forward_in(precision, device):
        scored = [method.scores(images, vocabulary) for images in batches]
    grids = [wide(scores_of(method, scores, len(boxes), len(vocabulary))) for scores in scored]
    return Views(method, vocabulary.seen, tuple(grids), boxes, (height, width))


@lru_cache(maxsize=16)
def seen_first(seen: tuple[bool, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """The classes `(C,)`, seen ones first and else in order: as indices, and in the smallest type that holds them.

    Kept for each device, to which it is copied once.
    """
    with torch.inference_mode(False):
        order = torch.tensor(sorted(range(len(seen)), key=lambda index: not seen[index]), device=device)
        return order, order.to(class_type(len(seen)))


def class_type(classes: int) -> torch.dtype:
    """Of a map of classes, with room for background beside them: an image of 20 megapixels has two such maps."""
    return torch.uint8 if classes < BYTES else torch.int16 if classes < WORDS else torch.int64


def score_chunks(scored: Views, size: tuple[int, ...], chunk: int = CHUNK) -> Iterator[tuple[list[int], Tensor]]:
    """Classes and their activated scores `(c, H, W)` at the truth's size; a chunk is all seen or all unseen."""
    device, start = scored.grids[0].device, 0
    order = seen_first(scored.seen, device)[0]
    grids = [grid.index_select(1, order) for grid in scored.grids]
    for kind in (True, False):
        members = [index for index, flag in enumerate(scored.seen) if flag is kind]
        for first in range(0, len(members), chunk):
            classes = members[first : first + chunk]
            seen, part = torch.full((len(classes),), kind, device=device), slice(start, start + len(classes))
            canvases = [_canvas(scored, grid[:, part], seen) for grid in grids]
            start += len(classes)
            if len(canvases) > 1:  # as mmsegmentation: the mirrored picture is scored whole, then turned back
                canvases = [(canvases[0] + canvases[1].flip(-1)) / 2]
            yield classes, _resize(canvases[0], size)[0]


def _canvas(scored: Views, grid: Tensor, seen: Tensor) -> Tensor:
    """`(1, c, H, W)`: activated window scores, averaged where windows overlap."""
    activated = activated_planes(scored.method, _resize(grid, scored.window), seen)  # (W, c, h, w)
    if len(scored.boxes) == 1:
        return activated
    total = activated.new_zeros(1, activated.shape[1], *scored.canvas)
    count = activated.new_zeros(1, 1, *scored.canvas)
    for plane, (y1, x1, y2, x2) in zip(activated, scored.boxes, strict=True):
        total[0, :, y1:y2, x1:x2] += plane
        count[0, :, y1:y2, x1:x2] += 1
    return total / count


def _resize(scores: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(scores.shape[-2:]) == tuple(size):
        return scores
    planes = scores.flatten(0, 1)[:, None]  # (W c, 1, h, w): beside others, a plane would be rounded by its place
    # `interpolate`, but for its slow way round on a GPU where algorithms are deterministic: that is for gradients' sake
    resized: Tensor = torch.ops.aten.upsample_bilinear2d.default(planes, size, False)
    return resized.view(*scores.shape[:2], *size)
