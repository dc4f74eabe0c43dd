"""ZegCLIP's training step and one window on ViT-B/16 (random weights), beside other ways to the same numbers.

Peers: the image tower called as the released code calls it (`released_way`), open_clip's batch-first blocks as they
are, the textbook version (ours, written plainly: not the released code), and the bare image tower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from methods.clip import load_clip
from methods.method import UNLABELLED, Images, Vocabulary
from methods.registry import build_method, config_class
from methods.zegclip.zegclip import ZegClip
from tests.speed import released_way, textbook
from tests.speed.compare import Row, once, turns
from tests.speed.peak_memory import peak_mib

Step = Callable[[], Tensor]
SIDE = 512
SEEN = 15  # of PASCAL VOC's 15/5
BATCHES = (1, 2, 4)
RELEASED = "tower called as the released code calls it, sequence first, fp32"
LAID_OUT = "open_clip's batch-first blocks"


def rows(repeats: int, side: int = SIDE) -> Iterator[Row]:
    """Ours in fp32, and in bf16 where the CPU multiplies it itself; the same images, labels and dropout for all."""
    method = zegclip(SEEN)
    for batch in BATCHES:
        yield from _steps(method, batch, side, repeats)
    yield from _steps(zegclip(SEEN, "ViT-B-16-quickgelu"), 1, side, repeats, model="ViT-B/16 with QuickGELU")
    yield from _textbook(method, side, repeats)
    yield from _windows(method, side, repeats)


def _steps(method: ZegClip, batch: int, side: int, repeats: int, model: str = "ViT-B/16") -> Iterator[Row]:
    ours, theirs = step(method, side, batch), step(method, side, batch, way=released_way.loss)
    laid_out = released_way.batch_first(ours, method)
    expected, gradient = _outcome(method, theirs)
    _check(method, ours, expected, gradient, within=1e-4)
    calls: list[Callable[[], object]] = [ours, theirs, laid_out]
    what = f"ZegCLIP training step, {model}, {side} px, batch {batch}"
    note = f"peak memory {peak_mib(ours):.0f} against {peak_mib(theirs):.0f} MiB"
    if has_bf16():
        half = step(method, side, batch, bf16=True)
        loss, off = _check(method, half, expected, gradient, within=0.05)
        calls.append(half)
        half_note = (
            f"loss {loss:.4f} against {expected:.4f}, gradient {off:.1%} off, peak memory {peak_mib(half):.0f} MiB"
        )
    times = turns(calls, repeats)
    yield Row(f"{what}, fp32", RELEASED, times[0], times[1], target=1.0, note=note)
    yield Row(f"{what}, fp32", f"{LAID_OUT}, fp32", times[0], times[2])
    if has_bf16():
        yield Row(f"{what}, bf16 autocast", RELEASED, times[3], times[1], target=2.0, note=half_note)


def _textbook(method: ZegClip, side: int, repeats: int) -> Iterator[Row]:
    ours, plain, tower = step(method, side), step(method, side, way=textbook.loss), bare(method, side)
    _check(method, ours, *_outcome(method, plain), within=1e-4)
    what = f"ZegCLIP training step, ViT-B/16, {side} px, batch 1, fp32"
    note = f"peak memory {peak_mib(ours):.0f} against {peak_mib(plain):.0f} MiB"
    times = turns([ours, plain, tower], repeats)
    yield Row(what, "textbook version (ours, not the released code)", times[0], times[1], note=note)
    yield Row(what, "bare tower, forward and input gradient", times[0], times[2], target=0.8)


def _windows(method: ZegClip, side: int, repeats: int) -> Iterator[Row]:
    """One window through the tower, without autograd and without prompts."""
    tower = method.clip.vit()
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def ours(bf16: bool = False) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            tokens = tower.ln_pre(tower.embed(pixels)[0])
            for block in tower.blocks:
                tokens = block(tokens)
        return tokens

    def theirs() -> Tensor:
        return released_way.window(tower, pixels)

    torch.testing.assert_close(ours(), theirs().transpose(0, 1), atol=1e-4, rtol=1e-4)
    calls: list[Callable[[], object]] = [ours, theirs, released_way.batch_first(ours, method)]
    calls += [lambda: ours(bf16=True)] if has_bf16() else []
    times = turns(calls, 3 * repeats)
    what = f"one window through ViT-B/16's blocks, {side} px"
    yield Row(f"{what}, fp32", RELEASED, times[0], times[1], target=1.05)
    yield Row(f"{what}, fp32", f"{LAID_OUT}, fp32", times[0], times[2])
    if has_bf16():
        yield Row(f"{what}, bf16 autocast", RELEASED, times[3], times[1], target=2.0)


def growth(repeats: int) -> dict[str, dict[int, float]]:
    """Processor seconds of a step against the crop's pixels and against classes."""
    crops = {side * side: once(step(zegclip(SEEN), side), repeats).processor for side in (128, 256, 512)}
    classes = {count: once(step(zegclip(count), 256), repeats).processor for count in (15, 60, 156)}
    return {"training step against pixels of the crop": crops, "training step against classes": classes}


def zegclip(classes: int, model: str = "ViT-B-16") -> ZegClip:
    """ZegCLIP as it trains on so many classes, its CLIP of random weights."""
    names = tuple(f"thing {index}" for index in range(classes))
    words = Vocabulary(names, (True,) * classes, names, ("a photo of a {}.",))
    torch.manual_seed(0)
    clip = load_clip(model, None)
    method = build_method("zegclip", clip=clip, vocabulary=words, config=config_class("zegclip")()).train()
    assert isinstance(method, ZegClip)
    return method


def ours_loss(method: ZegClip, images: Images, labels: Tensor) -> Tensor:
    """As the training loop adds them up."""
    return torch.stack(tuple(method.losses(images, labels, progress=0.0).values())).sum()


def step(
    method: ZegClip,
    side: int,
    batch: int = 1,
    *,
    way: Callable[[ZegClip, Images, Tensor], Tensor] = ours_loss,
    bf16: bool = False,
    device: str = "cpu",
) -> Step:
    """Forward and backward of so many images; returns the loss. Dropout draws from the same seed each time."""
    generator = torch.Generator().manual_seed(0)
    images = Images(torch.randint(0, 256, (batch, 3, side, side), generator=generator, dtype=torch.uint8))
    cells = torch.randint(0, SEEN, (batch, side // 32, side // 32), generator=generator, dtype=torch.uint8)
    labels = cells.repeat_interleave(32, 1).repeat_interleave(32, 2)
    labels[:, : side // 4] = UNLABELLED
    images, labels = images.to(device), labels.to(device)

    def once_through() -> Tensor:
        torch.manual_seed(0)
        method.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
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
