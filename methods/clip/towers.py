"""Which tower an open_clip image model is: what methods need of it is a CLS token and dense tokens in text space."""

from __future__ import annotations

from typing import Any, Protocol

from open_clip.modified_resnet import ModifiedResNet  # type: ignore[import-untyped]
from open_clip.timm_model import TimmModel  # type: ignore[import-untyped]
from torch import Tensor

from methods.clip.resnet import ResNetTower
from methods.clip.token_tower import TokenTower, token_refusal
from methods.clip.trunk import TrunkTower, trunk_refusal
from methods.clip.vit import Readout, Tokens, VitTower, vit_refusal
from methods.interpolations import Interpolation


class Tower(Protocol):
    """What every tower does."""

    embed_dim: int  # d, the width of the text space
    remark: str  # what a reader of its numbers must know; empty where there is nothing

    def __call__(self, x: Tensor, *, readout: Readout = "plain", positions: Interpolation = "bilinear") -> Tokens:
        """CLS `(B, d)` and dense tokens `(B, d, h, w)` of normalised pixels `(B, 3, H, W)`, not normalised."""
        ...


def tower_of(visual: Any, *, embed_dim: int) -> VitTower | ResNetTower | TrunkTower | TokenTower | str:
    """The tower of an image model, or the reason why it has no dense tokens."""
    if isinstance(visual, ModifiedResNet):
        return ResNetTower(visual)
    if isinstance(visual, TimmModel):
        if hasattr(visual.trunk, "blocks") and hasattr(visual.trunk, "num_prefix_tokens"):  # a transformer
            return token_refusal(visual) or TokenTower(visual, embed_dim=embed_dim)
        return trunk_refusal(visual) or TrunkTower(visual, embed_dim=embed_dim)
    return vit_refusal(visual) or VitTower(visual)
