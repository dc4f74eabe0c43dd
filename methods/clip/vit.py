"""A CLIP vision transformer taken apart: patches, positions, blocks, final norm and projection.

It wraps the tower of an open_clip model and uses its modules as they are. Only the standard attention is computed
another way (`DirectAttention`), on the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.interpolations import Interpolation
from methods.positions import interpolated

Readout = Literal["plain", "value"]


@dataclass(frozen=True)
class Tokens:
    """What one image pass gives, in the space of the text embeddings and not normalised."""

    cls: Tensor  # (B, d)
    dense: Tensor  # (B, d, h, w)

    def normalised(self) -> Tokens:
        """Both of unit L2 norm along `d`, every position by itself."""
        return Tokens(F.normalize(self.cls, dim=-1), F.normalize(self.dense, dim=1))


class VitTower(nn.Module):
    """The pieces of a frozen CLIP ViT that methods reuse.

    Sides that are no multiple of the patch size are first resized (bilinear) to the nearest multiple, so that the
    grid of tokens covers the whole picture.
    """

    known_by_hash = True  # a checkpoint leaves it out: the record names its sha256
    remark = ""
    visual: Any  # open_clip.transformer.VisionTransformer

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        reason = vit_refusal(visual)
        if reason is not None:
            raise ValueError(reason)
        self.visual = visual
        for block in self.blocks:
            if type(block.attn) is nn.MultiheadAttention and block.attn.dropout == 0:
                block.attn.__class__ = DirectAttention
        self.patch_size: int = self.visual.patch_size[0]
        self.native_grid: tuple[int, int] = tuple(self.visual.grid_size)
        self.width: int = self.visual.class_embedding.shape[0]
        self.embed_dim: int = self.visual.proj.shape[1]

    @property
    def class_embedding(self) -> Tensor:
        """`(D,)`, without its position."""
        return self.visual.class_embedding

    @property
    def blocks(self) -> nn.ModuleList:
        """The residual attention blocks; each maps `(B, T, D)` to `(B, T, D)` for any number of tokens T."""
        return self.visual.transformer.resblocks

    @property
    def ln_pre(self) -> nn.Module:
        """The norm before the first block."""
        return self.visual.ln_pre

    @property
    def ln_post(self) -> nn.Module:
        """The norm after the last block."""
        return self.visual.ln_post

    @property
    def proj(self) -> Tensor:
        """`(D, d)`, used as `tokens @ proj`."""
        return self.visual.proj

    def fit(self, x: Tensor) -> Tensor:
        """`(B, 3, H, W)` with both sides resized to the nearest multiple of the patch size (at least one patch)."""
        return fitted(x, self.patch_size)

    def patches(self, x: Tensor) -> Tensor:
        """Patch embeddings `(B, D, h, w)` of normalised pixels `(B, 3, H, W)`, without positions."""
        return self.visual.conv1(self.fit(x))

    def position_table(self, h: int, w: int, how: Interpolation = "bilinear") -> Tensor:
        """`(1 + h*w, D)`: the CLS row, then the grid interpolated to `(h, w)`, align_corners false."""
        return interpolated(self.visual.positional_embedding, self.native_grid, (h, w), how)

    def embed(
        self, x: Tensor, *, class_copies: int = 1, positions: Interpolation = "bilinear"
    ) -> tuple[Tensor, tuple[int, int]]:
        """Tokens `(B, 1+N, D)` before `ln_pre`, CLS first, and the grid `(h, w)`.

        class_copies: how often the class embedding is added (the released ZegCLIP adds it twice). positions: how their
        table is brought to the grid.
        """
        patches = self.patches(x)  # (B, D, h, w)
        b, _, h, w = patches.shape
        cls = (class_copies * self.class_embedding).to(patches).expand(b, 1, -1)
        tokens = torch.cat([cls, patches.flatten(2).transpose(1, 2)], dim=1)  # (B, 1+N, D)
        return tokens + self.position_table(h, w, positions).to(tokens), (h, w)

    def project(self, tokens: Tensor) -> Tensor:
        """`(..., D)` to `(..., d)`: final norm and projection, pointwise."""
        return self.ln_post(tokens) @ self.proj

    def forward(
        self, x: Tensor, *, readout: Readout = "plain", class_copies: int = 1, positions: Interpolation = "bilinear"
    ) -> Tokens:
        """CLS and dense tokens of normalised pixels `(B, 3, H, W)` in one pass.

        readout "plain": the patch tokens of the last block. "value": the last block with its attention replaced by
        the value and output projections of each token alone (MaskCLIP, Zhou et al. 2022, Section 3.2; with the block's
        residuals and MLP, as its released code has it). CLS is plain in both.
        """
        tokens, (h, w) = self.embed(x, class_copies=class_copies, positions=positions)
        tokens = self.ln_pre(tokens)
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        last = self.blocks[-1]
        out = last(tokens)
        cls, dense = out[:, 0], out[:, 1:]
        if readout == "value":
            dense = value_path(last, tokens[:, 1:])
        dense = self.project(dense).transpose(1, 2)  # (B, d, N)
        return Tokens(self.project(cls), dense.unflatten(2, (h, w)))


class DirectAttention(nn.MultiheadAttention):
    """Self-attention of tokens `(B, T, D)` as they lie, with the weights and names of `nn.MultiheadAttention`.

    That one hands its linear layers transposed views. With frozen weights torch then multiplies once per token, in bf16
    with as many copies of the weight; without autograd it holds the attention of all pairs of tokens.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **options: Any) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        """The mixed tokens, and no weights. Other calls than those of a CLIP block go to torch's own."""
        if key is not query or value is not query or options != {"need_weights": False, "attn_mask": None}:
            return super().forward(query, key, value, **options)
        mixed = F.scaled_dot_product_attention(*heads_of(self, query))  # (B, heads, T, D / heads)
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), None


