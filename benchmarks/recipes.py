"""How each method is trained on each benchmark: data with its sources, chosen by name. No torch here.

"paper" recipes are the authors' (sources beside each). "shapes" recipes are ours, tuned on the tune part of the
built-in world; "trial" recipes are ours and only show that a photo set is wired right.
"""

from __future__ import annotations

from typing import Any

from benchmarks.spec import Recipe
from benchmarks.training.augmentation import PHOTOS, Augmentation

# the papers' pipeline at the size of the built-in CLIP
TRIAL_AUGMENTATION = PHOTOS.model_copy(update={"crop": 96, "resize": (384, 96)})
SHAPES_AUGMENTATION = Augmentation()  # scenes as they are


IMPORTED = "imported"
PAPER = "paper"
NOTHING = "none"  # the recipe of methods that train nothing

# zegclip.md section 4: AdamW, effective rate 2e-4 and decay 0.01 on everything, poly 0.9 to 1e-6, warm-up 1,500
ZEGCLIP_VOC = Recipe(
    name="paper",
    iterations=20_000,
    batch=16,
    augmentation=PHOTOS,
    lr=2e-4,
    weight_decay=0.01,
    poly_power=0.9,
    min_lr=1e-6,
    warmup_iterations=1_500,
)
# Released ZegCLIP, configs/coco: the same for 80,000 iterations, with 100 prompts. Context is in none of its configs:
# its followers (Cascade-CLIP, OTSeg) train 40,000. Nobody published a generalised training on COCO-20i: COCO-Stuff's
# is used.
ZEGCLIP_COCO = ZEGCLIP_VOC.model_copy(update={"iterations": 80_000})
ZEGCLIP_CONTEXT = ZEGCLIP_VOC.model_copy(update={"name": "followers'", "iterations": 40_000})
ZEGCLIP_COCO_CONFIG: dict[str, Any] = {"prompt_tokens": 100}
ZEGCLIP_TRIAL = ZEGCLIP_VOC.model_copy(
    update={"name": "trial", "iterations": 100, "augmentation": TRIAL_AUGMENTATION, "warmup_iterations": 10}
)
# Chosen on the tune part (folds 0 and 2, seed 100, zegclip's hIoU) among rates 5e-4, 1e-3, 2e-3, 4e-3 and 150, 300, 600
# iterations; its baseline and ablations are trained alike.
ZEGCLIP_SHAPES = Recipe(
    name="shapes",
    iterations=300,
    batch=16,
    augmentation=SHAPES_AUGMENTATION,
    lr=2e-3,
    weight_decay=0.01,
    poly_power=0.9,
    min_lr=1e-6,
    warmup_iterations=20,
)
# At width 64 the released scaling collapses: tokens are scaled by sqrt(d), ignored pixels left out of the loss. Heads
# as wide as those of the tower (32), and half the released shift, did better than the defaults on the tune part.
SHAPES_CONFIG: dict[str, Any] = {
    "token_scale": "sqrt-width",
    "ignored": "left-out",
    "decoder_heads": 2,
    "seen_shift": 0.05,
}

# CLIP-to-Seg (ICLR 2025 submission, page 7): AdamW, batch 16, crop 512, 20k iterations on VOC, 40k on Context, 80k
# on COCO-Stuff, "default schedule of MMSeg". Read as that of its SegNeXt and SegFormer configs: 6e-5, decay 0.01, a
# warm-up of 1,500 from 1e-6 of the rate, then linear to 0, the head's rate times 10 (groups of the body).
DISTILLATION_VOC = Recipe(
    name="paper",
    iterations=20_000,
    batch=16,
    augmentation=PHOTOS,
    lr=6e-5,
    weight_decay=0.01,
    poly_power=1.0,
    warmup_iterations=1_500,
    decay="after-warmup",
)
DISTILLATION_TRIAL = DISTILLATION_VOC.model_copy(
    update={
        "name": "trial",
        "iterations": 100,
        "augmentation": TRIAL_AUGMENTATION,
        "warmup_iterations": 10,
    }
)
# the built-in CLIP's read-out and size
DISTILLATION_TRIAL_CONFIG: dict[str, Any] = {
    "readout": "plain",
    "teacher_side": 96,
    "local_side": 96,
    "decoder_heads": 2,
}
# Ours, chosen on half of the tune part (fold 0, one seed, about a dozen short runs), the mining on training scenes. The
# objects are a tenth of a scene and all else is unlabelled: with latent classes and NEL at the weights as printed seen
# mIoU stayed between 5 and 13, with the cross-entropy alone it is 58. Which of the two does it was not taken apart.
DISTILLATION_SHAPES = ZEGCLIP_SHAPES  # length and rate were not tuned apart
DISTILLATION_SHAPES_CONFIG: dict[str, Any] = {
    "body": "small",
    "readout": "plain",
    "teacher_side": 64,
    "local_side": 48,
    "local_fill": (225, 225, 225),  # on black the built-in CLIP, which knows light grounds, names 4 % of the objects
    "local_reduction": "mean",
    "global_weight": 0.3,
    "local_weight": 0.3,
    "seen_weight": 0.3,
    "focal_weight": 0.3,
    "dice_weight": 0.3,
    "latent_pixel_weight": 0.02,
    "decoder_heads": 2,
    "decoder_lr_scale": 1.0,
    "cell_unlabelled": 1.0,  # at 8 x 8, half of a cell on an object's edge is the seen object
    "merge_above": 0.8,
    "smallest": 1 / 32,
    "most_latent": 3,
}

