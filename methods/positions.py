"""Position tables at other sizes: each interpolation that released codes have, in one place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.interpolations import Interpolation

OFFSET = 0.1  # DINO's, added to a side before it is divided: against rounding down, and sampling goes by it


def interpolated(
    table: Tensor, grid: tuple[int, int], size: tuple[int, int], how: Interpolation = "bilinear"
) -> Tensor:
    """Positions `(1 + H*W, D)` of a grid `(H, W)` at another size `(h, w)`: `(1 + h*w, D)`; the CLS row stays.

    how: see `methods.interpolations`; align_corners is false in all of them. "bicubic-offset" samples by the factor
    (h + 0.1) / H, which is not the same as going by the size.
    """
    if size == grid:
        return table
    rows = table[1:].reshape(1, *grid, -1).permute(0, 3, 1, 2)  # (1, D, H, W)
    if how == "bicubic-offset":
        factor = [(new + OFFSET) / old for new, old in zip(size, grid, strict=True)]
        rows = F.interpolate(rows, scale_factor=factor, mode="bicubic", align_corners=False)
    else:
        rows = F.interpolate(rows, size, mode=how, align_corners=False)
    return torch.cat([table[:1], rows[0].flatten(1).T])


def with_positions(patches: Tensor, cls: Tensor, table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens `(B, 1+N, D)`, CLS `(D,)` first, of patch embeddings `(B, D, h, w)` and the table of a grid `(H, W)`.

    As DINO's code does it: "bicubic-offset".
    """
    b, _, h, w = patches.shape
    tokens = torch.cat([cls.to(patches).expand(b, 1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
    return tokens + interpolated(table, grid, (h, w), "bicubic-offset").to(tokens)
