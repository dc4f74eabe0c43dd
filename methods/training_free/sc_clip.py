"""SC-CLIP (Bai et al. 2024, arXiv 2411.15869): CLIP calibrated by itself, training-free.

Anomalous tokens are found and repaired, the last block attends by the likeness of middle tokens, and a second pass
reads the sum of several blocks. From a description of the released code; its thresholds afterwards are left out.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.clip import Clip
from methods.clip.vit import attention_of, heads_of
from methods.method import Vocabulary
from methods.training_free.per_picture import PerPicture, block_at, class_map, embedded
from methods.training_free.sc_clip_config import ScClipConfig


class Level(NamedTuple):
    """What a block gives: CLS `(D,)` and patches `(N, D)`."""

    cls: Tensor
    patches: Tensor


class ScClip(PerPicture):
    """SC-CLIP on any CLIP with a vision transformer."""

    def __init__(self, *, clip: Clip, config: ScClipConfig) -> None:
        super().__init__(clip=clip)
        depth = len(self.tower.blocks)
        if depth < 2:
            raise ValueError(f"{clip.name}: SC-CLIP reads blocks before the last, it has {depth}")
        self.config = config
        self.before, self.after = block_at(config.before_block, depth), block_at(config.after_block, depth)
        self.summed = range(block_at(config.first_level, depth), block_at(config.last_level, depth) + 1)

    def cosines(self, x: Tensor, text: Tensor) -> Tensor:
        """`(C, h, w)` of one picture of normalised pixels `(1, 3, H, W)` and unit-norm texts `(C, d)`."""
        tokens, grid = self.tokens(x)
        return class_map(tokens, text, grid)

    def tokens(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Tokens `(N, d)` in text space, not normalised, and the grid."""
        levels, grid = self.levels(x)
        c, last = self.config, levels[-1]
        found = anomalies(last.patches, neighbours=c.neighbours, contamination=c.contamination)
        repaired = repair(last.patches, found, grid)
        middle = F.normalize(repair(levels[self.before].patches, found, grid), dim=-1)
        likeness = middle @ middle.T
        shallow = F.normalize(levels[self.after].patches, dim=-1)
        after = shared_weights(shallow @ shallow.T, c.similar_above)
        first = self.last_block(shared_weights(likeness, c.similar_above) @ repaired, likeness)
        summed = [levels[i] for i in self.summed]
        second = self.last_block(torch.stack([level.patches for level in summed]).sum(0), likeness)
        second = second + c.class_token * torch.stack([level.cls for level in summed]).sum(0)
        out = after @ (first + c.class_token * last.cls) + after @ second
        return self.tower.project(out), grid

    def levels(self, x: Tensor) -> tuple[list[Level], tuple[int, int]]:
        """The outputs of all blocks but the last, and the grid."""
        tokens, grid = embedded(self.tower, x)
        found = []
        for block in self.tower.blocks[:-1]:
            tokens = block(tokens)
            found.append(Level(tokens[0, 0], tokens[0, 1:]))
        return found, grid

    def last_block(self, patches: Tensor, likeness: Tensor) -> Tensor:
        """`(N, D)` of patches `(N, D)`: half by likeness `(N, N)`, half by equal keys; no residual, no MLP, no CLS."""
        last: Any = self.tower.blocks[-1]
        attention = attention_of(last)
        _, k, v = heads_of(attention, last.ln_1(patches)[None])  # (1, heads, N, e)
        logits = (likeness - likeness.mean()) * self.config.sharpness
        by_likeness = logits.masked_fill(logits < 0, -torch.inf).softmax(-1)
        by_key = (k @ k.transpose(2, 3) / math.sqrt(k.shape[-1])).softmax(-1)
        mixed = (by_likeness + by_key) / 2 @ v
        return attention.out_proj(mixed.transpose(1, 2).flatten(2))[0]


def outlier_factors(patches: Tensor, *, neighbours: int) -> Tensor:
    """`(N,)`: how much sparser tokens `(N, D)` lie than their neighbours, by squared Euclidean distances.

    The released code takes a token's own distance to its last neighbour as the reach of all of them, where the local
    outlier factor takes the neighbour's. Ours: fewer neighbours where there are no more tokens.
    """
    distances = torch.cdist(patches, patches, compute_mode="donot_use_mm_for_euclid_dist").square()
    near, places = distances.topk(min(neighbours + 1, len(patches)), largest=False)  # the first is the token itself
    density = 1 / near[:, -1]
    return density[places[:, 1:]].mean(1) / density


def anomalies(patches: Tensor, *, neighbours: int, contamination: float) -> Tensor:
    """`(N,)` bool: tokens whose outlier factor is above a quantile, taken in float32."""
    factors = outlier_factors(patches, neighbours=neighbours)
    return factors > torch.quantile(factors.float(), 1 - contamination)


def repair(patches: Tensor, anomalous: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens `(N, D)`, each anomalous one the mean of those of its 8 neighbours that are not, where there are any."""
    sound = (~anomalous).to(patches).unflatten(0, grid)[None]  # (1, h, w)
    maps = patches.T.unflatten(1, grid) * sound  # (D, h, w)
    counts = F.avg_pool2d(sound, 3, stride=1, padding=1, divisor_override=1)
    sums = F.avg_pool2d(maps, 3, stride=1, padding=1, divisor_override=1)
    means = (sums / counts.clamp(min=1)).flatten(1).T
    return torch.where((anomalous & (counts.flatten() > 0))[:, None], means, patches)


def shared_weights(likeness: Tensor, similar_above: float) -> Tensor:
    """Rows `(N, N)` of a likeness, small entries 0, that sum to 1."""
    kept = likeness * (likeness >= similar_above)
    return kept / (kept.sum(-1, keepdim=True) + 1e-6)


def build(*, clip: Clip, vocabulary: Vocabulary, config: ScClipConfig) -> ScClip:
    """SC-CLIP; the training vocabulary does not matter to it."""
    return ScClip(clip=clip, config=config)
