"""Training-free segmentors that read CLIP's last block out with another attention; all before it stays.

SCLIP (Wang et al. 2023, arXiv 2312.01597), NACLIP (Hajimiri et al. 2024, arXiv 2404.08181), ClearCLIP (Lan et al.
2024, arXiv 2407.12442). What is theirs is the attention and what of the block is left; text, windows and sizes are the
harness's, as for every method, and their refinements afterwards (thresholds, pixel-adaptive masks, background words)
are left out. Where a block has layer scales, they stay on what they scaled: our reading, the papers' CLIPs have none.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods.clip import Clip
from methods.clip.vit import VitTower, attention_of, heads_of
from methods.method import Images, Vocabulary
from methods.training_free.attention_readouts_config import ReadoutConfig
from methods.training_free.dense_clip import TrainingFree


class Readout(TrainingFree):
    """Tokens of the last block with another attention."""

    def __init__(self, *, clip: Clip, config: ReadoutConfig) -> None:
        super().__init__(clip=clip)
        attention_of(clip.vit().blocks[-1])  # refuses other towers now rather than at the first picture
        self.config = config

    @torch.no_grad()
    def dense(self, images: Images) -> Tensor:
        """`(B, d, h, w)` of unit norm."""
        return normalize(dense_tokens(self.clip.vit(), self.clip.normalised(images), self.config), dim=1)


def dense_tokens(tower: VitTower, x: Tensor, config: ReadoutConfig) -> Tensor:
    """`(B, d, h, w)`, projected into text space and not normalised, of normalised pixels `(B, 3, H, W)`."""
    tokens, grid = tower.embed(x, positions=config.positions)
    tokens = tower.ln_pre(tokens)
    for block in tower.blocks[:-1]:
        tokens = block(tokens)
    last: Any = tower.blocks[-1]
    attention = attention_of(last)
    q, k, v = heads_of(attention, last.ln_1(tokens))
    mixed = weights_of(q, k, grid, config) @ v  # (B, heads, T, e)
    out = last.ls_1(attention.out_proj(mixed.transpose(1, 2).flatten(2)))  # (B, T, D)
    if config.residual:
        out = tokens + out
        out = out + last.ls_2(last.mlp(last.ln_2(out)))
    return tower.project(out[:, 1:]).transpose(1, 2).unflatten(2, grid)


def weights_of(q: Tensor, k: Tensor, grid: tuple[int, int], config: ReadoutConfig) -> Tensor:
    """`(B, heads, T, T)`: how much each token takes of each other, CLS first among them."""
    scale = 1 / math.sqrt(q.shape[-1])

    def alike(x: Tensor) -> Tensor:
        return x @ x.transpose(-2, -1) * scale

    if config.attention == "qq+kk":
        return alike(q).softmax(dim=-1) + alike(k).softmax(dim=-1)  # rows sum to 2, as released
    if config.attention == "kk-near":
        return (alike(k) + nearness(grid, config.spread).to(k)).softmax(dim=-1)
    return alike(q).softmax(dim=-1)


def nearness(grid: tuple[int, int], spread: float) -> Tensor:
    """`(1 + N, 1 + N)`: exp(-d^2 / (2 spread^2)) of patches d apart, added to logits; 0 from and to CLS."""
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in grid), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1)  # (N, 2)
    squared = (places[:, None] - places[None]).square().sum(dim=-1)
    return nn.functional.pad((-squared / (2 * spread**2)).exp(), (1, 0, 1, 0))


def build(*, clip: Clip, vocabulary: Vocabulary, config: ReadoutConfig) -> Readout:
    """A training-free read-out; the training vocabulary does not matter to it."""
    return Readout(clip=clip, config=config)
