"""How the released ZegCLIP and its followers name their tensors, and which of them their code never reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
