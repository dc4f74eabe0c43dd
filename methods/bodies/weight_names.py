"""How files of ImageNet weights name the tensors of a backbone: mmsegmentation's names and timm's.

timm has no MSCAN (SegNeXt) and no MiT (SegFormer); their files come from mmsegmentation alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor

State = dict[str, Tensor]
Rules = tuple[tuple[str, str], ...]  # (pattern, replacement), applied one after the other

CLASSIFIERS = r"(head|fc)\."  # of ImageNet's 1,000 classes, with whatever stands in a `head` before it

VIT: Rules = (
    (r"^patch_embed\.proj\.", "patch_embed.projection."),
    (r"^blocks\.", "layers."),
    (r"\.norm([12])\.", r".ln\1."),
    (r"\.attn\.qkv\.", ".attn.attn.in_proj_"),
    (r"\.attn\.proj\.", ".attn.attn.out_proj."),
    (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
    (r"\.mlp\.fc2\.", ".ffn.layers.1."),
)
SWIN: Rules = (
    (r"^patch_embed\.proj\.", "patch_embed.projection."),
    (r"^layers\.", "stages."),
    (r"\.attn\.", ".attn.w_msa."),
    (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
    (r"\.mlp\.fc2\.", ".ffn.layers.1."),
)
RESNET_STEM: Rules = (  # a stem of three convolutions: timm's resnet50c
    (r"^conv1\.([0134])\.", r"stem.\1."),
    (r"^conv1\.6\.", "stem.6."),
    (r"^bn1\.", "stem.7."),
)


def in_our_names(kind: str, state: State, backbone: Any) -> State:
    """A file's tensors under the names of mmsegmentation's class `kind`, without what only a classifier needs."""
    state = {name: value for name, value in state.items() if not re.match(CLASSIFIERS, name)}
    return CONVERTERS.get(kind, _unchanged)(state, backbone)


def may_lack(kind: str, name: str) -> bool:
    """Whether published files lack this tensor: counters of BatchNorm; Swin's output norms, and computed indices."""
    if name.endswith("num_batches_tracked"):
        return True
    return kind == "SwinTransformer" and re.match(r"norm\d\.|.*relative_position_index$", name) is not None


def _unchanged(state: State, backbone: Any) -> State:
    return state


def _resnet(state: State, backbone: Any) -> State:
    return _renamed(state, RESNET_STEM) if "bn1.weight" in state and "conv1.0.weight" in state else state


def _vit(state: State, backbone: Any) -> State:
    """timm's names if it has them; positions of another grid are resized as mmsegmentation does."""
    if "blocks.0.norm1.weight" in state:
        state = _renamed(state, VIT)
    state = {name: value for name, value in state.items() if not re.match(r"(norm|ln1)\.", name)}  # the final norm
    table = state.get("pos_embed")
    if table is not None and table.ndim == 3 and table.shape != backbone.pos_embed.shape:
        side = round((table.shape[1] - 1) ** 0.5)
        if side * side == table.shape[1] - 1:
            grid = tuple(length // backbone.patch_size for length in backbone.img_size)
            mode = backbone.interpolate_mode
            state = state | {"pos_embed": backbone.resize_pos_embed(table.float(), grid, (side, side), mode)}
    return state


def _swin(state: State, backbone: Any) -> State:
    """timm's names, and the authors', whose merging layers stand one stage earlier than timm's."""
    if "layers.0.blocks.0.norm1.weight" not in state:
        return state
    merging = r"^layers\.(\d+)\.downsample\."
    later = not any(name.startswith("layers.0.downsample.") for name in state)
    out = {}
    for name, value in state.items():
        found = re.match(merging, name)
        if found:
            stage = int(found[1]) - (1 if later else 0)
            name, value = f"layers.{stage}.downsample.{name[found.end() :]}", _in_unfold_order(value)
        elif name.startswith("norm.") or name.endswith("attn_mask"):
            continue  # the final norm; masks are computed
        out[name] = value
    return _renamed(out, SWIN)


def _in_unfold_order(value: Tensor) -> Tensor:
    """`(..., 4*C)`, four neighbours' channels one after the other, to the order of `nn.Unfold`, channel by channel.

    Neighbours come column by column in the files, row by row from `nn.Unfold`.
    """
    neighbours = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return neighbours.transpose(-1, -2).flatten(-2)


def _renamed(state: State, rules: Rules) -> State:
    out = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        out[name] = value
    return out


CONVERTERS: dict[str, Callable[[State, Any], State]] = {
    "ResNetV1c": _resnet,
    "VisionTransformer": _vit,
    "SwinTransformer": _swin,
}
