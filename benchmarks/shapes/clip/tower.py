"""The tiny CLIP through open_clip's own factory, and one image pass at any size that gives CLS and dense tokens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from torch import Tensor

from benchmarks.shapes.captions import TEMPLATES

MODEL: Final = "tiny-shapes"  # open_clip names a model after its configuration file
CONFIG: Final = Path(__file__).parent / f"{MODEL}.json"
WEIGHTS: Final = Path(__file__).parent / "weights.safetensors"
CARD: Final = Path(__file__).parent / "weights.json"


def create(pretrained: Path | None = WEIGHTS) -> CLIP:
    """The tiny CLIP in float32 on the CPU, in evaluation mode; None gives fresh weights from torch's global seed."""
    open_clip.add_model_config(CONFIG)
    model = open_clip.create_model(MODEL, pretrained=None if pretrained is None else str(pretrained), precision="fp32")
    return model.eval()


def _positions(table: Tensor, rows: int, columns: int) -> Tensor:
    """The position table for another grid, as open_clip's `resize_pos_embed` does it: bicubic with antialiasing."""
    side = round((table.shape[0] - 1) ** 0.5)
    if (rows, columns) == (side, side):
        return table
    grid = table[1:].T.reshape(1, -1, side, side)
    grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([table[:1], grid.flatten(2)[0].T])


def encode_images(model: CLIP, images: Tensor) -> tuple[Tensor, Tensor]:
    """CLS and dense tokens, both after `ln_post` and projection ("plain" tokens), not normalised.

    `images` is (B, H, W, 3) uint8 RGB with H and W multiples of the patch size (8), else ValueError. They are
    scaled to [0, 1] and normalised by the model's own mean and std (open_clip's default, OpenAI's). Returns (B, D) and
    (B, H/8, W/8, D).
    """
    visual = model.visual
    patch = visual.patch_size[0]
    if images.ndim != 4 or images.shape[1] % patch or images.shape[2] % patch:
        raise ValueError(
            f"images of shape {tuple(images.shape)}; expected (B, H, W, 3), H and W multiples of {patch}: pad or crop"
        )
    mean, std = (torch.tensor(v).view(3, 1, 1) * 255 for v in (visual.image_mean, visual.image_std))
    x = visual.conv1((images.permute(0, 3, 1, 2).float() - mean) / std)  # (B, width, h, w)
    rows, columns = x.shape[2:]
    x = torch.cat(
        [visual.class_embedding.expand(len(x), 1, -1), x.flatten(2).transpose(1, 2)], dim=1
    )  # (B, 1 + hw, width)
    x = visual.ln_pre(x + _positions(visual.positional_embedding, rows, columns))
    x = visual.ln_post(visual.transformer(x)) @ visual.proj  # (B, 1 + hw, D)
    return x[:, 0], x[:, 1:].unflatten(1, (rows, columns))


def encode_texts(model: CLIP, texts: Sequence[str]) -> Tensor:
    """Unit-norm text features, (len(texts), D)."""
    tokens = open_clip.get_tokenizer(MODEL)(list(texts))
    return model.encode_text(tokens, normalize=True)


def prototypes(model: CLIP, names: Sequence[str]) -> Tensor:
    """One unit-norm text feature for each name, the mean over `TEMPLATES`, (len(names), D)."""
    features = encode_texts(model, [template.format(name) for name in names for template in TEMPLATES])
    return F.normalize(features.unflatten(0, (len(names), len(TEMPLATES))).mean(dim=1), dim=-1)
