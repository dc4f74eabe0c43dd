"""The synthesiser: latent (and seen) prototypes of the student turned into text-like embeddings by CLS tokens.

`A' = TransformerDecoder(Q = prototypes, K = V = CLS tokens)` (CLIP-to-Seg; CLIPTeacher v2 by a third party's notes).
Depth, heads, norms and scaling are our reading. It exists in training alone.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from methods.precision import wide


class Synthesiser(nn.Module):
    """A plain transformer decoder over unit-norm vectors times sqrt(d), so that entries have about unit variance."""

    def __init__(self, *, width: int, layers: int, heads: int, feed: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"decoder_heads must divide CLIP's embedding width {width}; got {heads}")
        layer = nn.TransformerDecoderLayer(width, heads, feed * width, dropout, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers)
        self.scale = math.sqrt(width)

    def forward(self, queries: Tensor, there: Tensor, memory: Tensor, remembered: Tensor) -> Tensor:
        """`(B, L, d)` from prototypes `(B, L, d)` and CLS tokens `(B, M, d)`.

        there `(B, L)`, remembered `(B, M)`: which rows are real, at least one of the memory in each image. What comes
        out of rows that are not is without meaning.
        """
        hidden = ~there & there.any(1, keepdim=True)  # attention over nothing would be NaN
        out = self.decoder(
            F.normalize(queries, dim=-1) * self.scale,
            F.normalize(memory, dim=-1) * self.scale,
            tgt_key_padding_mask=hidden,
            memory_key_padding_mask=~remembered,
        )
        return wide(out)
