"""ZegCLIP's training step on ViT-B/16 (random weights), beside its textbook version and the bare image tower."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from methods.clip import load_clip
from methods.method import UNLABELLED, Images, Vocabulary
from methods.registry import build_method, config_class
from methods.zegclip.zegclip import ZegClip
from tests.speed import textbook
from tests.speed.compare import Row, once, turns
from tests.speed.peak_memory import peak_mib

Step = Callable[[], Tensor]
SIDE = 512
SEEN = 15  # of PASCAL VOC's 15/5


def rows(repeats: int, side: int = SIDE) -> Iterator[Row]:
    """Ours in fp32, and in bf16 where the CPU multiplies it itself; the same image, labels and dropout for all."""
    method = zegclip(SEEN)
    ours, plain, tower = step(method, side), step(method, side, way=textbook.loss), bare(method, side)
    expected, gradient = _outcome(method, plain)
    _check(method, ours, expected, gradient, within=1e-4)
    calls: list[Callable[[], object]] = [ours, plain, tower]
    what = f"ZegCLIP training step, ViT-B/16, {side} px, batch 1, fp32"
    note = f"peak memory {peak_mib(ours):.0f} against {peak_mib(plain):.0f} MiB"
    if has_bf16():
        half = step(method, side, bf16=True)
        loss, off = _check(method, half, expected, gradient, within=0.05)
        calls.append(half)
    times = turns(calls, repeats)
    yield Row(what, "textbook version", times[0], times[1], target=1.0, note=note)
    yield Row(what, "bare tower, forward and input gradient", times[0], times[2], target=0.8)
    if has_bf16():
        note = f"loss {loss:.4f} against {expected:.4f}, gradient {off:.1%} off"
        yield Row(what.replace("fp32", "bf16 autocast"), "textbook version, fp32", times[3], times[1], 1.3, note)
        yield Row(what.replace("fp32", "bf16 autocast"), "ours in fp32", times[3], times[0])


def growth(repeats: int) -> dict[str, dict[int, float]]:
    """Processor seconds of a step against the crop's pixels and against classes."""
    crops = {side * side: once(step(zegclip(SEEN), side), repeats).processor for side in (128, 256, 512)}
    classes = {count: once(step(zegclip(count), 256), repeats).processor for count in (15, 60, 156)}
    return {"training step against pixels of the crop": crops, "training step against classes": classes}


def zegclip(classes: int) -> ZegClip:
    """ZegCLIP as it trains on so many classes, its CLIP a ViT-B/16 of random weights."""
    names = tuple(f"thing {index}" for index in range(classes))
    words = Vocabulary(names, (True,) * classes, names, ("a photo of a {}.",))
    torch.manual_seed(0)
    clip = load_clip("ViT-B-16", None)
    method = build_method("zegclip", clip=clip, vocabulary=words, config=config_class("zegclip")()).train()
    assert isinstance(method, ZegClip)
    return method


def ours_loss(method: ZegClip, images: Images, labels: Tensor) -> Tensor:
    """As the training loop adds them up."""
    return torch.stack(tuple(method.losses(images, labels, progress=0.0).values())).sum()


def step(
    method: ZegClip,
    side: int,
    *,
    way: Callable[[ZegClip, Images, Tensor], Tensor] = ours_loss,
    bf16: bool = False,
) -> Step:
    """Forward and backward of one batch; returns the loss. Dropout draws from the same seed each time."""
    generator = torch.Generator().manual_seed(0)
    images = Images(torch.randint(0, 256, (1, 3, side, side), generator=generator, dtype=torch.uint8))
    cells = torch.randint(0, SEEN, (side // 32, side // 32), generator=generator, dtype=torch.uint8)
    labels = cells.repeat_interleave(32, 0).repeat_interleave(32, 1)[None]
    labels[:, : side // 4] = UNLABELLED

    def once_through() -> Tensor:
        torch.manual_seed(0)
        method.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = way(method, images, labels)
        loss.backward()
        return loss.detach()

    return once_through


def bare(method: ZegClip, side: int) -> Callable[[], None]:
    """The frozen image tower alone: forward, and the gradient of its input."""
    tower = method.clip.vit()
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))

    def once_through() -> None:
        x = pixels.clone().requires_grad_()
        tokens = tower(x)
        (tokens.cls.sum() + tokens.dense.sum()).backward()

    return once_through


def _outcome(method: ZegClip, one: Step) -> tuple[float, Tensor]:
    """The loss and the gradient of everything that trains, in one row."""
    loss = float(one())
    return loss, torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])


def _check(method: ZegClip, one: Step, expected: float, gradient: Tensor, *, within: float) -> tuple[float, float]:
    """Loss and the gradient's relative distance to what is expected. Raises AssertionError where they are off."""
    loss, found = _outcome(method, one)
    off = float((found - gradient).norm() / gradient.norm())
    assert abs(loss - expected) <= within * abs(expected), f"loss {loss} instead of {expected}"
    assert off <= within, f"the gradient is {off:.2%} off"
    return loss, off


def has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; Linux says so."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return "avx512_bf16" in file.read()
    except OSError:
        return False
