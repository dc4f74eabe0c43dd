"""Selective Global Distillation: which dense features are taught by CLIP's CLS token, and how many at a time.

The abstract says: dense features with high similarity to the CLS token, their number gradually reduced. Similarity,
share at the end and shape of the schedule are readings.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.precision import wide, wide_product

Schedule = Literal["linear", "cosine", "step"]


def picked_share(progress: float, *, schedule: Schedule, last: float, steps: int) -> float:
    """Share of the features that is picked, from 1 at progress 0 down to `last` at progress 1.

    linear: `1 - (1 - last) t`; cosine: half a wave in t's place; step: `steps` levels of equal height and length.
    """
    fallen = {
        "linear": progress,
        "cosine": (1 - math.cos(math.pi * progress)) / 2,
        "step": min(math.floor(progress * steps), steps - 1) / (steps - 1),
    }[schedule]
    return 1 - (1 - last) * fallen


def picked_counts(valid: Tensor, share: float) -> Tensor:
    """`(B,)` int64: `ceil(l * share)` of the `l` valid positions of each image, at least 1 and at most l.

    valid: `(B, N)` bool. Computed in float64, less 1e-9: a product that is whole may come out above itself.
    """
    there = valid.sum(1)
    return torch.minimum((there.double() * share - 1e-9).ceil().long().clamp(min=1), there)


@torch.no_grad()
def similarities(dense: Tensor, token: Tensor) -> Tensor:
    """Cosines of dense features `(B, d, h, w)` with their picture's CLS token `(B, d)`: `(B, N)`, no gradient."""
    unit = F.normalize(wide(dense).flatten(2), dim=1)  # (B, d, N)
    return wide_product(F.normalize(wide(token), dim=-1)[:, None], unit)[:, 0]


@torch.no_grad()
def most_similar(similarity: Tensor, valid: Tensor, counts: Tensor) -> Tensor:
    """`(B, N)` bool: the `counts` `(B,)` valid positions of highest similarity `(B, N)`, exactly so many.

    Ties go to the position that comes first. Whatever is picked in one image depends on no other image.
    """
    order = similarity.masked_fill(~valid, -torch.inf).argsort(dim=1, descending=True, stable=True)
    first = torch.arange(similarity.shape[1], device=similarity.device) < counts[:, None]  # by rank
    return torch.zeros_like(valid).scatter(1, order, first)


def pooled(dense: Tensor, picked: Tensor, weights: Tensor | None = None) -> Tensor:
    """`(B, d)`: the mean of the picked of the features `(B, d, h, w)`; picked `(B, N)` bool.

    weights: `(B, N)` logits of a softmax over the picked positions, in place of equal shares.
    """
    logits = torch.zeros_like(picked, dtype=torch.float32) if weights is None else weights
    shares = logits.masked_fill(~picked, -torch.inf).softmax(1)  # (B, N)
    flat = wide(dense).flatten(2)
    return wide_product(flat, shares.to(flat)[..., None])[..., 0]
