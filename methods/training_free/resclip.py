"""ResCLIP (Yang et al., CVPR 2025, arXiv 2411.15851): middle attention and a first result added to the last block.

Training-free; from a description of the released code, in which both additions are always on. Its thresholds
afterwards are left out.
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
from methods.training_free.attention_readouts import nearness
from methods.training_free.pamr import refined
from methods.training_free.per_picture import PerPicture, block_at, class_map, embedded
from methods.training_free.resclip_config import ResClipConfig

MIDDLE = (5, 6, 7, 8)  # blocks of 12, from 0, whose attention is added; released
DILATIONS = (8, 16)  # of the refinement; released
WIDEST_BLUR = 31  # tokens; released


class Entering(NamedTuple):
    """What enters the last block."""

    tokens: Tensor  # (1, 1+N, D)
    grid: tuple[int, int]
    middle: Tensor  # (1, heads, 1+N, 1+N): the mean attention of middle blocks


class ResClip(PerPicture):
    """ResCLIP on any CLIP with a vision transformer; scores of a class depend on the others asked."""

    vocabulary_chunkable = False

    def __init__(self, *, clip: Clip, config: ResClipConfig) -> None:
        super().__init__(clip=clip)
        depth = len(self.tower.blocks)
        if depth < 2:
            raise ValueError(f"{clip.name}: ResCLIP reads blocks before the last, it has {depth}")
        self.middle = [block_at(i, depth) for i in MIDDLE]
        for i in {*self.middle}:
            attention_of(self.tower.blocks[i])
        self.config = config

    def cosines(self, x: Tensor, text: Tensor) -> Tensor:
        """`(C, h, w)` of one picture of normalised pixels `(1, 3, H, W)` and unit-norm texts `(C, d)`."""
        entering = self.entering(x)
        classes = self.patch_classes(self.probabilities(x, entering, text))
        return class_map(self.last_block(entering, feedback(classes, self.config.blur))[1:], text, entering.grid)

    def entering(self, x: Tensor) -> Entering:
        """All blocks but the last."""
        tokens, grid = embedded(self.tower, x)
        maps = []
        for i, block in enumerate(self._blocks[:-1]):
            if i in self.middle:
                q, k, _ = heads_of(attention_of(block), block.ln_1(tokens))
                maps += [(q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(-1)] * self.middle.count(i)
            tokens = block(tokens)
        return Entering(tokens, grid, torch.stack(maps).mean(0))

    def probabilities(self, x: Tensor, entering: Entering, text: Tensor) -> Tensor:
        """`(C, H, W)` of the first pass, which has no feedback, after refinement by the picture."""
        maps = class_map(self.last_block(entering, None)[1:], text, entering.grid)
        maps = F.interpolate(maps[None], x.shape[-2:], mode="bilinear", align_corners=False)[0]
        maps = refined(x[0], maps, steps=self.config.refine_steps, dilations=DILATIONS)
        return (self.config.logit_scale * maps).softmax(0)

    def patch_classes(self, probabilities: Tensor) -> Tensor:
        """`(h, w)`: the most frequent class of each patch's pixels; of weak ones as the config says."""
        best, classes = probabilities.max(0)
        weak = 0 if self.config.weak_class == "first" else len(probabilities)
        classes = torch.where(best < self.config.weak_below, weak, classes)
        p = self.tower.patch_size
        pixels = classes.unfold(0, p, p).unfold(1, p, p).flatten(2)  # (h, w, p*p)
        return pixels.mode(-1).values

    def last_block(self, entering: Entering, matrix: Tensor | None) -> Tensor:
        """`(1+N, d)` in text space, not normalised, CLS first; matrix: `(1+N, 1+N)`, what the first pass feeds back."""
        c, last = self.config, self._blocks[-1]
        attention = attention_of(last)
        q, k, v = heads_of(attention, last.ln_1(entering.tokens))
        weights = torch.stack([self._logits(part, entering.grid, matrix).softmax(-1) for part in self._parts(q, k)])
        weights = c.middle_scale * ((1 - c.middle_share) * weights.sum(0) + c.middle_share * entering.middle)
        out = attention.out_proj((weights @ v).transpose(1, 2).flatten(2))
        if c.residual:
            out = entering.tokens + out
            out = out + last.mlp(last.ln_2(out))
        return self.tower.project(out)[0]

    def _parts(self, q: Tensor, k: Tensor) -> list[Tensor]:
        """What attends to its equals, each by itself."""
        return {"kk-near": [k], "qq+kk": [q, k], "qq": [q]}[self.config.attention]

    def _logits(self, part: Tensor, grid: tuple[int, int], matrix: Tensor | None) -> Tensor:
        c = self.config
        logits = part @ part.transpose(2, 3) / math.sqrt(part.shape[-1])
        if matrix is not None:
            half = c.feedback_share * (matrix / matrix.max()).half()  # rounded twice, as released
            logits = c.feedback_scale * ((1 - c.feedback_share) * logits + half.to(logits))
        return logits + nearness(grid, c.spread).to(logits) if c.attention == "kk-near" else logits

    @property
    def _blocks(self) -> Any:
        return self.tower.blocks


def feedback(classes: Tensor, blur: float) -> Tensor:
    """`(1+N, 1+N)` from classes of patches `(h, w)`: patches of one class whose path has no other; 0 for CLS.

    A pair whose path meets another class counts the less the longer it is. The path is looked at from its first patch
    on, and only for a part of its length, so the matrix is not symmetric; its rows are blurred along their length, not
    in the picture. Both as released.
    """
    alike, clean, steps, longest = _paths(classes)
    matrix = torch.where(clean, 1.0, (-steps / max(longest, 1)).exp()) * alike
    matrix = _blurred(matrix, blur).clamp(min=0)
    return F.pad(matrix / (matrix.sum(-1, keepdim=True) + 1e-8), (1, 0, 1, 0))


def _paths(classes: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Of each pair of patches `(N, N)`: of one class? path of that class alone? Chebyshev distance; and the longest."""
    h, w = classes.shape
    longest = max(h, w) - 1
    rows, columns = torch.meshgrid(*(torch.arange(side, device=classes.device) for side in (h, w)), indexing="ij")
    rows, columns, flat = rows.flatten(), columns.flatten(), classes.flatten()
    down, right = rows[None] - rows[:, None], columns[None] - columns[:, None]  # from the first to the second
    steps = torch.maximum(down.abs(), right.abs())
    clean = torch.ones_like(steps, dtype=torch.bool)
    for k in range(longest + 1):
        share = k / max(longest, 1)
        at = (rows[:, None] + down * share).round().long() * w + (columns[:, None] + right * share).round().long()
        clean &= (flat[at] == flat[:, None]) | (k > steps)
    return flat[:, None] == flat[None], clean, steps.double(), longest


def _blurred(matrix: Tensor, blur: float) -> Tensor:
    """Rows `(N, N)` under a Gaussian of odd width, zeros beyond their ends."""
    width = min(len(matrix), WIDEST_BLUR)
    width -= width % 2 == 0
    places = torch.arange(width, dtype=matrix.dtype, device=matrix.device) - width // 2
    kernel = (-places.square() / (2 * blur**2)).exp()
    return F.conv1d(matrix[:, None], (kernel / kernel.sum())[None, None], padding=width // 2)[:, 0]


def build(*, clip: Clip, vocabulary: Vocabulary, config: ResClipConfig) -> ResClip:
    """ResCLIP; the training vocabulary does not matter to it."""
    return ResClip(clip=clip, config=config)
