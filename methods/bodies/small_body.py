"""A body of ours for the built-in benchmark: as small as 64-pixel scenes need, nothing but torch.

Four stages of residual 3x3 convolutions at strides 2, 4, 8 and 16; the last three are projected, upsampled to stride 4
and fused as in SegFormer's head (Xie et al. 2021, Section 3.2). BatchNorm: in the
few hundred iterations of the built-in recipe it learns what GroupNorm does not begin to. Stem and stages can begin with
weights that learnt to name pictures, as published bodies begin with ImageNet's.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.bodies.backbone_weights import load_parts
from methods.bodies.body import Body
from methods.bodies.paramwise import Paramwise

STEM = 24
WIDTHS = (48, 96, 128)  # at strides 4, 8, 16
DEPTHS = (1, 2, 1)
FUSED = 96
PRETRAINED = ("stem.", "stages.")  # what weights hold; the rest of the body is drawn


class SmallBody(Body):
    """About 0.9 M parameters with 64 output channels; features at stride 4."""

    def __init__(self, *, name: str, out_channels: int) -> None:
        super().__init__(name=name, out_channels=out_channels, stride=4, paramwise=Paramwise(no_decay=("norm",)))
        self.stem = ConvNorm(3, STEM, stride=2)
        ins = (STEM, *WIDTHS[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNorm(i, o, stride=2), *(Residual(o) for _ in range(depth)))
            for i, o, depth in zip(ins, WIDTHS, DEPTHS, strict=True)
        )
        self.laterals = nn.ModuleList(ConvNorm(width, FUSED, kernel=1) for width in WIDTHS)
        self.fuse = ConvNorm(len(WIDTHS) * FUSED, FUSED, kernel=1)
        self.project = nn.Conv2d(FUSED, out_channels, 1)

    def load_pretrained(self, source: str | Path) -> None:
        """Load stem and stages from a file or a URL; see `weights.load_parts` for what is raised."""
        self.weights_sha256 = load_parts(self, PRETRAINED, source)

    def forward(self, pixels: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, out_channels, ceil(H / 4), ceil(W / 4))`."""
        x = self.stem(pixels)
        levels = []
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            x = stage(x)
            levels.append(lateral(x))
        size = levels[0].shape[-2:]
        levels = [F.interpolate(level, size, mode="bilinear", align_corners=False) for level in levels]
        return self.project(self.fuse(torch.cat(levels, dim=1)))


class ConvNorm(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, ins: int, outs: int, *, kernel: int = 3, stride: int = 1, active: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outs)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """`(B, ins, H, W)` to `(B, outs, ceil(H / stride), ceil(W / stride))`."""
        x = self.norm(self.conv(x))
        return F.relu(x) if self.active else x


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip (He et al. 2016, Figure 2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = ConvNorm(width, width, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, width, H, W)`, same shape out."""
        return F.relu(x + self.second(self.first(x)))
