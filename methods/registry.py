"""The methods, by name: one line each. No torch here, so that planning and listing stay fast.

`config` and `builder` are named as strings (`module:attribute`); the config is imported to plan a run, the builder
only when a method is really built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from methods.ranges import CHIMERA, CLIP_TO_SEG, CLIPTEACHER, FINE_TUNED, ZEGCLIP, Declared

if TYPE_CHECKING:
    from methods.clip import Clip
    from methods.config import MethodConfig
    from methods.method import Method, Vocabulary


@dataclass(frozen=True)
class Entry:
    """One method, or a named variant of one (the same builder, with some switches fixed)."""

    title: str  # one line for `list methods`
    config: str  # "methods.configs.x:XConfig", a MethodConfig
    builder: str  # "methods.x:build", called as build(clip=..., vocabulary=..., config=...)
    fidelity: str  # what of it is an author's and what is our reading
    needs: Literal["nothing", "tokens", "blocks"]  # of CLIP; text comes with tokens
    fixed: dict[str, Any] = field(default_factory=dict)  # config fields that make the variant
    trained: bool = True  # False: a recipe has nothing to say to it
    group: str = "comparison"  # "comparison" (run by --methods all), "ablation:<method>", or a name to run it by
    recipe: Mapping[str, Any] = field(default_factory=dict)  # of methods brought along: fields of a Recipe that differ
    source: str = ""  # the text of the file that brought it
    own: bool = False  # brought along: no recipe of the harness was made for it
    # of the constants that are not an author's, by config field: what `sensitivity` draws from
    ranges: Mapping[str, Declared] = field(default_factory=dict)


_SWITCHED = "ZegCLIP's switches; the paper's ablations are published without code"
_BASELINE = "from notes on the paper; no code is public"
_FLOOR = "ours"
TRAINING_FREE = "training-free"  # run by this name, or one by one


def _zegclip(title: str, *, group: str = "ablation:zegclip", fidelity: str = _SWITCHED, **fixed: str) -> Entry:
    return Entry(
        title=title,
        config="methods.zegclip.zegclip_config:ZegClipConfig",
        builder="methods.zegclip.zegclip:build",
        fidelity=fidelity,
        needs="blocks",
        fixed=fixed,
        group=group,
        ranges=FINE_TUNED if fixed.get("encoder") == "finetuned" else ZEGCLIP,
    )


_C2S = "method text public (ICLR 2025 submission), constants our reading"
_TEACHER = "formulas from a third party's notes on v2, constants our reading"


def _distilled(title: str, *, group: str, fidelity: str, ranges: Mapping[str, Declared], **fixed: Any) -> Entry:
    return Entry(
        title=title,
        config="methods.distillation.distillation_config:DistillationConfig",
        builder="methods.distillation.distilled:build",
        fidelity=fidelity,
        needs="tokens",
        fixed=fixed,
        group=group,
        ranges=ranges,
    )


def _c2s(title: str, *, group: str = "ablation:clip-to-seg", **switches: Any) -> Entry:
    return _distilled(title, group=group, fidelity=_C2S, ranges=CLIP_TO_SEG, **switches)


def _clipteacher(
    title: str, *, group: str = "ablation:clipteacher", fidelity: str = _TEACHER, **switches: Any
) -> Entry:
    fixed = {"local_loss": False, "candidates": "bank+batch", **switches}
    return _distilled(title, group=group, fidelity=fidelity, ranges=CLIPTEACHER, **fixed)


_CHIMERA = "from the abstract alone: our reading"


def _chimera(title: str, *, group: str = "ablation:chimera-seg", **switches: Any) -> Entry:
    return Entry(
        title=title,
        config="methods.chimera.chimera_config:ChimeraConfig",
        builder="methods.chimera.chimera_seg:build",
        fidelity=_CHIMERA,
        needs="blocks",
        fixed=switches,
        group=group,
        ranges=CHIMERA,
    )


_UNREFINED = "without its refinements after the scores; text and windows are the harness's"


def _readout(title: str, fidelity: str, **fixed: Any) -> Entry:
    return Entry(
        title=title,
        config="methods.training_free.attention_readouts_config:ReadoutConfig",
        builder="methods.training_free.attention_readouts:build",
        fidelity=f"{fidelity}, {_UNREFINED}",
        needs="blocks",
        fixed=fixed,
        trained=False,
        group=TRAINING_FREE,
    )


METHODS: dict[str, Entry] = {
    "constant": Entry(
        title="always the seen class with the most labelled pixels",
        config="methods.training_free.floors_config:ConstantConfig",
        builder="methods.training_free.floors:build_constant",
        fidelity=_FLOOR,
        needs="nothing",
        trained=False,
    ),
    "random": Entry(
        title="chance, the same for the same picture",
        config="methods.training_free.floors_config:RandomConfig",
        builder="methods.training_free.floors:build_random",
        fidelity=_FLOOR,
        needs="nothing",
        trained=False,
    ),
    "clip": Entry(
        title="training-free: text against CLIP's dense tokens",
        config="methods.training_free.dense_clip_config:ClipConfig",
        builder="methods.training_free.dense_clip:build",
        fidelity="MaskCLIP's value path or plain tokens, without its refinements",
        needs="tokens",
        trained=False,
    ),
    "zegclip-baseline": _zegclip(
        "ZegCLIP's baseline: frozen encoder, softmax cross-entropy, text queries",
        group="comparison",
        fidelity=_BASELINE,
        encoder="frozen",
        loss="exclusive",
        query="text",
    ),
    "zegclip": _zegclip(
        "ZegCLIP: deep prompts, focal + dice, relationship descriptor",
        group="comparison",
        fidelity="exact: equal to recorded values of the released code",
    ),
    "zegclip-baseline-ft": _zegclip(
        "ZegCLIP's baseline with the encoder fine-tuned",
        fidelity=_BASELINE,
        encoder="finetuned",
        loss="exclusive",
        query="text",
    ),
    "zegclip-without-dpt": _zegclip("ZegCLIP without deep prompts", encoder="frozen"),
    "zegclip-without-nel": _zegclip("ZegCLIP with softmax cross-entropy", loss="exclusive"),
    "zegclip-without-rd": _zegclip("ZegCLIP with text alone as query", query="text"),
    "clipteacher": _clipteacher(
        "CLIPTeacher v2: CLS tokens and pseudo classes taught to a closed-set body", group="comparison", seen_loss=True
    ),
    "clipteacher-v1": _clipteacher(
        "CLIPTeacher without synthesiser and seen prototypes: v1 as we read it",
        fidelity="what v1 had is known from its abstract alone: our reading",
        latent="centroids",
    ),
    "clipteacher-without-global": _clipteacher(
        "CLIPTeacher without the global loss", global_loss=False, seen_loss=True
    ),
    "clipteacher-without-latent": _clipteacher("CLIPTeacher without pseudo classes", latent="off"),
    "clip-to-seg": _c2s("CLIP-to-Seg: global and local CLS tokens taught to a closed-set body", group="comparison"),
    "clip-to-seg-without-global": _c2s("CLIP-to-Seg without global distillation", global_loss=False),
    "clip-to-seg-without-local": _c2s("CLIP-to-Seg without local distillation", local_loss=False),
    "clip-to-seg-without-latent": _c2s("CLIP-to-Seg without latent embeddings", latent="off"),
    "clip-to-seg-ce": _c2s(
        "the body alone with cross-entropy on seen texts",
        global_loss=False,
        local_loss=False,
        latent="off",
        per_pixel="ce",
    ),
    "chimera-seg": _chimera(
        "Chimera-Seg (our reading): a body under CLIP's last blocks, selective distillation, alignment",
        group="comparison",
    ),
    "chimera-seg-conv-head": _chimera("Chimera-Seg with a plain 1x1 convolution as head", head="conv"),
    "chimera-seg-global": _chimera("Chimera-Seg with plain global distillation", distillation="global"),
    "chimera-seg-without-sgd": _chimera("Chimera-Seg without distillation", distillation="off"),
    "chimera-seg-without-sam": _chimera("Chimera-Seg without alignment module", alignment="off"),
    "chimera-seg-descriptor": _chimera("Chimera-Seg aligned by the relationship descriptor", alignment="descriptor"),
    "chimera-seg-blocks-0": _chimera("Chimera-Seg with CLIP's norms and projection alone", blocks=0),
    "chimera-seg-blocks-1": _chimera("Chimera-Seg with CLIP's last block", blocks=1),
    "chimera-seg-blocks-4": _chimera("Chimera-Seg with CLIP's last four blocks", blocks=4),
    "chimera-seg-ln-pre": _chimera("Chimera-Seg, tokens through CLIP's first norm to its last blocks", entry="ln_pre"),
    "chimera-seg-value": _chimera("Chimera-Seg with value-path attention in the last block", last_attention="value"),
    "chimera-seg-fusion": _chimera("Chimera-Seg with the body's finer grid added", fusion=True),
    "chimera-seg-cosine-loss": _chimera("Chimera-Seg, distillation by 1 - cos", sgd_loss="cosine"),
    "chimera-seg-cosine-schedule": _chimera("Chimera-Seg, fewer features by a cosine", schedule="cosine"),
    "chimera-seg-step-schedule": _chimera("Chimera-Seg, fewer features in steps", schedule="step"),
    "maskclip": Entry(
        title="training-free: the last block by its value path alone",
        config="methods.training_free.dense_clip_config:ClipConfig",
        builder="methods.training_free.dense_clip:build",
        fidelity=f"MaskCLIP's released code, {_UNREFINED}",
        needs="tokens",
        fixed={"readout": "value"},
        trained=False,
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


def entry(name: str) -> Entry:
    """The entry of a method; raises ValueError naming the ones that exist."""
    if name not in METHODS:
        raise ValueError(f"no method is called {name!r}; there are: {', '.join(METHODS)}")
    return METHODS[name]


def config_class(name: str) -> type[MethodConfig]:
    """The config model of a method."""
    return _imported(entry(name).config)


def build_method(name: str, *, clip: Clip | None, vocabulary: Vocabulary, config: MethodConfig) -> Method:
    """Build a method for a training vocabulary (in the inductive setting: the seen classes alone)."""
    return _imported(entry(name).builder)(clip=clip, vocabulary=vocabulary, config=config)


def _imported(target: str) -> Any:
    module, attribute = target.split(":")
    return getattr(import_module(module), attribute)