def value_path(block: Any, tokens: Tensor) -> Tensor:
    """`(B, N, D)` to `(B, N, D)`: a residual attention block in which every token attends to itself alone."""
    attention = attention_of(block)
    width = tokens.shape[-1]
    weight, bias = attention.in_proj_weight[-width:], attention.in_proj_bias[-width:]
    value = attention.out_proj(F.linear(block.ln_1(tokens), weight, bias))
    tokens = tokens + block.ls_1(value)
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))


def attention_of(block: Any) -> nn.MultiheadAttention:
    """The attention of a block, for read-outs that need its weights; raises ValueError where it is another."""
    if not isinstance(block.attn, nn.MultiheadAttention):
        raise ValueError(f"this read-out needs standard attention; this tower has {type(block.attn).__name__}")
    return block.attn


def heads_of(attention: nn.MultiheadAttention, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of tokens `(B, T, D)`: `(B, heads, T, D / heads)` each."""
    projected = F.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = (part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for part in projected.chunk(3, dim=2))
    return q, k, v


def fitted(x: Tensor, stride: int) -> Tensor:
    """Pixels `(B, 3, H, W)` with both sides resized to the nearest multiple of the stride (at least one)."""
    size = [max(1, int(side / stride + 0.5)) * stride for side in x.shape[-2:]]
    return x if list(x.shape[-2:]) == size else resized(x, size)


def resized(x: Tensor, size: list[int] | tuple[int, int]) -> Tensor:
    """Pixels `(B, 3, H, W)` at another size: bilinear, align_corners false."""
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


def one_size(size: tuple[int, ...]) -> str:
    """What a reader must know of a tower that takes pictures of one size."""
    return f"its image tower takes {size[0]} x {size[1]} alone: pictures and windows of other sizes are resized to that"


def vit_refusal(visual: Any) -> str | None:
    """Why a tower cannot be taken apart as a ViT, or None where it can."""
    kind = type(visual).__name__
    if not hasattr(visual, "class_embedding") or not hasattr(visual, "transformer"):
        return f"this needs the blocks of a vision transformer; the image tower of this model is a {kind}"
    if getattr(visual, "attn_pool", None) is not None or getattr(visual, "pool_type", "tok") != "tok":
        return f"this {kind} pools its tokens instead of reading out a CLS token, so none of them is in text space"
    if visual.proj is None:
        return f"this {kind} has no projection into text space"
    if visual.patch_size[0] != visual.patch_size[1]:
        return f"this {kind} has patches that are not square: {tuple(visual.patch_size)}"
    return None
