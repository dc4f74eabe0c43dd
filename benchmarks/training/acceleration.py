"""What a GPU gets that a CPU does not, chosen by the device alone; and torch.compile, a choice of the recipe.

On the CPU nothing here changes a number. No CUDA path was run for this version.
"""

from __future__ import annotations

from types import MethodType
from typing import Final

import torch
from torch import Tensor

from benchmarks.spec import Recipe
from methods.method import Images, Method

BACKEND: Final = "inductor"  # of torch.compile


def placed(method: Method, device: torch.device, recipe: Recipe) -> Method:
    """The method on its device, in place. On CUDA, where half precision is trained, convolutions are channels_last.

    That is the layout which tensor cores take; for float32 it is no gain, so float32 stays as it is. Dropout on a
    convolution's output draws otherwise in it.
    """
    method.to(device)
    if device.type == "cuda" and recipe.precision != "32-true":
        method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return method


def adamw(groups: list[dict], recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """The recipe's optimiser: on CUDA one fused kernel, which needs no word from the device to the CPU either."""
    fused = True if device.type == "cuda" else None  # None: as torch has it, for each parameter in turn on a CPU
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=fused)


def moved(images: Images, labels: Tensor, device: torch.device) -> tuple[Images, Tensor]:
    """A batch on the device; to CUDA without waiting for it, which is no wait only from pinned memory (`batches`)."""
    ahead = device.type == "cuda"
    pixels, sizes = images.pixels.to(device, non_blocking=ahead), images.sizes
    sizes = None if sizes is None else sizes.to(device, non_blocking=ahead)
    return Images(pixels, sizes), labels.to(device, non_blocking=ahead)


def compile_losses(method: Method, backend: str = "") -> None:
    """Put `losses` through torch.compile, in place; the first steps take minutes.

    Its sums are rounded otherwise, and its dropout draws other numbers, which is why it is a field of the recipe.
    backend: another than BACKEND.
    """
    compiled = torch.compile(type(method).losses, backend=backend or BACKEND)
    method.losses = MethodType(compiled, method)  # type: ignore[method-assign] # Fabric takes bound methods alone
