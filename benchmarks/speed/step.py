"""ZegCLIP's training step on ViT-B/16 at 512 pixels (random weights), beside its textbook version and a bare tower."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.speed.compare import Row, alternate, once
from methods.clip import load_clip
from methods.method import Images, Method, Vocabulary
from methods.registry import build_method, config_class


def rows(repeats: int) -> Iterator[Row]:
    """fp32 against plain attention and against the bare tower; bf16 where the CPU has it."""
    method = _method(15)
    ours, tower = _step(method, 512), _bare(method, 512)
    with _plain_attention():
        expected = float(ours())
    assert abs(float(ours()) - expected) < 1e-4 * abs(expected)

    def textbook() -> Tensor:
        with _plain_attention():
            return ours()

    what = "ZegCLIP training step, ViT-B/16, 512 px, batch 1, fp32"
    yield Row(what, "the same with textbook attention", *alternate(ours, textbook, repeats), target=1.0)
    yield Row(what, "bare tower, forward and input gradient", *alternate(ours, tower, repeats), target=0.8)
    if _bf16():
        half = _step(method, 512, bf16=True)
        note = f"loss {float(half()):.4f} against {expected:.4f}"
        times = alternate(half, textbook, repeats)
        yield Row(what.replace("fp32", "bf16 autocast"), "textbook, fp32", *times, target=1.3, note=note)


def growth(repeats: int) -> dict[str, dict[int, float]]:
    """Processor seconds of a step against the crop's pixels and against classes."""
    crops = {side * side: once(_step(_method(15), side), repeats).processor for side in (128, 256, 512)}
    classes = {count: once(_step(_method(count), 256), repeats).processor for count in (15, 60, 156)}
    return {"training step against pixels of the crop": crops, "training step against classes": classes}


def _method(classes: int) -> Method:
    names = tuple(f"thing {index}" for index in range(classes))
    words = Vocabulary(names, (True,) * classes, names, ("a photo of a {}.",))
    torch.manual_seed(0)
    clip = load_clip("ViT-B-16", None)
    return build_method("zegclip", clip=clip, vocabulary=words, config=config_class("zegclip")()).train()


def _step(method: Method, side: int, *, bf16: bool = False) -> Callable[[], Tensor]:
    """Forward and backward of one batch; returns the loss. Dropout and the like draw from the same seed each time."""
    generator = torch.Generator().manual_seed(0)
    images = Images(torch.randint(0, 256, (1, 3, side, side), generator=generator, dtype=torch.uint8))
    labels = torch.randint(0, 15, (1, 1, side // 32, side // 32), generator=generator).float()
    labels = functional.interpolate(labels, size=(side, side))[:, 0].byte()

    def step() -> Tensor:
        torch.manual_seed(0)
        method.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = torch.stack(tuple(method.losses(images, labels, progress=0.0).values())).sum()
        loss.backward()
        return loss.detach()

    return step


def _bare(method: Method, side: int) -> Callable[[], None]:
    """The frozen image tower alone: forward, and the gradient of its input."""
    tower = method.clip.vit()  # type: ignore[union-attr,operator]
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))

    def step() -> None:
        x = pixels.clone().requires_grad_()
        tokens = tower(x)
        (tokens.cls.sum() + tokens.dense.sum()).backward()

    return step


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as textbooks write it: all weights at once, no fused kernel."""

    def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **_):  # type: ignore[no-untyped-def]
        scores = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        return functional.dropout(scores.softmax(dim=-1), dropout_p) @ value

    fused = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = attention  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = fused  # type: ignore[assignment]


def _bf16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; Linux says so."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return "avx512_bf16" in file.read()
    except OSError:
        return False
