"""The floors and the training-free read-outs of CLIP as the harness knows them. No torch here."""

from __future__ import annotations

from typing import Any, Final, get_args

from methods.method_entry import COMPARISON, NOTHING, MethodEntry, MethodRecipe, RecipeKind

TRAINING_FREE: Final = "training-free"  # the group of published read-outs: run by this name, or one by one

_FLOOR = "ours"
_UNREFINED = "without its refinements after the scores; text and windows are the harness's"
# It counts labels over this many batches.
_COUNTS: Final[dict[RecipeKind, MethodRecipe]] = dict.fromkeys(
    get_args(RecipeKind), MethodRecipe(NOTHING, {"iterations": 100})
)
# Plain tokens are the built-in CLIP's better read-out, the value path is that of OpenAI's.
_PLAIN: Final[dict[RecipeKind, MethodRecipe]] = dict.fromkeys(
    ("trial", "shapes", "long"), MethodRecipe(NOTHING, config={"readout": "plain"})
)


def _dense_clip(title: str, fidelity: str, **fields: Any) -> MethodEntry:
    return MethodEntry(
        title=title,
        config="methods.training_free.dense_clip_config:ClipConfig",
        builder="methods.training_free.dense_clip:build",
        fidelity=fidelity,
        needs="tokens",
        trained=False,
        not_drawn={"readout": "what the CLIP at hand can see"},
        **fields,
    )


def _readout(title: str, fidelity: str, **fixed: Any) -> MethodEntry:
    return MethodEntry(
        title=title,
        config="methods.training_free.attention_readouts_config:ReadoutConfig",
        builder="methods.training_free.attention_readouts:build",
        fidelity=f"{fidelity}, {_UNREFINED}",
        needs="blocks",
        fixed=fixed,
        trained=False,
        group=TRAINING_FREE,
        not_drawn=dict.fromkeys(("attention", "residual", "spread"), "an author's"),
    )


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
        "MaskCLIP's value path or plain tokens, without its refinements",
        group=COMPARISON,
        recipes=_PLAIN,
    ),
}
READOUTS: Final[dict[str, MethodEntry]] = {
    "maskclip": _dense_clip(
        "training-free: the last block by its value path alone",
        f"MaskCLIP's released code, {_UNREFINED}",
        fixed={"readout": "value"},
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
}
