"""OTSeg, OTSeg+ and their ablations as the harness knows them. No torch here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from methods.loss_averaging import Averaging
from methods.method_entry import RIVALS, MethodEntry, MethodRecipe, RecipeKind, borrowed
from methods.ranges import Around
from methods.zegclip import zegclip_entries as zegclip

if TYPE_CHECKING:
    from methods.otseg.otseg_config import OtSegConfig

# Released configs: ZegCLIP's training; Context for 40,000 iterations on crops of 480 from a short side of 520. Eight
# texts a class but on VOC, in float32 on COCO-Stuff. Nobody published a training on COCO-20i: COCO-Stuff's is used. The
# recipes of ours are ZegCLIP's with the texts that the built-in CLIP knows: nothing was tuned for OTSeg.
_CROPS_480: Final = {
    "resize": [520, 520],
    "resize_ratio": [0.5, 2.0],
    "crop": 480,
    "cat_max_ratio": 0.75,
    "flip": 0.5,
    "photometric": True,
}
_COCO: Final[dict[str, Any]] = {
    "training": {**zegclip.RELEASED, "iterations": 80_000},
    "config": {"prompt_tokens": 100, "text_prompts": 8, "text_dtype": "float32"},
}
_TINY: Final = {name: value for name, value in zegclip.TINY_CONFIG.items() if name != "decoder_heads"}
RECIPES: Final[dict[RecipeKind, MethodRecipe]] = {
    "voc": MethodRecipe("paper", zegclip.RELEASED),
    "context": MethodRecipe(
        "paper", {**zegclip.RELEASED, "iterations": 40_000, "augmentation": _CROPS_480}, {"text_prompts": 8}
    ),
    "coco-stuff": MethodRecipe("paper", **_COCO),
    "coco-20i": MethodRecipe("otseg's", **_COCO),
    "trial": replace(zegclip.RECIPES["trial"], config={**_TINY, "texts": "protocol"}),
    "shapes": replace(zegclip.RECIPES["shapes"], config={**_TINY, "texts": "protocol"}),
    "long": replace(zegclip.RECIPES["long"], config={**_TINY, "texts": "protocol"}),
}
_NOT_DRAWN: Final = {
    **zegclip.NOT_DRAWN,
    **dict.fromkeys(("texts", "text_prompts", "scored", "first_map", "decoder_map", "decoder_heads"), "an author's"),
    "encoder_lr_scale": "of an encoder that is fine-tuned: there is none",
}


def _averaging(config: OtSegConfig) -> Averaging:
    both = zegclip.averaging(config)
    over = {**both.over, **{f"first_{name}": what for name, what in both.over.items()}}
    return Averaging(over=over, apart=(*both.apart, "when the iterations of its transport plans stop"))


def _entry(title: str, fidelity: str, **fields: Any) -> MethodEntry:
    return MethodEntry(
        title=title,
        config="methods.otseg.otseg_config:OtSegConfig",
        builder="methods.otseg.otseg:build",
        fidelity=fidelity,
        needs="blocks",
        averaging=_averaging,
        ranges={"seen_shift": Around(2, published=True)},
        not_drawn=_NOT_DRAWN,
        idle=zegclip.IDLE,
        **fields,
    )


def _exact(title: str, published: str, scored: str, **fields: Any) -> MethodEntry:
    return _entry(
        title,
        "exact: equal to recorded values of the released code (which has no licence: written from a description); each "
        "class is asked for by sentences of its own, not the protocol's",
        fixed={} if scored == "decoder" else {"scored": scored},  # the default makes no variant
        group=RIVALS,
        recipes=RECIPES,
        published_as=(published,),
        published_clip="ViT-B-16/openai",
        **fields,
    )


def _ablation(title: str, **fixed: Any) -> MethodEntry:
    return _entry(
        title,
        "OTSeg with a switch of ours: the paper's ablations could not be read",
        fixed=fixed,
        group="ablation:otseg",
        recipes=borrowed(RECIPES, "otseg"),
    )


ENTRIES: Final[dict[str, MethodEntry]] = {
    "otseg": _exact("OTSeg: several texts a class, optimal transport as attention", "OTSeg", "decoder"),
    "otseg+": _exact("OTSeg+: OTSeg, scored by the mean of both its maps", "OTSeg+", "mean", trained_as="otseg"),
    "otseg-without-mps": _ablation("OTSeg without its first map and the losses of it", first_map=False),
    "otseg-last-map": _ablation("OTSeg, the decoder's last map without the product", decoder_map="last"),
    "otseg-one-text": _ablation("OTSeg with one text a class", text_prompts=1),
}
