"""Where a training step would make the CPU wait for a GPU: reads of values and sizes, and copies.

A step is free of them where every kernel can be queued without a word from the device. They are counted on a pretended
one (`tests/pretended_device.py`); the optimiser is torch's own, fused on CUDA.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from methods.check_subject import SEEN, STEPS, Subject, labels_of, small_clip, words
from methods.method import Images, Method
from methods.registry import METHODS, build_method, config_class, entry
from tests.pretended_device import DEVICE, Waits, pretended


def waits_of(name: str) -> Waits:
    """What one step of a registered method would wait for, after a step that fills its caches."""
    known, config = entry(name), config_class(name)
    clip = None if known.needs == "nothing" else small_clip()
    fields = known.fixed | ({"body": "small"} if "body" in config.model_fields else {})
    subject = Subject(lambda: build_method(name, clip=clip, vocabulary=words(SEEN), config=config(**fields)))
    with pretended() as found:
        method = subject.build().to(DEVICE).train()
        batch = (subject.pictures().to(DEVICE), labels_of(subject.masks()).to(DEVICE))
        _step(method, *batch, progress=0.5)
        found.clear()
        _step(method, *batch, progress=0.5 + 1 / STEPS)
    return found


def table() -> Iterator[tuple[str, Waits]]:
    """Each method of the comparison that trains, with what it would wait for."""
    for name, known in METHODS.items():
        if known.trained and known.group == "comparison":
            yield name, waits_of(name)


def _step(method: Method, images: Images, labels: Tensor, *, progress: float) -> None:
    torch.manual_seed(0)
    losses = method.losses(images, labels, progress=progress)
    torch.stack(tuple(losses.values())).sum().backward()
