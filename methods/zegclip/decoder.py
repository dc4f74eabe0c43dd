"""ZegCLIP's head: relationship descriptor (Section 3.3, design 3) and mask decoder (after SegViT).

The released decoder carries tensors that no gradient reaches: the self-attention and first norm of every layer, which
are never run, and the value path, feed-forward and norms of the last layer, whose output is not used. They do not exist
here; `methods.zegclip.released_checkpoint` counts them.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.precision import wide_product


class MaskAttention(nn.Module):
    """The scores of queries against memory, head by head."""

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"decoder_heads must divide CLIP's embedding width {width}; got {heads}")
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """`(B, C, d)` against `(B, N, d)`: scaled scores before the softmax, `(B, heads, C, N)`, float32 or wider."""
        q, k = split(self.q(queries), self.heads), split(self.k(memory), self.heads)
        return wide_product(q, k.transpose(2, 3)) / math.sqrt(q.shape[-1])


class DecoderLayer(nn.Module):
    """Cross-attention and feed-forward with norms after each; queries do not attend to one another."""

    attention_type = MaskAttention

    def __init__(self, *, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = self.attention_type(width=width, heads=heads)
        self.v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.norm_attention = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """New queries `(B, C, d)` and the layer's scores `(B, heads, C, N)`."""
        scores = self.attention(queries, memory)
        return self.refined(queries, memory, scores.softmax(-1)), scores

    def refined(self, queries: Tensor, memory: Tensor, weights: Tensor) -> Tensor:
        """New queries `(B, C, d)` from what they attend to: weights `(B, heads, C, N)`."""
        attended = self.dropout(weights) @ split(self.v(memory), self.attention.heads)
        attended = self.out(attended.transpose(1, 2).flatten(2))  # (B, C, d)
        queries = self.norm_attention(queries + self.dropout(attended))
        fed = self.contract(self.dropout(F.relu(self.expand(queries))))
        return self.norm_feed(queries + self.dropout(fed))


class MaskDecoder(nn.Module):
    """Queries refined by all layers but the last, whose scores, averaged over heads, are the masks."""

    layer_type = DecoderLayer

    def __init__(self, *, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        first = self.layer_type(width=width, heads=heads, dropout=dropout)
        self.layers = nn.ModuleList(copy.deepcopy(first) for _ in range(layers - 1))
        self.last = copy.deepcopy(first.attention)  # all layers start alike, as nn.TransformerDecoder has it

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Mask logits `(B, C, N)` of queries `(B, C, d)` over memory `(B, N, d)`."""
        for layer in self.layers:
            queries, _ = layer(queries, memory)
        return self.last(queries, memory).mean(1)


class Head(nn.Module):
    """From tokens and texts to mask logits."""

    decoder_type = MaskDecoder

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        heads: int,
        dropout: float,
        descriptor: bool,
        project_memory: bool,
        scale: float,
    ) -> None:
        """scale: what unit-norm tokens and texts are multiplied by."""
        super().__init__()
        self.descriptor = descriptor
        self.scale = scale
        self.query = nn.Linear(2 * width if descriptor else width, width)
        self.memory = nn.Linear(width, width) if project_memory else nn.Identity()
        self.decoder = self.decoder_type(width=width, layers=layers, heads=heads, dropout=dropout)

    def queries(self, cls: Tensor, text: Tensor) -> Tensor:
        """`(B, C, d)` from CLS `(B, d)` and texts `(C, d)`: linear of [t * g ; t], or of t alone."""
        text = text.expand(len(cls), -1, -1)  # (B, C, d)
        return self.query(torch.cat([text * cls[:, None], text], dim=-1) if self.descriptor else text)

    def forward(self, cls: Tensor, dense: Tensor, text: Tensor) -> Tensor:
        """Mask logits `(B, C, h, w)` from CLS `(B, d)`, patches `(B, d, h, w)` and texts `(C, d)`, all of unit norm."""
        if self.scale != 1:
            cls, dense, text = cls * self.scale, dense * self.scale, text * self.scale
        memory = self.memory(dense.flatten(2).transpose(1, 2))  # (B, N, d)
        return self.decoder(self.queries(cls, text), memory).unflatten(2, dense.shape[-2:])


def split(x: Tensor, heads: int) -> Tensor:
    """`(B, T, d)` to `(B, heads, T, d / heads)`."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)
