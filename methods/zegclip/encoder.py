"""Image encoders of ZegCLIP: CLIP with deep prompts (Section 3.3, design 1), or CLIP as it is, frozen or fine-tuned.

Each maps normalised pixels `(B, 3, H, W)` to unit-norm `Tokens`: CLS `(B, d)` and patches `(B, d, h, w)`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Container

import torch
from torch import Tensor, nn

from methods.clip import Tokens, VitTower


class PlainEncoder(nn.Module):
    """CLIP's own tokens. Frozen it runs without autograd; fine-tuned it trains a copy of the whole tower."""

    def __init__(self, *, vit: VitTower, class_copies: int, finetuned: bool) -> None:
        super().__init__()
        self.class_copies = class_copies
        self.finetuned = finetuned
        self.vit = copy.deepcopy(vit).requires_grad_(True) if finetuned else vit
        if finetuned:
            self.vit.known_by_hash = False  # no longer what the file holds: a checkpoint keeps it

    def forward(self, x: Tensor) -> Tokens:
        """`(B, 3, H, W)` to tokens."""
        with torch.set_grad_enabled(self.finetuned and torch.is_grad_enabled()):
            return self.vit(x, class_copies=self.class_copies).normalised()


class PromptedEncoder(nn.Module):
    """CLIP's frozen blocks with M learned tokens before each.

    Token order is CLS, prompts, patches. The prompts enter after `ln_pre`, without positions; before every further
    block the outputs in their places are replaced by the next block's prompts. All share one projection and its
    dropout. A learned LayerNorm stands between the last block and the frozen `ln_post`, as in the released code.
    """

    def __init__(self, *, vit: VitTower, prompts: int, dropout: float, class_copies: int) -> None:
        super().__init__()
        self.vit = vit
        self.class_copies = class_copies
        depth, width = len(vit.blocks), vit.width
        bound = math.sqrt(6 / (3 * vit.patch_size**2 + width))
        self.first = nn.Parameter(torch.empty(1, prompts, width).uniform_(-bound, bound))
        self.deep = nn.Parameter(torch.empty(depth - 1, prompts, width).uniform_(-bound, bound))
        self.proj = nn.Linear(width, width)
        nn.init.kaiming_normal_(self.proj.weight, a=0, mode="fan_out")
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def prompts(self) -> Tensor:
        """`(L, M, D)`: the projected prompts of every block."""
        return self.proj(torch.cat([self.first, self.deep]))

    def forward(self, x: Tensor) -> Tokens:
        """`(B, 3, H, W)` to tokens."""
        last = len(self.vit.blocks) - 1
        outputs, grid = self.outputs(x, (last,))
        return self.projected(outputs[last], grid)

    def projected(self, tokens: Tensor, grid: tuple[int, int]) -> Tokens:
        """Unit-norm tokens in text space from the last block's output `(B, 1+N, D)`."""
        out = self.vit.project(self.norm(tokens))  # (B, 1+N, d)
        return Tokens(out[:, 0], out[:, 1:].transpose(1, 2).unflatten(2, grid)).normalised()

    def outputs(self, x: Tensor, wanted: Container[int]) -> tuple[dict[int, Tensor], tuple[int, int]]:
        """What the wanted blocks (from 0) make of `(B, 3, H, W)`: `(B, 1+N, D)` each, and the grid `(h, w)`.

        CLS first, then the patches; the prompts' places are left out.
        """
        tokens, grid = self.vit.embed(x, class_copies=self.class_copies)
        tokens = self.vit.ln_pre(tokens)  # (B, 1+N, D)
        b, m = len(tokens), self.first.shape[1]
        prompts = self.prompts()
        cls, patches = tokens[:, :1], tokens[:, 1:]
        found = {}
        for layer, block in enumerate(self.vit.blocks):
            inserted = self.dropout(prompts[layer].expand(b, -1, -1)).to(patches)
            tokens = block(torch.cat([cls, inserted, patches], dim=1))  # (B, 1+M+N, D)
            cls, patches = tokens[:, :1], tokens[:, 1 + m :]
            if layer in wanted:
                found[layer] = torch.cat([cls, patches], dim=1)
        return found, grid
