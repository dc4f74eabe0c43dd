"""What a method's losses are averaged over, so that gradients of micro-batches can be added up to those of a batch.

A loss that is a mean over images adds up with equal weights. One that is divided by how many masks or pixels of the
batch are labelled adds up with the micro-batch's share of them. What a method computes from a micro-batch alone no
weight can mend: it is named here, for the notes under tables. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

# "images": equal shares. "masks": labelled (image, class) pairs, averaged over ranks (`methods.losses.mask_count`).
# "pixels": labelled pixels of the rank.
Over = Literal["images", "masks", "pixels"]

PER_PIXEL: Final[Mapping[str, Over]] = {"cross_entropy": "pixels", "focal": "masks", "dice": "masks"}
BATCH_NORM: Final = "BatchNorm's statistics"


@dataclass(frozen=True)
class Averaging:
    """How the losses of one method, with one config, are averaged over a batch."""

    over: Mapping[str, Over] = field(default_factory=dict)  # of the losses, by name, that are no mean over images
    apart: tuple[str, ...] = ()  # what is of each micro-batch alone, whatever the weights; in words


def unknown_averaging(config: Any) -> Averaging:
    """Of a method whose entry does not say it."""
    return Averaging(apart=("whatever its losses make of a batch that is no mean over images",))


def contrast_apart(candidates: Literal["bank", "bank+batch", "enqueued"]) -> str:
    """What InfoNCE compares a micro-batch with. A bank takes each as it comes, so it holds earlier ones of the step."""
    return "the bank of candidates" if candidates == "bank" else "the candidates from batch and bank"
