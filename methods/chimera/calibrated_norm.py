"""Where a body's tokens enter CLIP's blocks: with the statistics that CLIP's own tokens have at that depth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.clip import VitTower
from methods.contrast import gathered
from methods.precision import wide


class CalibratedNorm(nn.Module):
    """In `ln_pre`'s place: LayerNorm with the mean and spread of CLIP's own tokens before a block as bias and gain.

    CLIP's tokens grow from block to block, and so does what all of them share. `ln_pre` makes tokens fit for the first
    block: before a later one they are several times too small, what the block adds drowns them, and a body learns next
    to nothing through it. Mean and spread are taken once, of the pictures of the first step (no label is looked at),
    and are then as frozen as CLIP. The class token enters as the mean of CLIP's at that depth. All of this is ours.
    """

    token: Tensor
    mean: Tensor
    spread: Tensor
    known: Tensor

    def __init__(self, vit: VitTower, *, depth: int) -> None:
        """depth: how many of CLIP's blocks come before."""
        super().__init__()
        self.vit, self.depth = vit, depth
        self.register_buffer("token", torch.zeros(vit.width))  # (D,) class token
        self.register_buffer("mean", torch.zeros(vit.width))  # (D,) of dense tokens
        self.register_buffer("spread", torch.ones(vit.width))  # (D,) their standard deviation, channel by channel
        self.register_buffer("known", torch.zeros((), dtype=torch.bool))

    def forward(self, dense: Tensor) -> Tensor:
        """`(B, N, D)` dense tokens, same shape out."""
        return F.layer_norm(dense, dense.shape[-1:]) * self.spread.to(dense) + self.mean.to(dense)

    @torch.no_grad()
    def measure(self, pixels: Tensor) -> None:
        """Take the statistics of CLIP's tokens of normalised pixels `(B, 3, H, W)`, those of all ranks together."""
        tokens, _ = self.vit.embed(pixels)
        tokens = self.vit.ln_pre(tokens)
        for block in list(self.vit.blocks)[: self.depth]:
            tokens = block(tokens)
        tokens = wide(tokens)
        dense = tokens[:, 1:].flatten(0, 1)
        here = torch.stack([tokens[:, 0].mean(0), dense.mean(0), dense.square().mean(0)])  # (3, D)
        ranks, _ = gathered(here[None])  # (R, 3, D); every rank has as many pictures
        token, mean, square = ranks.mean(0)
        self.token.copy_(token)
        self.mean.copy_(mean)
        self.spread.copy_((square - mean.square()).clamp(min=0).sqrt())
        self.known.fill_(True)
