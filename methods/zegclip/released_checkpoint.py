"""Checkpoints of the released ZegCLIP and its followers: their parameter names mapped to ours; published counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from methods.clip import Clip
from methods.downloads import first_line

UNUSED = r"decode_head\.loss_decode\.criterion\.empty_weight"  # in a released checkpoint, never read by it
UNUSED_IN_LAYER = r"(self_attn|norm1)\..+"
UNUSED_IN_LAST = r"(multihead_attn\.(v|proj)|linear[12]|norm[23])\..+"
PARTS = {  # of a decoder layer: theirs, ours
    "multihead_attn.q": "attention.q",
    "multihead_attn.k": "attention.k",
    "multihead_attn.v": "v",
    "multihead_attn.proj": "out",
    "norm2": "norm_attention",
    "linear1": "expand",
    "linear2": "contract",
    "norm3": "norm_feed",
}


ENCODER = {  # ours, theirs
    "encoder.first": "backbone.prompt_embeddings",
    "encoder.deep": "backbone.deep_prompt_embeddings",
    "encoder.proj.": "backbone.prompt_proj.",
    "encoder.norm.": "backbone.prompt_norm.",
    "encoder.vit.visual.": "backbone.",
}


@dataclass(frozen=True)
class Names:
    """How one released code calls what of our tensors is not the encoder's."""

    head: Mapping[str, str]  # beginnings of names: ours, theirs
    decoders: Mapping[str, str]  # mask decoders: ours, theirs

    def unused(self, layers: int) -> list[str]:
        """Patterns of what a checkpoint holds and the released code never reads."""
        theirs = [re.escape(f"{name}.layers.") for name in self.decoders.values()]
        every = [rf"{name}\d+\.{UNUSED_IN_LAYER}" for name in theirs]
        return [UNUSED, *every, *(rf"{name}{layers - 1}\.{UNUSED_IN_LAST}" for name in theirs)]


ZEGCLIP = Names(head={"head.query.": "decode_head.q_proj."}, decoders={"head.decoder": "decode_head.decoder_1"})


def released_name(name: str, decoder_layers: int, names: Names = ZEGCLIP) -> str:
    """The released code's name of one of our trained tensors (or of a frozen one of the image tower).

    >>> released_name("head.decoder.last.q.weight", 3)
    'decode_head.decoder_1.layers.2.multihead_attn.q.weight'
    """
    last = f"layers.{decoder_layers - 1}.multihead_attn."
    lasts = {f"{ours}.last.": f"{theirs}.{last}" for ours, theirs in names.decoders.items()}
    for ours, theirs in (ENCODER | dict(names.head) | lasts).items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    layer = re.fullmatch(r"(.+)\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
    parts = {ours: theirs for theirs, ours in PARTS.items()}
    if layer is None or layer[1] not in names.decoders or layer[3] not in parts:
        raise ValueError(f"the released code has no counterpart of {name!r}")
    return f"{names.decoders[layer[1]]}.layers.{layer[2]}.{parts[layer[3]]}.{layer[4]}"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` file, with or without its `state_dict` wrapper, by their released names.

    No pickled code is run. Raises FileNotFoundError or ValueError with one line.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no checkpoint {path}") from error
    except Exception as error:  # torch's reader raises whatever the bytes of a broken file lead it to
        raise ValueError(
            f"{path} is no checkpoint that can be read without running code: {first_line(error)}"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path} holds no state_dict of tensors")
    return {name.removeprefix("module."): value for name, value in state.items()}


def trained_part(
    state: dict[str, Tensor],
    ours: dict[str, Tensor],
    *,
    clip: Clip,
    decoder_layers: int,
    source: str,
    names: Names = ZEGCLIP,
) -> dict[str, Tensor]:
    """What of a released state ZegCLIP, or a follower with these names, trains, under our names.

    ours: the method's `trained_state()`. Frozen tensors must be those of `clip`. Tensors that the released code never
    uses are dropped. Raises ValueError that names every missing, extra, misshapen or differing tensor.
    """
    theirs = {released_name(name, decoder_layers, names): name for name in ours}
    missing = sorted(theirs.keys() - state.keys())
    misshapen, extra, differing = [], [], []
    frozen = _frozen(clip)
    unused = names.unused(decoder_layers)
    for name, value in state.items():
        expected = ours[theirs[name]] if name in theirs else frozen.get(name)
        if expected is None:
            if not any(re.fullmatch(pattern, name) for pattern in unused):
                extra.append(name)
        elif value.shape != expected.shape and name != "backbone.positional_embedding":
            misshapen.append(f"{name} {tuple(value.shape)} instead of {tuple(expected.shape)}")
        elif name not in theirs and not _same(clip, name, value, expected):
            differing.append(name)
    if missing or extra or misshapen or differing:
        raise ValueError(
            f"{source} does not fit: missing {missing}, extra {sorted(extra)}, misshapen {sorted(misshapen)}, "
            f"other values than the CLIP in use {sorted(differing)}"
        )
    return {theirs[name]: value.float() for name, value in state.items() if name in theirs}


def published_parameters(
    *, width: int = 768, embed: int = 512, blocks: int = 12, prompts: int = 10, layers: int = 3, decoders: int = 1
) -> int:
    """Trainable parameters as the released code counts them, unused ones included; defaults are ViT-B/16 on VOC.

    decoders: how many there are, each with a query projection.

    >>> published_parameters(), published_parameters(prompts=100)
    (13821184, 14650624)
    """
    backbone = blocks * prompts * width + (width * width + width) + 2 * width
    attention = 4 * (embed * embed + embed)
    feed = 4 * embed * embed + 4 * embed + 4 * embed * embed + embed
    layer = 2 * attention + feed + 3 * 2 * embed  # self-attention and cross-attention, three norms
    return backbone + decoders * (layers * layer + 2 * embed * embed + embed)


def _frozen(clip: Clip) -> dict[str, Tensor]:
    """The frozen tensors a released checkpoint may hold, by its names: image tower and text tower."""
    visual = clip.vit().visual.state_dict()
    text = {name: value for name, value in clip.model.state_dict().items() if not name.startswith("visual.")}
    return {f"backbone.{n}": v for n, v in visual.items()} | {f"text_encoder.{n}": v for n, v in text.items()}


def _same(clip: Clip, name: str, value: Tensor, expected: Tensor) -> bool:
    """Whether a frozen tensor is that of the CLIP, up to the rounding of half precision.

    The released code stores its position table resized to the crop's grid, which is square.
    """
    if name == "backbone.positional_embedding":
        side = round((len(value) - 1) ** 0.5)
        if value.ndim != 2 or value.shape[1] != expected.shape[1] or side * side != len(value) - 1:
            return False
        expected = clip.vit().position_table(side, side)
    return torch.allclose(value.float(), expected.float().cpu(), rtol=1e-3, atol=1e-5)
