"""Checkpoints of the released ZegCLIP and its followers: what of them is trained here; published counts."""

from __future__ import annotations

import re
from collections.abc import Collection

import torch
from torch import Tensor

from methods.clip import Clip
from methods.weight_file import unprefixed
from methods.weight_fit import Misfit, misshapen
from methods.zegclip.released import ZEGCLIP, Names, released_name

POSITIONS = "backbone.positional_embedding"
TOWERS = ("backbone.", "text_encoder.")
HALF = {torch.bfloat16: 4e-3}  # what frozen tensors may differ by, relatively, where one was rounded; else 1e-3


def is_released(state: Collection[str]) -> bool:
    """Are these names, under whatever prefix, those of a released checkpoint and not of a finished run?

    >>> is_released(["model.decode_head.q_proj.bias"]), is_released(["head.query.bias"])
    (True, False)
    """
    return any(re.search(r"(^|\.)(decode_head|backbone)\.", name) for name in state)


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
    uses are dropped, and prefixes of trainers. Raises ValueError that says how many tensors are missing, extra,
    misshapen or differing, and names the first of each.
    """
    state = unprefixed(state)
    theirs = {released_name(name, decoder_layers, names): name for name in ours}
    frozen, unused = _frozen(clip), names.unused(decoder_layers)
    expected = frozen | {name: ours[mine] for name, mine in theirs.items()}
    wrong = Misfit(
        missing=tuple(sorted(theirs.keys() - state.keys())),
        extra=tuple(sorted(n for n in state.keys() - expected.keys() if not any(re.fullmatch(p, n) for p in unused))),
        misshapen=tuple(sorted(misshapen(expected, {n: v for n, v in state.items() if n != POSITIONS}))),
        differing=tuple(
            sorted(n for n in state.keys() & (frozen.keys() - theirs.keys()) if not _same(clip, n, state[n], frozen[n]))
        ),
    )
    if wrong:
        another = wrong.differing or any(name.startswith(TOWERS) for name in wrong.extra)
        hint = f"; it is likely of another CLIP than {clip.name}: give that by --clip" if another else ""
        raise ValueError(f"{source} does not fit: of its {len(state)} tensors {wrong.words()}{hint}")
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
    if name == POSITIONS:
        side = round((len(value) - 1) ** 0.5) if value.ndim == 2 else 0
        if value.ndim != 2 or value.shape[1] != expected.shape[1] or side * side != len(value) - 1:
            return False
        expected = clip.vit().position_table(side, side)
    if value.shape != expected.shape:
        return False
    return torch.allclose(value.float(), expected.float().cpu(), rtol=HALF.get(value.dtype, 1e-3), atol=1e-5)
