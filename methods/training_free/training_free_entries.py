"""The floors and the training-free read-outs of CLIP as the harness knows them. No torch here."""

from __future__ import annotations

from typing import Any, Final, get_args

from methods.method_entry import COMPARISON, NOTHING, MethodEntry, MethodRecipe, OpenKind, RecipeKind
from methods.training_free.scale import SCALE

TRAINING_FREE: Final = "training-free"  # the group of published read-outs: run by this name, or one by one

_FLOOR = "ours"
_UNREFINED = "without its refinements after the scores; text and windows are the harness's"
# It counts labels over this many batches.
_COUNTS: Final[dict[RecipeKind, MethodRecipe]] = dict.fromkeys(
    get_args(RecipeKind), MethodRecipe(NOTHING, {"iterations": 100})
)
# Plain tokens are the built-in CLIP's better read-out, the value path is that of OpenAI's.
_PLAIN: Final[dict[RecipeKind, MethodRecipe]] = dict.fromkeys(
    ("trial", "shapes"), MethodRecipe(NOTHING, config={"readout": "plain"})
)


def _dense_clip(title: str, fidelity: str, **fields: Any) -> MethodEntry:
    return MethodEntry(
        title=title,
        config="methods.training_free.dense_clip_config:ClipConfig",
        builder="methods.training_free.dense_clip:build",
        fidelity=fidelity,
        needs="tokens",
        trained=False,
        cosines=SCALE,
        not_drawn={"readout": "what the CLIP at hand can see", "positions": "a form of the table, no constant"},
        **fields,
    )


def _readout(title: str, fidelity: str, **fixed: Any) -> MethodEntry:
    return MethodEntry(
        title=title,
        config="methods.training_free.attention_readouts_config:ReadoutConfig",
        builder="methods.training_free.attention_readouts:build",
        fidelity=f"{fidelity}, positions bicubic by (n + 0.1) / N as released, {_UNREFINED}",
        needs="blocks",
        fixed=fixed,
        recipes=_recipes(get_args(RecipeKind), positions="bicubic-offset"),
        trained=False,
        group=TRAINING_FREE,
        cosines=SCALE,
        not_drawn=dict.fromkeys(("attention", "residual", "spread", "positions"), "an author's"),
    )


def _per_picture(title: str, module: str, config: str, licence: str, *, ours: str, **fields: Any) -> MethodEntry:
    return MethodEntry(
        title=f"training-free: {title}",
        config=f"methods.training_free.{module}_config:{config}",
        builder=f"methods.training_free.{module}:build",
        fidelity=f"exact: tokens equal to recorded values of the released code ({licence}: written from a "
        f"description), {_UNREFINED}; {ours}",
        needs="blocks",
        trained=False,
        group=TRAINING_FREE,
        cosines=SCALE,
        **fields,
    )


def _recipes(kinds: tuple[RecipeKind, ...], **config: Any) -> dict[RecipeKind, MethodRecipe]:
    return dict.fromkeys(kinds, MethodRecipe(NOTHING, config=config))


