"""ZegCLIP's training step with the image tower called as the released code calls it; the rest is the textbook version.

The released code keeps the tokens sequence first, `(T, B, D)`, and runs CLIP's blocks with `nn.MultiheadAttention` on
them. Here these are open_clip's blocks with our method's weights. Prompts, decoder and losses are `textbook`'s: the
released code is not in this repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.clip.vit import DirectAttention, VitTower
from methods.method import Images
from methods.zegclip.zegclip import ZegClip
from tests.speed import textbook


@contextmanager
def torch_attention(tower: VitTower, *, batch_first: bool) -> Iterator[None]:
    """Within, the tower's blocks run the `nn.MultiheadAttention` that open_clip built, on tokens laid out like this."""
    attentions: list[Any] = [block.attn for block in tower.blocks]
    for attention in attentions:
        attention.__class__, attention.batch_first = nn.MultiheadAttention, batch_first
    try:
        yield
    finally:
        for attention in attentions:
            attention.__class__, attention.batch_first = DirectAttention, True


def loss(method: ZegClip, images: Images, labels: Tensor) -> Tensor:
    """As `textbook.loss`, to rounding."""
    encoder: Any = method.encoder
    tokens, grid = textbook.embedded(encoder.vit.visual, textbook.normalised(images.pixels))
    tokens = encoder.vit.ln_pre(tokens).transpose(0, 1)  # (1 + N, B, D)
    cls, rest = tokens[:1], tokens[1:]
    with torch_attention(encoder.vit, batch_first=False):
        for block, prompt in zip(encoder.vit.blocks, torch.cat([encoder.first, encoder.deep]), strict=True):
            projected = encoder.proj(prompt).expand(len(labels), -1, -1)
            inserted = F.dropout(projected, encoder.dropout.p).transpose(0, 1)
            tokens = block(torch.cat([cls, inserted, rest]))
            cls, rest = tokens[:1], tokens[1 + len(prompt) :]
    return textbook.head_loss(method, torch.cat([cls, rest]).transpose(0, 1), grid, labels)


def batch_first(one: Callable[[], object], method: ZegClip) -> Callable[[], object]:
    """A call of ours with open_clip's own attention in place of `DirectAttention`."""
    tower = method.clip.vit()

    def once() -> object:
        with torch_attention(tower, batch_first=True):
            return one()

    return once


@torch.inference_mode()
def window(tower: VitTower, pixels: Tensor) -> Tensor:
    """Dense tokens `(1 + N, B, D)` after the last block of normalised pixels `(B, 3, H, W)`, sequence first."""
    tokens, _ = tower.embed(pixels)
    tokens = tower.ln_pre(tokens).transpose(0, 1)
    with torch_attention(tower, batch_first=False):
        for block in tower.blocks:
            tokens = block(tokens)
    return tokens
