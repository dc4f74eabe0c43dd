"""DINO's vision transformers (Caron et al. 2021, arXiv 2104.14294): frozen features without text, by timm's blocks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from methods.bodies.backbone_weights import load_backbone
from methods.imagenet import IMAGENET_MEAN, IMAGENET_STD
from methods.positions import with_positions


class Size(NamedTuple):
    """One of the published models."""

    patch: int
    width: int
    heads: int
    weights: str


_FILES = "https://dl.fbaipublicfiles.com/dino"
DINO: Final = {
    "dino-s16": Size(16, 384, 6, f"{_FILES}/dino_deitsmall16_pretrain/dino_deitsmall16_pretrain.pth"),
    "dino-s8": Size(8, 384, 6, f"{_FILES}/dino_deitsmall8_pretrain/dino_deitsmall8_pretrain.pth"),
    "dino-b16": Size(16, 768, 12, f"{_FILES}/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth"),
    "dino-b8": Size(8, 768, 12, f"{_FILES}/dino_vitbase8_pretrain/dino_vitbase8_pretrain.pth"),
}


class Dino(nn.Module):
    """Patch tokens after the last block and the final norm.

    Attributes:
      mean, std: what pixels are normalised by, on the scale 0..255: ImageNet's.
      weights_sha256: of the file the weights came from; None where they were drawn.
    """

    known_by_hash = True  # a checkpoint leaves it out: the record names its sha256
    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    def __init__(self, *, patch: int, width: int, heads: int, depth: int = 12, side: int = 224) -> None:
        """side: of the pictures whose grid the position table has."""
        super().__init__()
        self.vit: Any = VisionTransformer(
            img_size=side,
            patch_size=patch,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            qkv_bias=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            num_classes=0,
        )
        self.native_grid = (side // patch, side // patch)
        self.weights_sha256: str | None = None
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Dino:
        """Stays in evaluation mode whatever the method around it does."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, D, h, w)` of normalised pixels `(B, 3, H, W)`; what is no whole patch is left out."""
        vit = self.vit
        patches = vit.patch_embed.proj(x)  # (B, D, h, w)
        tokens = with_positions(patches, vit.cls_token[0, 0], vit.pos_embed[0], self.native_grid)
        for block in vit.blocks:
            tokens = block(tokens)
        return vit.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, patches.shape[-2:])


def build_dino(name: str, *, weights: str | Path) -> Dino:
    """One of the published models, frozen.

    weights: a file, a URL, or "published". Raises ValueError, FileNotFoundError or ConnectionError, each with one line.
    """
    size = DINO[name]
    model = Dino(patch=size.patch, width=size.width, heads=size.heads)
    source = size.weights if weights == "published" else weights
    model.weights_sha256 = load_backbone(model.vit, "DINO", source)
    return model
