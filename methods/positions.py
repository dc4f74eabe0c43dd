"""Position tables at other sizes: bilinear as ZegCLIP's code has them, bicubic as DINO's has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def interpolated(table: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Positions `(1 + H*W, D)` of a grid `(H, W)` at another size `(h, w)`: `(1 + h*w, D)`; the CLS row stays."""
    if size == grid:
        return table
    rows = table[1:].reshape(1, *grid, -1).permute(0, 3, 1, 2)  # (1, D, H, W)
    rows = F.interpolate(rows, size, mode="bilinear", align_corners=False)
    return torch.cat([table[:1], rows[0].flatten(1).T])


def positions(table: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Positions `(1 + H*W, D)` of a grid `(H, W)` at another size `(h, w)`: `(1 + h*w, D)`, bicubic; the CLS row stays.

    The sampling goes by the factor (h + 0.1) / H, which is not the same as going by the size.
    """
    if size == grid:
        return table
    rows = table[1:].reshape(1, *grid, -1).permute(0, 3, 1, 2)  # (1, D, H, W)
    factor = [(new + 0.1) / old for new, old in zip(size, grid, strict=True)]
    rows = F.interpolate(rows, scale_factor=factor, mode="bicubic", align_corners=False)
    return torch.cat([table[:1], rows[0].flatten(1).T])


def with_positions(patches: Tensor, cls: Tensor, table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens `(B, 1+N, D)`, CLS `(D,)` first, of patch embeddings `(B, D, h, w)` and the table of a grid `(H, W)`."""
    b, _, h, w = patches.shape
    tokens = torch.cat([cls.to(patches).expand(b, 1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
    return tokens + positions(table, grid, (h, w)).to(tokens)
