"""CLIP Semantic Head: a body's features through the frozen end of CLIP's image encoder into text space.

The abstract says: a frozen sub-network and fixed projection layers of CLIP, with lightweight trainable components.
Which blocks, where the features enter, what becomes of class token and positions are readings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.chimera.calibrated_norm import CalibratedNorm
from methods.clip import VitTower
from methods.clip.vit import value_path


@dataclass(frozen=True)
class Embedded:
    """What a head makes of a picture, in the space of the text embeddings and not normalised."""

    dense: Tensor  # (B, d, h, w)
    token: Tensor  # (B, d): the class token, where there is none the mean of the dense features


class ConvHead(nn.Module):
    """A plain 1x1 convolution into text space: what is left without CLIP's part."""

    def __init__(self, *, channels: int, embed_dim: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, embed_dim, 1)
        self.entry = None

    def used(self) -> list[nn.Parameter]:
        """What runs at test."""
        return list(self.parameters())

    def forward(self, features: Tensor) -> Embedded:
        """`(B, channels, h, w)` to `(B, d, h, w)`."""
        dense = self.project(features)
        return Embedded(dense, dense.mean((2, 3)))


class ClipSemanticHead(nn.Module):
    """1x1 adapter, CLIP's class token and positions, an entry, its last blocks, `ln_post` and projection.

    Everything of CLIP is frozen; gradients pass through it to the body. Without blocks there is neither a class token
    nor a position: norms and projection act on each feature alone.
    """

    def __init__(
        self,
        *,
        vit: VitTower,
        channels: int,
        blocks: int,
        value_attention: bool = False,
        most_tokens: int = 32,
        norm: bool = True,
        train_class_token: bool = False,
        rank: int = 0,
        calibrated: bool = False,
    ) -> None:
        """blocks: how many of the last ones. rank: of a residual adapter beside each of them, 0 for none.

        calibrated: tokens enter through a `CalibratedNorm`; otherwise it is CLIP's `ln_pre`.
        """
        super().__init__()
        if blocks > len(vit.blocks):
            raise ValueError(f"blocks must be at most {len(vit.blocks)}, as many as this CLIP has; got {blocks}")
        self.vit = vit
        self.first = len(vit.blocks) - blocks
        self.value_attention = value_attention
        self.most_tokens = most_tokens
        self.adapter = nn.Conv2d(channels, vit.width, 1)
        self.norm = nn.LayerNorm(vit.width) if norm else nn.Identity()
        self.class_shift = nn.Parameter(torch.zeros(vit.width)) if train_class_token else None
        self.beside = nn.ModuleList(LowRank(vit.width, rank) for _ in range(blocks if rank else 0))
        self.entry = CalibratedNorm(vit, depth=self.first) if calibrated else None

    def used(self) -> list[nn.Parameter]:
        """What runs at test: what trains, and the part of CLIP that the features go through, each once."""
        visual, blocks = self.vit.visual, list(self.vit.blocks)[self.first :]
        parts = [*blocks, self.vit.ln_post, *([self.vit.ln_pre] if self.entry is None else [])]
        frozen = [visual.proj, *(p for part in parts for p in part.parameters())]
        if blocks:
            frozen.append(visual.positional_embedding)
        if blocks and self.entry is None:
            frozen.append(visual.class_embedding)
        return [*(p for p in self.parameters() if p.requires_grad), *frozen]

    def forward(self, features: Tensor) -> Embedded:
        """`(B, channels, H, W)` to `(B, d, h, w)`; the sides are at most `most_tokens`, in the features' ratio."""
        x = self.adapter(coarsened(features, self.most_tokens))  # (B, D, h, w)
        grid = x.shape[-2:]
        x = self.norm(x.flatten(2).transpose(1, 2))  # (B, N, D)
        if self.first == len(self.vit.blocks):
            dense = self._unflattened(self.vit.ln_pre(x) if self.entry is None else self.entry(x), grid)
            return Embedded(dense, dense.mean((2, 3)))
        out = self._blocks(self._entered(x, grid))
        return Embedded(self._unflattened(out[:, 1:], grid), self.vit.project(out[:, 0]))

    def _entered(self, x: Tensor, grid: torch.Size) -> Tensor:
        """`(B, N, D)` to `(B, 1+N, D)`: with positions and the class token, as the first of the blocks wants them."""
        table = self.vit.position_table(*grid).to(x)
        token = self.vit.class_embedding + table[0] if self.entry is None else self.entry.token
        token = token if self.class_shift is None else token + self.class_shift
        token, x = token.to(x).expand(len(x), 1, -1), x + table[1:]
        if self.entry is None:
            return self.vit.ln_pre(torch.cat([token, x], dim=1))
        return torch.cat([token, self.entry(x)], dim=1)

    def _blocks(self, x: Tensor) -> Tensor:
        """`(B, 1+N, D)` through the frozen blocks and the adapters beside them."""
        for i, block in enumerate(list(self.vit.blocks)[self.first :]):
            out = block(x)
            if self.value_attention and block is self.vit.blocks[-1]:
                out = torch.cat([out[:, :1], value_path(block, x[:, 1:])], dim=1)
            x = out + self.beside[i](x) if self.beside else out
        return x

    def _unflattened(self, x: Tensor, grid: torch.Size) -> Tensor:
        """`(B, N, D)` to `(B, d, h, w)` in text space."""
        return self.vit.project(x).transpose(1, 2).unflatten(2, tuple(grid))


class LowRank(nn.Module):
    """A residual adapter of low rank (after Hu et al. 2022): zero at first."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, D)`, same shape out."""
        return self.up(self.down(x))


class Fusion(nn.Module):
    """The head's output brought to the body's grid, plus a 1x1 convolution of the body's features; ours.

    The convolution is zero at first, so that training starts from the head as it is.
    """

    def __init__(self, *, channels: int, embed_dim: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, embed_dim, 1)
        for parameter in self.project.parameters():
            nn.init.zeros_(parameter)

    def forward(self, dense: Tensor, features: Tensor) -> Tensor:
        """`(B, d, h, w)` and `(B, channels, H, W)` to `(B, d, H, W)`."""
        fine = self.project(features)
        return F.interpolate(dense.to(fine), fine.shape[-2:], mode="bilinear", align_corners=False) + fine


def coarsened(features: Tensor, most: int) -> Tensor:
    """`(B, C, H, W)` averaged to a longest side of at most `most`, the ratio kept."""
    height, width = features.shape[-2:]
    longest = max(height, width)
    if longest <= most:
        return features
    size = max(1, round(height * most / longest)), max(1, round(width * most / longest))
    return F.adaptive_avg_pool2d(features, size)