CHIMERA_TRIAL_CONFIG: dict[str, Any] = {"alignment_heads": 2}
# Ours, chosen on half of the tune part (fold 0, one seed a setting, about ten runs). Two things decide whether a body
# from scratch learns through frozen blocks in 300 iterations: tokens that enter as CLIP's own would (`entry`; on the
# same fixed features of a body cross-entropy was 0.8 after 150 iterations, through `ln_pre` 1.4), and distillation that
# does not come first (at weight 5 from the start cross-entropy was still at chance after 75 iterations; weight 3 with
# two blocks, grown over the whole training, was no better on unseen classes than 1 with one block, and slower on seen
# ones). Focal and dice as for CLIP-to-Seg. The token grid is CLIP's own for 64 pixels.
CHIMERA_SHAPES_CONFIG: dict[str, Any] = {
    "body": "small",
    "body_channels": 96,
    "most_tokens": 8,
    "last_share": 0.2,
    "candidates": "bank+batch",
    "sgd_warmup": 0.5,
    "alignment_heads": 2,
    "head_lr_scale": 1.0,
    "focal_weight": 0.3,
    "dice_weight": 0.3,
}


def recipe_for(method: str, benchmark: str, scale: str, *, trained: bool = True) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and the config values it sets, for a method on a benchmark at a scale."""
    augmentation, kind = _setting(benchmark, scale)
    if method == "constant":
        return _untrained(augmentation, 100), {}  # it counts labels over this many batches
    if method in ("random", "clip") or not trained:
        # plain tokens are the built-in CLIP's better read-out, the value path is that of OpenAI's
        return _untrained(augmentation, 0), {} if kind == "paper" else {"readout": "plain"}
    if method.startswith(("clip-to-seg", "clipteacher", "chimera-seg")):
        return _student(method, benchmark, kind)
    if kind == "paper":
        published, config = _zegclip(benchmark)
        # nobody published how its baselines and ablations were trained
        return published if method == "zegclip" else published.model_copy(update={"name": "zegclip's"}), config
    return {"trial": ZEGCLIP_TRIAL, "shapes": ZEGCLIP_SHAPES}[kind], dict(SHAPES_CONFIG)


def _zegclip(benchmark: str) -> tuple[Recipe, dict[str, Any]]:
    """ZegCLIP's recipe and config for photos at the papers' size; named "paper" where its authors published it."""
    if benchmark.startswith("coco-stuff"):
        return ZEGCLIP_COCO, dict(ZEGCLIP_COCO_CONFIG)
    if benchmark.startswith("coco-20i"):
        return ZEGCLIP_COCO.model_copy(update={"name": "zegclip's"}), dict(ZEGCLIP_COCO_CONFIG)
    return (ZEGCLIP_CONTEXT if benchmark.startswith("context") else ZEGCLIP_VOC), {}


def _student(method: str, benchmark: str, kind: str) -> tuple[Recipe, dict[str, Any]]:
    """Recipe and config of the methods that train a segmentation body: CLIP-to-Seg's, all of them its authors'."""
    chimera = method.startswith("chimera-seg")
    if kind == "paper":
        # how the other methods and all ablations were trained is not public, nor is anything on COCO-20i
        own = method == "clip-to-seg" and not benchmark.startswith("coco-20i")
        longer = 4 if benchmark.startswith("coco") else 2 if benchmark.startswith("context") else 1
        changes = {"name": "paper" if own else "clip-to-seg's", "iterations": longer * DISTILLATION_VOC.iterations}
        return DISTILLATION_VOC.model_copy(update=changes), {}
    if kind == "trial":  # CLIP's own size; the body stays the photos'
        return DISTILLATION_TRIAL, dict(CHIMERA_TRIAL_CONFIG if chimera else DISTILLATION_TRIAL_CONFIG)
    return DISTILLATION_SHAPES, dict(CHIMERA_SHAPES_CONFIG if chimera else DISTILLATION_SHAPES_CONFIG)


def imported(recipe: Recipe) -> Recipe:
    """The recipe of weights that were trained elsewhere: nothing is trained here, how they were is not known."""
    return Recipe(name=IMPORTED, iterations=0, batch=recipe.batch, augmentation=Augmentation(), lr=recipe.lr)


def _setting(benchmark: str, scale: str) -> tuple[Augmentation, str]:
    if benchmark == "shapes-5i":
        return SHAPES_AUGMENTATION, "shapes"
    return (PHOTOS, "paper") if scale == "native" else (TRIAL_AUGMENTATION, "trial")


def _untrained(augmentation: Augmentation, iterations: int) -> Recipe:
    return Recipe(name=NOTHING, iterations=iterations, batch=16, augmentation=augmentation, lr=1e-4)
