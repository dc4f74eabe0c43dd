"""ZegCLIP's training step written out plainly: eager, float32, every attention matrix and every class mask held whole.

It takes the weights of our method and nothing of its computation: transformer (Vaswani et al. 2017, with the norms
first, as CLIP has it), deep prompts (Zhou et al., CVPR 2023, Section 3.3), sigmoid focal loss (Lin et al. 2017) and
dice loss (Milletari et al. 2016, sums of areas) on a mask for each class, as the released code weighs them. Frozen
weights get no gradient. Dropout draws in the order of ours, so that one seed gives one loss.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.imagenet import IMAGENET_MEAN, IMAGENET_STD
from methods.method import FIRST_CODE, Images
from methods.zegclip.zegclip import ZegClip


def loss(method: ZegClip, images: Images, labels: Tensor) -> Tensor:
    """The sum of both losses of a batch without padding, in the inductive setting at the method's default config."""
    encoder: Any = method.encoder
    tokens, grid = embedded(encoder.vit.visual, normalised(images.pixels))
    tokens = _norm(encoder.vit.visual.ln_pre, tokens)
    cls, rest = tokens[:, :1], tokens[:, 1:]
    for block, prompt in zip(encoder.vit.blocks, torch.cat([encoder.first, encoder.deep]), strict=True):
        projected = F.linear(prompt, *_linear(encoder.proj)).expand(len(tokens), -1, -1)
        inserted = F.dropout(projected, encoder.dropout.p)
        tokens = _block(block, torch.cat([cls, inserted, rest], dim=1))
        cls, rest = tokens[:, :1], tokens[:, 1 + len(prompt) :]
    return head_loss(method, torch.cat([cls, rest], dim=1), grid, labels)


def normalised(pixels: Tensor) -> Tensor:
    """`(B, 3, H, W)` by ImageNet's statistics."""
    mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels.float() - mean) / std


def embedded(visual: Any, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Tokens `(B, 1 + N, D)` before the first norm, and the grid."""
    patches = F.conv2d(x, visual.conv1.weight, stride=visual.conv1.stride)
    grid = (patches.shape[2], patches.shape[3])
    first = 2 * visual.class_embedding.expand(len(x), 1, -1)  # the released code adds it twice
    tokens = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)
    return tokens + _positions(visual, grid), grid


def head_loss(method: ZegClip, tokens: Tensor, grid: tuple[int, int], labels: Tensor) -> Tensor:
    """From tokens `(B, 1 + N, D)` after the last block, without prompts, to the sum of both losses."""
    encoder: Any = method.encoder
    visual = encoder.vit.visual
    out = _norm(visual.ln_post, _norm(encoder.norm, tokens)) @ visual.proj
    out = out / out.norm(dim=-1, keepdim=True)
    cls, dense = out[:, 0], out[:, 1:]
    text = method.text.expand(len(cls), -1, -1)  # (B, C, d)
    queries = F.linear(torch.cat([text * cls[:, None], text], dim=-1), *_linear(method.head.query))
    logits = _decoded(method, queries, dense).unflatten(2, grid)
    logits = F.interpolate(logits, labels.shape[-2:], mode="bilinear", align_corners=False)
    return _losses(logits, labels, method.config.focal_weight, method.config.dice_weight)


def _positions(visual: Any, grid: tuple[int, int]) -> Tensor:
    table, (height, width) = visual.positional_embedding, visual.grid_size
    planes = table[1:].T.reshape(1, -1, height, width)
    planes = F.interpolate(planes, grid, mode="bilinear", align_corners=False)
    return torch.cat([table[:1], planes[0].flatten(1).T])


def _block(block: Any, x: Tensor) -> Tensor:
    heads = block.attn.num_heads
    qkv = F.linear(_norm(block.ln_1, x), block.attn.in_proj_weight, block.attn.in_proj_bias)
    query, key, value = (_split(part, heads) for part in qkv.chunk(3, dim=-1))
    weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1)  # (B, heads, T, T)
    attended = (weights @ value).transpose(1, 2).flatten(2)
    x = x + F.linear(attended, *_linear(block.attn.out_proj))
    hidden = block.mlp.gelu(F.linear(_norm(block.ln_2, x), *_linear(block.mlp.c_fc)))
    return x + F.linear(hidden, *_linear(block.mlp.c_proj))


def _decoded(method: ZegClip, queries: Tensor, memory: Tensor) -> Tensor:
    """Mask logits `(B, C, N)`."""
    decoder: Any = method.head.decoder
    for layer in decoder.layers:
        scores = _scores(layer.attention, queries, memory)
        weights = F.dropout(scores.softmax(dim=-1), layer.dropout.p)
        value = _split(F.linear(memory, *_linear(layer.v)), layer.attention.heads)
        attended = F.linear((weights @ value).transpose(1, 2).flatten(2), *_linear(layer.out))
        queries = _norm(layer.norm_attention, queries + F.dropout(attended, layer.dropout.p))
        hidden = F.dropout(F.linear(queries, *_linear(layer.expand)).relu(), layer.dropout.p)
        fed = F.dropout(F.linear(hidden, *_linear(layer.contract)), layer.dropout.p)
        queries = _norm(layer.norm_feed, queries + fed)
    return _scores(decoder.last, queries, memory).mean(dim=1)


def _scores(attention: Any, queries: Tensor, memory: Tensor) -> Tensor:
    query = _split(F.linear(queries, *_linear(attention.q)), attention.heads)
    key = _split(F.linear(memory, *_linear(attention.k)), attention.heads)
    return query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])


def _losses(logits: Tensor, labels: Tensor, focal_weight: float, dice_weight: float) -> Tensor:
    target = torch.stack([labels == index for index in range(logits.shape[1])], dim=1).float()  # (B, C, H, W)
    assert not ((labels >= logits.shape[1]) & (labels < FIRST_CODE)).any()
    pairs = target.flatten(2).any(dim=2)  # (B, C): which classes are there
    p = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weight = 0.25 * target + 0.75 * (1 - target)
    focal = weight * (1 - p * target - (1 - p) * (1 - target)) ** 2 * entropy
    focal = focal.mean(dim=(2, 3)).sum() / pairs.sum()
    overlap, areas = (p * target).sum(dim=(2, 3)), p.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    dice = (1 - (2 * overlap + 1) / (areas + 1))[pairs].mean()
    return focal_weight * focal + dice_weight * dice


def _norm(layer: Any, x: Tensor) -> Tensor:
    return F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def _linear(layer: Any) -> tuple[Tensor, Tensor]:
    return layer.weight, layer.bias


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(2, (heads, -1)).transpose(1, 2)
