"""Semantic Alignment Module: text embeddings adapted to a picture before its dense features are compared with them.

The abstract says that it further aligns dense visual features with the text encoder's embeddings; its form is a
reading. Both forms are ZegCLIP's, the closest named ancestor: texts that attend to dense features, or its relationship
descriptor. Here they are residuals whose gate is zero at first: training starts from CLIP's own texts.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.chimera.head import Embedded
from methods.precision import wide
from methods.zegclip.decoder import DecoderLayer


class Alignment(nn.Module):
    """`normalised(t + gate * r(t, picture))` for each text t by itself."""

    def __init__(self, *, width: int, heads: int, dropout: float, descriptor: bool) -> None:
        super().__init__()
        if not descriptor and width % heads:
            raise ValueError(f"alignment_heads must divide CLIP's embedding width {width}; got {heads}")
        self.scale = math.sqrt(width)  # unit vectors times this have entries of about unit variance
        self.attend = None if descriptor else DecoderLayer(width=width, heads=heads, dropout=dropout)
        self.describe = nn.Linear(2 * width, width) if descriptor else None
        self.gate = nn.Parameter(torch.zeros(width))

    def forward(self, text: Tensor, seen: Embedded) -> Tensor:
        """`(B, C, d)` of unit norm from texts `(C, d)` of unit norm and what the head made of the pictures."""
        text = (text * self.scale).expand(len(seen.dense), -1, -1)  # (B, C, d)
        if self.attend is not None:
            memory = F.normalize(wide(seen.dense), dim=1).flatten(2).transpose(1, 2) * self.scale  # (B, N, d)
            residual, _ = self.attend(text, memory)
        else:
            assert self.describe is not None, "one of the two forms is built"
            token = F.normalize(wide(seen.token), dim=-1) * self.scale
            residual = self.describe(torch.cat([text * token[:, None], text], dim=-1))
        return F.normalize(wide(text + self.gate * residual), dim=-1)
