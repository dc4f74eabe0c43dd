"""A published segmentor of mmsegmentation as a body: its backbone and decode head, built by its registry.

The head's classifier (after its dropout) is the 1x1 convolution into text space, drawn as mmsegmentation draws it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.ham_head import NMF2D  # fills the registry on its way
from mmseg.registry import MODELS
from torch import Tensor, nn

from methods.bodies.backbone_weights import load_backbone
from methods.bodies.body import Body
from methods.bodies.mmseg_architectures import Architecture
from methods.body_names import BatchNormMode

POOLING_HEADS = ("DepthwiseSeparableASPPHead", "UPerHead")  # BatchNorm on one value per picture and channel


class Segmentor(Body):
    """Backbone and decode head without auxiliary heads; names of parameters are mmsegmentation's."""

    def __init__(self, architecture: Architecture, *, name: str, out_channels: int) -> None:
        """Everything is drawn from torch's generator, as mmsegmentation initialises a model without weights."""
        super().__init__(
            name=name, out_channels=out_channels, stride=architecture.stride, paramwise=architecture.paramwise
        )
        self.synchronised = self.fixed_statistics = False
        self.fewest = 2 if architecture.decode_head["type"] in POOLING_HEADS else 1  # pictures per pass in training
        with quiet():
            self.backbone = MODELS.build(architecture.backbone)
            self.decode_head = MODELS.build(architecture.decode_head | {"num_classes": out_channels})
            self.backbone.init_weights()
            self.decode_head.init_weights()
        if architecture.decode_head["type"] == "LightHamHead":
            self.decode_head.hamburger.ham = ReproducibleNmf(architecture.decode_head["ham_kwargs"])

    def load_backbone(self, source: str | Path) -> None:
        """Load ImageNet weights from a file or a URL; see `weights.load_backbone` for what is raised."""
        self.weights_sha256 = load_backbone(self.backbone, type(self.backbone).__name__, source)

    def set_batch_norm(self, mode: BatchNormMode) -> None:
        """How BatchNorm learns; raises ValueError where a mode would change nothing."""
        self.synchronised = mode == "sync"
        if self.synchronised:
            nn.SyncBatchNorm.convert_sync_batchnorm(self)
        if mode == "fixed" and not any(isinstance(m, nn.BatchNorm2d) for m in self.backbone.modules()):
            raise ValueError(f"the backbone of {self.name} has no BatchNorm whose statistics could be fixed")
        self.fixed_statistics = mode == "fixed"

    def train(self, mode: bool = True) -> Segmentor:
        """Training mode; fixed statistics stay fixed."""
        super().train(mode)
        if self.fixed_statistics:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, out_channels, ceil(H / stride), ceil(W / stride))`.

        SETR pads sides to whole patches at the right and below; those positions are cut off again.
        """
        if self.training and len(pixels) < self.fewest and not self.synchronised:
            raise ValueError(
                f"{self.name} learns from {self.fewest} pictures or more at once, since its head normalises one value "
                f"per picture and channel; got {len(pixels)}: raise the batch, or choose batch_norm 'sync' on ranks"
            )
        height, width = (-(-side // self.stride) for side in pixels.shape[-2:])
        return self.decode_head(self.backbone(pixels))[..., :height, :width]


class ReproducibleNmf(NMF2D):
    """SegNeXt's matrix factorisation with the same first bases for every picture at test.

    mmsegmentation draws them anew in every pass (`rand_init`), at test too, so that one picture twice gives two
    answers. Ours: in evaluation mode they come from another generator; in training nothing changes, except that
    the iterations, products of many factors, always run in float32 or wider.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(dict(settings))

    def forward(self, x: Tensor, return_bases: bool = False) -> Tensor:
        """`(B, C, H, W)`, same shape out: the low-rank part."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float() if x.dtype in (torch.float16, torch.bfloat16) else x, return_bases)

    def _build_bases(self, B: int, S: int, D: int, R: int, device: Any = None) -> Tensor:
        if self.training:
            return super()._build_bases(B, S, D, R, device=device)
        bases = torch.rand((S, D, R), generator=torch.Generator().manual_seed(0))
        return F.normalize(bases, dim=1).repeat(B, 1, 1).to(device)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """mmsegmentation prints, logs and warns of what it initialises; whatever is wrong it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
