"""CLIP's ResNets as a tower: the attention pool gives CLS, and read out position by position the dense tokens."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.clip.vit import Readout, Tokens, fitted
from methods.interpolations import Interpolation
from methods.positions import interpolated


class ResNetTower(nn.Module):
    """A frozen `ModifiedResNet` of open_clip (Radford et al. 2021, Section 2.4), its modules used as they are.

    Sides that are no multiple of 32 pixels are first resized (bilinear) to the nearest multiple; the pool's positions
    are interpolated to other grids, as a vision transformer's are.
    """

    known_by_hash = True  # a checkpoint leaves it out: the record names its sha256
    stride = 32
    remark = ""
    visual: Any  # open_clip.modified_resnet.ModifiedResNet

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        side = self.visual.image_size // self.stride
        self.native_grid = (side, side)
        self.embed_dim: int = self.visual.output_dim

    def features(self, x: Tensor) -> Tensor:
        """The last feature map `(B, D, h, w)` of normalised pixels `(B, 3, H, W)`."""
        x = self.visual.stem(fitted(x, self.stride))
        for layer in (self.visual.layer1, self.visual.layer2, self.visual.layer3, self.visual.layer4):
            x = layer(x)
        return x

    def forward(self, x: Tensor, *, readout: Readout = "plain", positions: Interpolation = "bilinear") -> Tokens:
        """CLS and dense tokens of normalised pixels `(B, 3, H, W)` in one pass.

        CLS is what the pool gives for the mean of the map. readout "plain": what it gives for each position as its
        query (Rao et al. 2022, DenseCLIP, Section 3.2). "value": the pool's value and output projections of each
        position alone (MaskCLIP, Zhou et al. 2022, Section 3.2), without its position embedding: our reading.
        """
        features = self.features(x)
        size, dense = features.shape[-2:], features.flatten(2).transpose(1, 2)  # (B, N, D)
        pool = self.visual.attnpool
        table = interpolated(pool.positional_embedding, self.native_grid, (size[0], size[1]), positions)
        memory = torch.cat([dense.mean(1, keepdim=True), dense], dim=1) + table.to(dense)  # (B, 1+N, D)
        if readout == "plain":
            out = attended(pool, memory, memory)
            cls, dense = out[:, 0], out[:, 1:]
        else:
            cls, dense = attended(pool, memory[:, :1], memory)[:, 0], pool.c_proj(pool.v_proj(dense))
        return Tokens(cls, dense.transpose(1, 2).unflatten(2, size))


def attended(pool: Any, queries: Tensor, memory: Tensor) -> Tensor:
    """`(B, Q, D)` against `(B, T, D)`: the pool's multi-head attention and output projection, `(B, Q, d)`."""
    q, k, v = (
        projection(tokens).unflatten(2, (pool.num_heads, -1)).transpose(1, 2)  # (B, heads, T, D / heads)
        for projection, tokens in ((pool.q_proj, queries), (pool.k_proj, memory), (pool.v_proj, memory))
    )
    return pool.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
