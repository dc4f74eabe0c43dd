"""Cascade-CLIP and its ablations as the harness knows them. No torch here."""

from __future__ import annotations

from typing import Any, Final

from methods.method_entry import RIVALS, MethodEntry, MethodRecipe, RecipeKind, borrowed
from methods.zegclip.zegclip_entries import IDLE, LONG, NOT_DRAWN, RANGES, RELEASED, SHAPES, TINY_CONFIG, averaging

# Released configs: ZegCLIP's training and crops everywhere, Context for 40,000 iterations; 35 prompts there, 50 on
# COCO-Stuff. Nobody published a training on COCO-20i: COCO-Stuff's is used. The recipes of ours are ZegCLIP's as they
# stand there: nothing was tuned for Cascade-CLIP.
_COCO: Final[dict[str, Any]] = {"training": {**RELEASED, "iterations": 80_000}, "config": {"prompt_tokens": 50}}
RECIPES: Final[dict[RecipeKind, MethodRecipe]] = {
    "voc": MethodRecipe("paper", RELEASED),
    "context": MethodRecipe("paper", {**RELEASED, "iterations": 40_000}, {"prompt_tokens": 35}),
    "coco-stuff": MethodRecipe("paper", **_COCO),
    "coco-20i": MethodRecipe("cascade-clip's", **_COCO),
    "trial": MethodRecipe("trial", {**RELEASED, "iterations": 100, "warmup_iterations": 10}, TINY_CONFIG),
    "shapes": MethodRecipe("shapes", SHAPES, TINY_CONFIG),
    "long": MethodRecipe("long", LONG, TINY_CONFIG),
}
_NOT_DRAWN: Final = {
    **NOT_DRAWN,
    **dict.fromkeys(("aggregation", "decoders", "projections"), "an author's"),
    "stage_blocks": "an author's; fewer where CLIP has fewer blocks",
    "encoder_lr_scale": "of an encoder that is fine-tuned: there is none",
}


def _entry(title: str, fidelity: str, **fields: Any) -> MethodEntry:
    return MethodEntry(
        title=title,
        config="methods.cascade_clip.cascade_clip_config:CascadeClipConfig",
        builder="methods.cascade_clip.cascade_clip:build",
        fidelity=fidelity,
        needs="blocks",
        averaging=averaging,
        ranges=RANGES,
        not_drawn=_NOT_DRAWN,
        idle=IDLE,
        **fields,
    )


def _ablation(title: str, **fixed: str) -> MethodEntry:
    return _entry(
        title,
        "Cascade-CLIP with a switch of ours: the paper's ablations could not be read",
        fixed=fixed,
        group="ablation:cascade-clip",
        recipes=borrowed(RECIPES, "cascade-clip"),
    )


ENTRIES: Final[dict[str, MethodEntry]] = {
    "cascade-clip": _entry(
        "Cascade-CLIP: ZegCLIP with a decoder for each of three groups of blocks",
        "exact: equal to recorded values of the released code (its licences contradict one another, MIT and "
        "CC BY-NC 4.0: written from a description); with fewer than 7 blocks, fewer in each stage (ours)",
        group=RIVALS,
        recipes=RECIPES,
        published_as=("Cascade-CLIP",),
        published_clip="ViT-B-16/openai",
    ),
    "cascade-clip-without-nga": _ablation("Cascade-CLIP with each stage's last block alone", aggregation="last"),
    "cascade-clip-equal-weights": _ablation("Cascade-CLIP, stages' weights beginning equal", aggregation="equal"),
    "cascade-clip-shared-decoder": _ablation("Cascade-CLIP with one decoder for all stages", decoders="shared"),
    "cascade-clip-clip-projection": _ablation("Cascade-CLIP, stages by CLIP's own projection", projections="clip"),
}
