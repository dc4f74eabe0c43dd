"""Cascade-CLIP's head: neighbourhood Gaussian aggregation and one of ZegCLIP's heads for each stage (Section 3.3).

Two lower stages aggregate the patches of a few middle blocks, the third has those of the last block alone. All stages
have the same texts and the same CLS; their mask logits are added.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from methods.cascade_clip.layered_encoder import LayeredTokens
from methods.zegclip.decoder import Head

LOWER_STAGES = 2


class CascadeHead(nn.Module):
    """From tokens of all stages and texts to mask logits."""

    descriptor = True

    def __init__(
        self,
        *,
        head: Callable[[], Head],
        independent: bool,
        blocks: int,
        aggregation: Literal["gaussian", "equal", "last"],
    ) -> None:
        """head: makes the head of one stage; not independent: one serves all. blocks: in each lower stage."""
        super().__init__()
        self.blocks = blocks
        self.stages = nn.ModuleList(head() for _ in range(LOWER_STAGES + 1 if independent else 1))
        self.weights = nn.ParameterList()  # (blocks,) for each lower stage; three free numbers, as released
        if aggregation != "last":
            self.weights.extend(nn.Parameter(initial_weights(blocks, aggregation)) for _ in range(LOWER_STAGES))

    def aggregated(self, middle: Tensor) -> list[Tensor]:
        """`(B, d, h, w)` for each lower stage from `(T, B, d, h, w)`: weighted sums, not normalised again."""
        groups = middle.split(self.blocks)
        if not self.weights:
            return [group[-1] for group in groups]
        return [
            torch.einsum("t,tbdhw->bdhw", w.to(group), group) for w, group in zip(self.weights, groups, strict=True)
        ]

    def forward(self, tokens: LayeredTokens, text: Tensor) -> Tensor:
        """Mask logits `(B, C, h, w)` of texts `(C, d)`: the sum over the stages."""
        maps = [*self.aggregated(tokens.middle), tokens.last.dense]
        heads = list(self.stages) * (1 if len(self.stages) > 1 else len(maps))
        logits = [head(tokens.last.cls, dense, text) for head, dense in zip(heads, maps, strict=True)]
        return torch.stack(logits).sum(0)


def initial_weights(blocks: int, aggregation: Literal["gaussian", "equal"]) -> Tensor:
    """Where the learned weights of a stage start: exp(-x^2 / 2) at x = blocks - 1, ..., 0, or 1 everywhere.

    The paper prints exp(-(d - l + 1)^2 / 2), which is one step further away; this is what the released code does.
    """
    if aggregation == "equal":
        return torch.ones(blocks)
    return torch.tensor([math.exp(-(x**2) / 2) for x in reversed(range(blocks))])
