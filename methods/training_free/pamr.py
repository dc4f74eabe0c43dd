"""Pixel-adaptive mask refinement (Araslanov and Roth, CVPR 2020, arXiv 2005.08104): maps that follow a picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def refined(picture: Tensor, maps: Tensor, *, steps: int, dilations: tuple[int, ...]) -> Tensor:
    """Maps `(C, H, W)` after some steps of averaging over neighbours alike in the picture `(3, H, W)`."""
    near = neighbours(picture, dilations)  # (8 * len(dilations), 3, H, W)
    centres = picture.expand(len(dilations), *picture.shape)
    spread = torch.cat([near, centres]).std(0)  # (3, H, W): of all dilations' nine values
    affinity = (-(picture - near).abs() / (1e-8 + 0.1 * spread)).mean(1).softmax(0)  # (8 * len(dilations), H, W)
    for _ in range(steps):
        maps = (affinity[:, None] * neighbours(maps, dilations)).sum(0)
    return maps


def neighbours(maps: Tensor, dilations: tuple[int, ...]) -> Tensor:
    """`(8 * len(dilations), C, H, W)` of `(C, H, W)`: the values so many pixels away, edges repeated."""
    height, width = maps.shape[-2:]
    found = []
    for d in dilations:
        padded = F.pad(maps[None], (d, d, d, d), mode="replicate")[0]
        found += [padded[:, d + d * dy : d + d * dy + height, d + d * dx : d + d * dx + width] for dy, dx in ROUND]
    return torch.stack(found)
