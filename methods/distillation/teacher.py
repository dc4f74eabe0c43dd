"""What the frozen CLIP gives: tokens of the picture, and CLS tokens of the picture masked to each of its classes."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.clip import Clip
from methods.contrast import Regions
from methods.method import Images
from methods.precision import wide

CHUNK = 64  # masked pictures in one pass; bounds memory and changes no result


def at_side(size: tuple[int, ...] | torch.Size, side: int) -> tuple[int, int]:
    """Height and width with the shorter one `side`, the ratio kept."""
    height, width = size
    factor = side / min(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


@torch.no_grad()
def local_tokens(clip: Clip, images: Images, regions: Regions, *, side: int, fill: tuple[int, int, int]) -> Tensor:
    """`(P, d)` CLS tokens, not normalised: the whole frame, filled outside the region (Figure 3 of CLIP-to-Seg).

    The masked pictures of all images of the step go through CLIP together, resized to the shorter side `side`.
    """
    like = images.pixels.new_zeros(1, 1)
    colour = torch.stack([torch.full_like(like, value) for value in fill])  # filled there: no copy to wait for
    size = at_side(images.pixels.shape[-2:], side)
    rows = []
    for first in range(0, len(regions), CHUNK):
        which = slice(first, first + CHUNK)
        pixels = torch.where(regions.masks[which, None], images.pixels[regions.image[which]], colour)
        rows.append(wide(clip.tokens(Images(pixels), size=size).cls))
    return torch.cat(rows) if rows else torch.zeros(0, clip.embed_dim, device=images.pixels.device)
