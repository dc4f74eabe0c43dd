"""ZegCLIP's prompted encoder that also hands out the patches of middle blocks, brought into text space (Section 3.2).

The released code freezes everything whose name has no "prompt" in it, so the norms and projections of the middle blocks
stay at their random draw for ever. They are part of the model: buffers here, stored with the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.clip import Tokens, VitTower
from methods.zegclip.encoder import PromptedEncoder


@dataclass(frozen=True)
class LayeredTokens:
    """What one image pass gives, all of unit norm."""

    last: Tokens  # of the last block
    middle: Tensor  # (T, B, d, h, w): patches of the tapped blocks, the lowest first


class FixedNorm(nn.Module):
    """A LayerNorm that is never trained, kept with the trained weights as buffers."""

    weight: Tensor
    bias: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(width))
        self.register_buffer("bias", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """`(..., D)` to the same."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, eps=1e-5)


class LayeredEncoder(PromptedEncoder):
    """The `taps` blocks before the last are read out too, before the next block's prompts take their places."""

    projections: Tensor

    def __init__(
        self, *, vit: VitTower, prompts: int, dropout: float, class_copies: int, taps: int, random_projections: bool
    ) -> None:
        """random_projections: False reads the middle blocks out by CLIP's own final norm and projection."""
        super().__init__(vit=vit, prompts=prompts, dropout=dropout, class_copies=class_copies)
        last = len(vit.blocks) - 1
        self.taps = tuple(range(last - taps, last))
        self.random_projections = random_projections
        if random_projections:
            self.tap_norms = nn.ModuleList(FixedNorm(vit.width) for _ in self.taps)
            drawn = torch.randn(taps, vit.width, vit.embed_dim) * vit.width**-0.5
            self.register_buffer("projections", drawn)  # (T, D, d)

    def layers(self, x: Tensor) -> LayeredTokens:
        """`(B, 3, H, W)` to the tokens of all tapped blocks and of the last."""
        last = len(self.vit.blocks) - 1
        outputs, grid = self.outputs(x, (*self.taps, last))
        middle = torch.stack([self._tapped(i, outputs[block][:, 1:]) for i, block in enumerate(self.taps)])
        middle = F.normalize(middle, dim=-1)  # (T, B, N, d)
        return LayeredTokens(self.projected(outputs[last], grid), middle.transpose(2, 3).unflatten(3, grid))

    def _tapped(self, i: int, patches: Tensor) -> Tensor:
        """`(B, N, D)` to `(B, N, d)`: the shared learned norm, then the tap's own."""
        if not self.random_projections:
            return self.vit.project(self.norm(patches))
        return self.tap_norms[i](self.norm(patches)) @ self.projections[i]
