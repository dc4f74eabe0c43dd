"""What each method's losses are averaged over, so that gradients of micro-batches can be added up to those of a batch.

A loss that is a mean over images adds up with equal weights; one that is divided by how many masks or pixels of the
batch are labelled, with the micro-batch's share of them. What a method makes of a micro-batch alone, and of nothing
else, no weight can mend: it is named here, for the notes under tables. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from methods.chimera.chimera_config import ChimeraConfig
from methods.config import MethodConfig
from methods.distillation.distillation_config import DistillationConfig
from methods.registry import entry
from methods.zegclip.zegclip_config import ZegClipConfig

# "images": equal shares. "masks": labelled (image, class) pairs, averaged over ranks (`methods.losses.mask_count`).
# "pixels": labelled pixels of the rank.
Over = Literal["images", "masks", "pixels"]

_PER_PIXEL: dict[str, Over] = {"cross_entropy": "pixels", "focal": "masks", "dice": "masks"}


@dataclass(frozen=True)
class Averaging:
    """How the losses of one method, with its settings, are averaged over a batch."""

    over: Mapping[str, Over] = field(default_factory=dict)  # of the losses, by name, that are no mean over images
    apart: tuple[str, ...] = ()  # what is of each micro-batch alone, whatever the weights; in words


def averaging(method: str, config: MethodConfig) -> Averaging:
    """What is known of a method with this config; of one that was brought along, nothing is."""
    if not entry(method).own:
        if isinstance(config, ZegClipConfig):
            return _zegclip(config)
        if isinstance(config, DistillationConfig):
            return _distilled(config)
        if isinstance(config, ChimeraConfig):
            return _chimera(config)
    return Averaging(apart=("whatever its losses make of a batch that is no mean over images",))


def _zegclip(config: ZegClipConfig) -> Averaging:
    if config.self_training:  # how many masks there are is known only when the model has drawn them
        return Averaging(apart=("the number of masks its losses are divided by, pseudo-labelled ones among them",))
    return Averaging(over=_PER_PIXEL)


def _distilled(config: DistillationConfig) -> Averaging:
    apart = ["BatchNorm's statistics"]
    if config.global_loss:
        apart.append(_contrast(config.candidates))
    if config.local_loss and config.local_reduction == "mean":
        apart.append("the number of regions of the local loss")
    if config.seen_loss:
        apart.append("the classes that seen prototypes are told from")
    if config.latent == "off":
        return Averaging(over=_PER_PIXEL, apart=tuple(apart))
    apart.append("the number of masks and pixels its losses per pixel are divided by, mined ones among them")
    return Averaging(apart=tuple(apart))


def _chimera(config: ChimeraConfig) -> Averaging:
    apart = ["BatchNorm's statistics"]
    if config.distillation != "off" and config.sgd_loss == "infonce":
        apart.append(_contrast(config.candidates))
    if config.head == "csh" and config.entry == "calibrated":
        apart.append("the images its entry is calibrated on (the first micro-batch's)")
    return Averaging(over=_PER_PIXEL, apart=tuple(apart))


def _contrast(candidates: Literal["bank", "bank+batch", "enqueued"]) -> str:
    """A bank takes in each micro-batch as it comes: earlier ones of the same step stand in it."""
    return "the bank of candidates" if candidates == "bank" else "the candidates from batch and bank"