# Photos that nothing is trained on, at the sizes of open-vocabulary protocols.
_OPEN: Final[tuple[OpenKind, ...]] = get_args(OpenKind)
# The released body, on photos at the papers' size. No DINO knows the pictures of the built-in CLIP.
_PROXY: Final = {
    **_recipes(("voc", "context", "coco-stuff", "coco-20i", *_OPEN), body="dino-b8", body_weights="published"),
    **_recipes(("trial", "shapes"), pad_to=8),
}
# Of the open-vocabulary sets as released: weak pixels are given to the first name, too.
_RESCLIP_OPEN: Final[dict[RecipeKind, tuple[float, float, float, float]]] = {
    "voc21": (0.5, 0.3, 2.2, 0.7),
    "voc20": (0.1, 0.6, 2.1, 0.6),
    "context60": (0.3, 0.3, 1.8, 0.7),
    "context59": (0.25, 0.4, 1.8, 0.7),
    "coco-object": (0.11, 0.4, 1.8, 0.7),
    "coco-stuff-171": (0.11, 0.4, 1.8, 0.7),
    "ade20k": (0.25, 0.3, 2.1, 0.7),
    "cityscapes": (0.1, 0.2, 2.1, 0.6),
}
_TUNED: Final = ("weak_below", "middle_share", "feedback_scale", "feedback_share")
# Released for each data set (VOC's are the defaults, and taken for the built-in world too).
_RESCLIP: Final = {
    **_recipes(("context",), weak_below=0.25, middle_share=0.4, feedback_scale=1.8, feedback_share=0.7),
    **_recipes(("coco-stuff", "coco-20i"), weak_below=0.11, middle_share=0.4, feedback_scale=1.8, feedback_share=0.7),
    **{
        kind: MethodRecipe(NOTHING, config={"weak_class": "first", **dict(zip(_TUNED, values, strict=True))})
        for kind, values in _RESCLIP_OPEN.items()
    },
}
FLOORS: Final[dict[str, MethodEntry]] = {
    "constant": MethodEntry(
        title="always the seen class with the most labelled pixels",
        config="methods.training_free.floors_config:ConstantConfig",
        builder="methods.training_free.floors:build_constant",
        fidelity=_FLOOR,
        needs="nothing",
        trained=False,
        recipes=_COUNTS,
    ),
    "random": MethodEntry(
        title="chance, the same for the same picture",
        config="methods.training_free.floors_config:RandomConfig",
        builder="methods.training_free.floors:build_random",
        fidelity=_FLOOR,
        needs="nothing",
        trained=False,
        not_drawn={"cell": "chance, whatever its grain"},
    ),
    "clip": _dense_clip(
        "training-free: text against CLIP's dense tokens",
        "MaskCLIP's value path or plain tokens, without its refinements; positions bilinear, as ZegCLIP's",
        group=COMPARISON,
        recipes=_PLAIN,
    ),
}
READOUTS: Final[dict[str, MethodEntry]] = {
    "maskclip": _dense_clip(
        "training-free: the last block by its value path alone",
        f"MaskCLIP's released code, positions bicubic by size as there, {_UNREFINED}",
        fixed={"readout": "value"},
        recipes=_recipes(get_args(RecipeKind), positions="bicubic"),
        group=TRAINING_FREE,
    ),
    "sclip": _readout(
        "training-free: the last block's attention by equal queries plus by equal keys",
        "SCLIP's formula and what it keeps of the block",
        attention="qq+kk",
        residual=True,
    ),
    "naclip": _readout(
        "training-free: attention by equal keys and nearness, without residual and MLP",
        "NACLIP's formula and its released spread of 5 patches",
        attention="kk-near",
        residual=False,
    ),
    "clearclip": _readout(
        "training-free: attention by equal queries, without residual and MLP",
        "ClearCLIP's formula",
        attention="qq",
        residual=False,
    ),
    "sc-clip": _per_picture(
        "anomalous tokens repaired, attention and output by likeness of middle tokens, two passes",
        "sc_clip",
        "ScClipConfig",
        "no licence",
        ours="with fewer than 11 blocks, those at the same share of the depth (ours)",
        not_drawn=dict.fromkeys(
            (
                *("similar_above", "neighbours", "contamination", "before_block", "after_block"),
                *("first_level", "last_level", "class_token", "sharpness"),
            ),
            "an author's",
        ),
    ),
    "proxyclip": _per_picture(
        "the last block's attention by the likeness of DINO's tokens",
        "proxyclip",
        "ProxyClipConfig",
        "S-Lab licence, non-commercial",
        ours="under the built-in CLIP its own last but one block stands for DINO (ours)",
        recipes=_PROXY,
        not_drawn={
            **dict.fromkeys(("threshold", "sharpness"), "an author's"),
            **dict.fromkeys(("body", "body_weights", "pad_to"), "what the pictures at hand ask for"),
        },
    ),
    "resclip": _per_picture(
        "attention of middle blocks and a first result added to attention by equal keys and nearness",
        "resclip",
        "ResClipConfig",
        "no licence seen at its commit",
        ours="weak pixels of its first pass are a class of their own, the first class there and here on "
        "open-vocabulary benchmarks; with fewer than 11 blocks, those at the same share of the depth (both ours)",
        recipes=_RESCLIP,
        tuned=_TUNED,
        not_drawn=dict.fromkeys(
            (
                *("attention", "residual", "spread", "weak_class", "middle_scale", "logit_scale", "blur"),
                *("refine_steps", *_TUNED),
            ),
            "an author's",
        ),
    ),
}
