"""timm trunks as a tower: the mean over a feature map and a linear head give CLS, the head on each position the rest.

Where nothing but linear layers follows the pooling, the mean of the dense tokens is CLS. Where a norm does (ConvNeXt),
it is applied to each position by itself, and the mean is not CLS: our reading, since no such read-out of CLIP's trunks
is published.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from methods.clip.vit import Readout, Tokens, fitted, one_size, resized
from methods.interpolations import Interpolation

AVERAGES = ("avg", "fast", "fastavg")  # timm's names of average pooling


class TrunkTower(nn.Module):
    """A frozen `TimmModel` of open_clip that averages a feature map and projects the mean.

    Sides that are no multiple of the trunk's stride are first resized (bilinear) to the nearest multiple; a trunk that
    takes one size only (Swin) gets every picture in that size.

    Attributes:
      linear: nothing but linear layers follows the pooling, so that the mean of the dense tokens is CLS.
    """

    known_by_hash = True  # a checkpoint leaves it out: the record names its sha256
    visual: Any  # open_clip.timm_model.TimmModel

    def __init__(self, visual: nn.Module, *, embed_dim: int) -> None:
        super().__init__()
        reason = trunk_refusal(visual)
        if reason is not None:
            raise ValueError(reason)
        self.visual = visual
        self.stride: int = max(stage["reduction"] for stage in self.visual.trunk.feature_info)
        self.embed_dim = embed_dim
        self.linear = has_linear_head(visual)
        embedding = getattr(self.visual.trunk, "patch_embed", None)
        self.only_size = tuple(self.visual.image_size) if getattr(embedding, "strict_img_size", False) else None
        self.remark = "" if self.only_size is None else one_size(self.only_size)

    def features(self, x: Tensor) -> Tensor:
        """The last feature map `(B, D, h, w)` of normalised pixels `(B, 3, H, W)`."""
        x = fitted(x, self.stride) if self.only_size is None else resized(x, self.only_size)
        features = self.visual.trunk.forward_features(x)
        return features.permute(0, 3, 1, 2) if channels_last(self.visual) else features

    def forward(self, x: Tensor, *, readout: Readout = "plain", positions: Interpolation = "bilinear") -> Tokens:
        """CLS and dense tokens of normalised pixels `(B, 3, H, W)` in one pass.

        readout: no attention follows the feature map that could be left out, so both are the same here. positions: a
        trunk has no table of them beside its own.
        """
        features = self.features(x)
        b, _, h, w = features.shape
        single = features.permute(0, 2, 3, 1).flatten(0, 2)[:, :, None, None]  # (B*h*w, D, 1, 1)
        dense = projected(self.visual, single).unflatten(0, (b, h, w))  # (B, h, w, d)
        return Tokens(projected(self.visual, features), dense.permute(0, 3, 1, 2))


def projected(visual: Any, features: Tensor) -> Tensor:
    """Feature maps `(B, D, h, w)` pooled and projected by trunk and head: `(B, d)`."""
    features = features.permute(0, 2, 3, 1) if channels_last(visual) else features
    return visual.head(visual.trunk.forward_head(features))


def channels_last(visual: Any) -> bool:
    """Whether the trunk's feature map is `(B, h, w, D)`."""
    return getattr(visual.trunk, "output_fmt", "NCHW") == "NHWC"


def trunk_refusal(visual: Any) -> str | None:
    """Why a tower gives no dense tokens as a trunk, or None where it does."""
    trunk, kind = visual.trunk, type(visual.trunk).__name__
    pool = getattr(getattr(trunk, "head", None), "global_pool", None) or getattr(trunk, "global_pool", None)
    average = isinstance(pool, nn.Module) and getattr(pool, "pool_type", None) in AVERAGES
    if not average or not hasattr(trunk, "forward_head") or not getattr(trunk, "feature_info", None):
        return f"dense tokens need a trunk that averages a feature map; the {kind} of this model pools otherwise"
    normed = isinstance(getattr(getattr(trunk, "head", None), "norm", None), nn.Module)
    bent = not isinstance(getattr(getattr(trunk, "head", None), "pre_logits", None), nn.Identity | None)
    if not has_linear_head(visual) and (bent or not normed or not _straight(visual.head)):
        return f"the {kind} of this model has a head that is not linear, which was trained on pooled features alone"
    return None


def has_linear_head(visual: Any) -> bool:
    """Whether only linear (or affine) layers follow the pooling, by trying."""
    visual.eval()  # it is frozen; dropout would be no affine layer
    weight = next(visual.parameters())
    draws = torch.randn(3, visual.trunk.num_features, 1, 1, generator=torch.Generator().manual_seed(0)).to(weight)
    a, b, c = draws[:, None]
    with torch.no_grad():
        together, apart = projected(visual, a + b - c), [projected(visual, x) for x in (a, b, c)]
        off = together - (apart[0] + apart[1] - apart[2])
        return bool(off.norm() <= 1e-3 * together.norm())


def _straight(head: nn.Module) -> bool:
    return all(isinstance(layer, nn.Linear | nn.Dropout | nn.Identity) for layer in head.children())
