"""ProxyCLIP (Lan et al., ECCV 2024, arXiv 2408.04883): CLIP's last attention replaced by the likeness of another model.

Training-free; from a description of the released code. Its thresholds afterwards are left out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.clip import Clip
from methods.clip.vit import attention_of
from methods.imagenet import IMAGENET_MEAN, IMAGENET_STD
from methods.method import Vocabulary
from methods.training_free.per_picture import PerPicture, class_map, embedded
from methods.training_free.proxyclip_config import ProxyClipConfig


class ProxyClip(PerPicture):
    """ProxyCLIP on any CLIP with a vision transformer."""

    def __init__(self, *, clip: Clip, body: nn.Module | None, config: ProxyClipConfig) -> None:
        """body: gives `(1, C, h, w)` of ImageNet-normalised pixels; None: CLIP's last but one block."""
        super().__init__(clip=clip)
        self.body, self.config = body, config

    def cosines(self, x: Tensor, text: Tensor) -> Tensor:
        """`(C, h, w)` of one picture of normalised pixels `(1, 3, H, W)` and unit-norm texts `(C, d)`.

        On the body's grid; `(C, H, W)` where the picture had to be padded.
        """
        height, width = x.shape[-2:]
        left, right = _margins(width, self.config.pad_to)
        top, bottom = _margins(height, self.config.pad_to)
        padded = F.pad(x, (left, right, top, bottom))
        tokens, grid = self.tokens(padded)
        maps = class_map(tokens, text, grid)
        if padded.shape == x.shape:
            return maps
        maps = F.interpolate(maps[None], padded.shape[-2:], mode="bilinear", align_corners=False)[0]
        return maps[:, top : top + height, left : left + width]

    def tokens(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Tokens `(N, d)` in text space on the body's grid `(h, w)`, not normalised."""
        before, clip_grid = self.before_last(x)
        own = before[:, 1:].transpose(1, 2).unflatten(2, clip_grid)  # (1, D, h', w')
        features = own if self.body is None else self.body(self.for_body(x))
        grid = (features.shape[2], features.shape[3])
        return self.tower.project(self.attended(before, features, clip_grid)), grid

    def for_body(self, x: Tensor) -> Tensor:
        """Pixels normalised for CLIP `(B, 3, H, W)`, normalised by ImageNet's mean and sd instead."""
        mean, std = (x.new_tensor(v)[:, None, None] for v in (self.clip.mean, self.clip.std))
        theirs, spread = (x.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        return (x * std + mean - theirs) / spread

    def before_last(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Tokens `(1, 1+N, D)` that enter the last block, and their grid."""
        tokens, grid = embedded(self.tower, x)
        for block in self.tower.blocks[:-1]:
            tokens = block(tokens)
        return tokens, grid

    def attended(self, tokens: Tensor, features: Tensor, grid: tuple[int, int]) -> Tensor:
        """`(N, D)`: the last block's values `(1, 1+N', D)` mixed by the likeness of features `(1, C, h, w)`.

        Every head has the same attention; no CLS, residual or MLP.
        """
        last: Any = self.tower.blocks[-1]
        attention = attention_of(last)
        width = tokens.shape[-1]
        weight, bias = attention.in_proj_weight[-width:], attention.in_proj_bias[-width:]
        values = F.linear(last.ln_1(tokens[:, 1:]), weight, bias)  # (1, N', D)
        maps = values.transpose(1, 2).unflatten(2, grid)
        maps = F.interpolate(maps, features.shape[-2:], mode="bilinear", align_corners=False)
        unit = F.normalize(features[0].flatten(1), dim=0)  # (C, N)
        likeness = unit.T @ unit
        logits = (likeness - self.config.threshold * likeness.mean()) * self.config.sharpness
        weights = logits.masked_fill(logits < 0, -torch.inf).softmax(-1)
        return attention.out_proj(weights @ maps[0].flatten(1).T)


def _margins(length: int, multiple: int) -> tuple[int, int]:
    """What is padded before and after a side."""
    lacking = math.ceil(length / multiple) * multiple - length
    return lacking // 2, lacking - lacking // 2


def build(*, clip: Clip, vocabulary: Vocabulary, config: ProxyClipConfig) -> ProxyClip:
    """ProxyCLIP with the body of its config; the training vocabulary does not matter to it.

    Raises ValueError, FileNotFoundError or ConnectionError, each with one line, where the body's weights are not there.
    """
    body = None
    if config.body != "clip":
        from methods.bodies.dino import build_dino

        body = build_dino(config.body, weights=config.body_weights)
    return ProxyClip(clip=clip, body=body, config=config)
