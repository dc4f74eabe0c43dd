"""The protocol's windows and sequence of resizes, written out plainly: planes of scores at the truth's size.

Classes go through in chunks, so that all classes are never held at full size. This is what every faster way is held to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.protocol import Inference
from benchmarks.scoring.activation import activated_planes
from benchmarks.scoring.windows import Window, resized, windows
from methods.method import Images, Method, Vocabulary

CHUNK = 16


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
) -> Views:
    """Resize the picture `(H, W, 3)` uint8 to the short side and score its windows, all as one batch."""
    height, width = resized(image.shape[0], image.shape[1], inference.short_side)
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(device)
    boxes = windows(height, width, inference.window, inference.stride)
    pictures = [pixels, pixels.flip(-1)] if inference.flips else [pixels]
    grids = [
        method.scores(Images(torch.stack([picture[:, y1:y2, x1:x2] for y1, x1, y2, x2 in boxes])), vocabulary)
        for picture in pictures
    ]
    return Views(method, vocabulary.seen, tuple(grids), boxes, (height, width))


def score_chunks(scored: Views, size: tuple[int, ...], chunk: int = CHUNK) -> Iterator[tuple[list[int], Tensor]]:
    """Classes and their activated scores `(c, H, W)` at the truth's size; a chunk is all seen or all unseen."""
    seen = torch.tensor(scored.seen, device=scored.grids[0].device)
    for kind in (True, False):
        members = [index for index, flag in enumerate(scored.seen) if flag is kind]
        for first in range(0, len(members), chunk):
            classes = members[first : first + chunk]
            canvases = [_canvas(scored, grid[:, classes], seen[classes]) for grid in scored.grids]
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
    return interpolate(planes, size=tuple(size), mode="bilinear", align_corners=False).view(*scores.shape[:2], *size)
