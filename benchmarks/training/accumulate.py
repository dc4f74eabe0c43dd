"""Gradient accumulation: a batch in several micro-batches, whose losses are weighted to add up to those of the batch.

What a loss is averaged over decides its weights: equal ones for a mean over images; for a sum that is divided by how
many masks or pixels are labelled, the micro-batch's share of them. The counts are taken of the labels, on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from benchmarks.training.ranks import Ranks
from methods.method import FIRST_CODE, Images

Part = tuple[Images, Tensor]  # images and labels of a micro-batch


def parts(images: Images, labels: Tensor, count: int) -> list[Part]:
    """A batch as `count` micro-batches of equal size, in order; raises ValueError where it cannot be shared equally."""
    if len(images) % count:
        raise ValueError(f"a batch of {len(images)} cannot be cut into {count} equal micro-batches")
    size = len(images) // count
    places = [slice(first, first + size) for first in range(0, len(images), size)]
    return [
        (Images(images.pixels[at], None if images.sizes is None else images.sizes[at]), labels[at]) for at in places
    ]


def weights_of(labels: Sequence[Tensor], over: Iterable[str], ranks: Ranks) -> dict[str, list[float]]:
    """The weights of the micro-batches with these labels, each `(b, H, W)` uint8, for what losses are averaged over.

    over: "images", "masks" (labelled (image, class) pairs, averaged over ranks), "pixels" (labelled, of the rank).
    A method divides by its count or by 1, whichever is more, and so do the weights: they add up to 1 but where a
    micro-batch has nothing labelled. Every rank calls this at the same step.
    """
    kinds = set(over)
    found = {"images": [1 / len(labels)] * len(labels)}
    if not kinds & {"masks", "pixels"}:
        return found
    areas = [torch.stack([_areas(image) for image in part]) for part in labels]  # K times (b, FIRST_CODE)
    if "pixels" in kinds:
        found["pixels"] = _shares(torch.stack([each.sum() for each in areas]).double())
    if "masks" in kinds:
        found["masks"] = _shares(ranks.mean(torch.stack([(each > 0).sum() for each in areas]).double()))
    return found


def _areas(labels: Tensor) -> Tensor:
    """`(FIRST_CODE,)`: positions of each class in the labels `(H, W)` of one image."""
    return torch.bincount(labels.flatten(), minlength=256)[:FIRST_CODE]


def _shares(counts: Tensor) -> list[float]:
    """Each of the counts `(K,)` over their sum, both at least 1."""
    return (counts.clamp(min=1) / counts.sum().clamp(min=1)).tolist()
