"""Over which values `sensitivity` draws the constants that are ours, and why it leaves other fields alone. No torch.

A range says within which values nobody could call a constant a mistake: it is our judgement, as the constant is. It is
kept apart from the configs, so that another range makes no stored run stale. A constant is ours where the authors are
silent (a *reading*), and where a recipe of ours departs from what they print (`published=True`).
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Final

from methods.config import MethodConfig


@dataclass(frozen=True)
class Between:
    """From `low` to `high`, both included; whole numbers where both ends are."""

    low: int | float
    high: int | float
    log: bool = False  # even in the logarithm
    published: bool = False  # the field's default is an author's: drawn only where a recipe sets another value

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"expected low < high, and above 0 with log; got {self.low} and {self.high}")

    def words(self) -> str:
        """For the lines under a table."""
        return f"{self.low:.3g} to {self.high:.3g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Around:
    """From a `factor`-th to `factor` times the value that the run would have, even in the logarithm.

    For weights and rates: what is plausible depends on the benchmark's recipe, which sets them.
    """

    factor: float
    published: bool = False

    def __post_init__(self) -> None:
        if not self.factor > 1:
            raise ValueError(f"expected a factor above 1, got {self.factor}")

    def at(self, value: Any) -> Between | None:
        """The values around this one, whole where it is; None around 0 or None: what is off stays off.

        Raises ValueError around what has no multiples, or is negative.
        """
        if value is None or value == 0:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"Around needs a positive number, this run has {value!r}")
        low, high = value / self.factor, value * self.factor
        if isinstance(value, int):
            low, high = max(1, math.ceil(low)), math.floor(high)
        return Between(low, high, log=True) if low < high else None


@dataclass(frozen=True)
class OneOf:
    """One of these, each as likely."""

    values: tuple[Any, ...]
    published: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or len(self.values) < 2:
            raise ValueError(f"expected a tuple of two values or more, got {self.values!r}")

    def words(self) -> str:
        """For the lines under a table."""
        return "one of " + ", ".join(map(str, self.values))


Declared = Between | Around | OneOf
Resolved = Between | OneOf


def to_draw(
    ranges: Mapping[str, Declared], config: MethodConfig, chosen: Container[str] = frozenset()
) -> dict[str, Resolved]:
    """Field -> its values, for a run that would have this config. chosen: fields that somebody set: they stay.

    Raises ValueError, one line, for a range that is none, or does not fit the config.

    >>> from methods.training_free.floors_config import RandomConfig
    >>> to_draw({"cell": Around(2)}, RandomConfig(cell=8))
    {'cell': Between(low=4, high=16, log=True, published=False)}
    """
    found: dict[str, Resolved] = {}
    for name, declared in ranges.items():
        if name not in type(config).model_fields:
            raise ValueError(f"its ranges name {name!r}, which is no field of its config")
        if not isinstance(declared, Declared):
            raise ValueError(f"its range of {name!r} is no Between, Around or OneOf: {declared!r}")
        value = getattr(config, name)
        if name in chosen or (declared.published and value == type(config).model_fields[name].default):
            continue
        resolved = declared.at(value) if isinstance(declared, Around) else declared
        if resolved is not None:
            found[name] = resolved
    return found


_HEADS = (1, 2, 4, 8)  # divide the width of every CLIP there is
_TEMPERATURE = Between(0.03, 0.2, log=True)  # what contrastive methods use, MoCo's .07 in the middle
_NEL: Final[dict[str, Declared]] = {
    "focal_weight": Around(3),
    "dice_weight": Around(3),
    "focal_alpha": Between(0.1, 0.5),  # .5: no class balance
    "focal_gamma": Between(1.0, 3.0),
}

CLIP_TO_SEG: Final[dict[str, Declared]] = {
    "temperature": _TEMPERATURE,
    # eq. 6 prints weights of 1; the shapes recipe has others
    "global_weight": Around(3, published=True),
    "local_weight": Around(3, published=True),
    "per_pixel_weight": Around(3, published=True),
    "local_reduction": OneOf(("sum", "mean"), published=True),
    "latent_pixel_weight": Around(3, published=True),
    "seen_scale": Around(2),
    "latent_scale": Around(2),
    **_NEL,
    "decoder_layers": OneOf((1, 2, 3)),
    "decoder_heads": OneOf(_HEADS),
    "decoder_feed": OneOf((1, 2, 4, 8)),
    "decoder_dropout": Between(0.0, 0.3),
    "decoder_lr_scale": Around(3),
    "windows": OneOf(((1 / 8, 1 / 4, 1 / 2), (1 / 8, 1 / 4), (1 / 4, 1 / 2), (1 / 4,))),
    "window_unlabelled": Between(0.25, 0.75),
    "cell_unlabelled": Between(0.5, 1.0),  # any part of a seen object allowed, up to none
    "metric": OneOf(("cosine", "euclidean")),
    "iterations": Between(5, 20),
    "merge_above": Between(0.75, 0.95),
    "smallest": Between(1 / 128, 1 / 16, log=True),
    "most_latent": Around(2),
}
# It has no local loss. The size of its bank is not known (24 is CLIP-to-Seg's); its notes print losses without weights.
CLIPTEACHER: Final[dict[str, Declared]] = {
    **{name: declared for name, declared in CLIP_TO_SEG.items() if not name.startswith("local_")},
    "bank_size": Around(4),
    "seen_weight": Around(3, published=True),
}
# What the abstract leaves open, but for the structure, which ablations take apart.
CHIMERA: Final[dict[str, Declared]] = {
    "adapter_rank": OneOf((0, 4, 16)),
    "schedule": OneOf(("linear", "cosine", "step")),
    "steps": Between(2, 8),
    "last_share": Between(0.05, 0.4, log=True),
    "pooling": OneOf(("mean", "softmax")),
    "candidates": OneOf(("bank", "bank+batch", "enqueued")),
    "bank_size": Around(4),
    "temperature": _TEMPERATURE,
    "sgd_weight": Around(3),
    "sgd_warmup": Between(0.0, 1.0),
    "alignment_heads": OneOf(_HEADS),
    "alignment_dropout": Between(0.0, 0.3),
    "scale": Around(2),
    "cross_entropy_weight": Around(3),
    **_NEL,
    "head_lr_scale": Around(3),
}
# Its constants are the released ones; the shapes recipe departs in these.
ZEGCLIP: Final[dict[str, Declared]] = {
    "decoder_heads": OneOf(_HEADS, published=True),
    "seen_shift": Around(2, published=True),
}
FINE_TUNED: Final[dict[str, Declared]] = {**ZEGCLIP, "encoder_lr_scale": Around(3)}

_AUTHORS, _STRUCTURE = "an author's", "what the method is made of: see its ablations"
_PADDING = "no matter of taste: where pictures have no padding it changes nothing"
_INPUT, _SHIFT = "what the CLIP at hand can see", "a calibration: the tables show every shift"

# Config -> field -> why it is never drawn.
NOT_DRAWN: Final[dict[str, dict[str, str]]] = {
    "methods.distillation.distillation_config:DistillationConfig": {
        **dict.fromkeys(("global_loss", "local_loss", "latent", "seen_loss", "per_pixel", "candidates"), _AUTHORS),
        **dict.fromkeys(("body", "body_weights", "body_batch_norm"), _STRUCTURE),
        **dict.fromkeys(("teacher_side", "local_side", "local_fill", "readout"), _INPUT),
        "seen_logits": _AUTHORS,
        "pool_padding": _PADDING,
        "seen_shift": _SHIFT,
    },
    "methods.chimera.chimera_config:ChimeraConfig": {
        **dict.fromkeys(("body", "body_weights", "body_batch_norm", "body_channels"), _STRUCTURE),
        **dict.fromkeys(("head", "blocks", "last_attention", "adapter_norm", "entry", "class_token"), _STRUCTURE),
        **dict.fromkeys(("fusion", "distillation", "sgd_loss", "alignment"), _STRUCTURE),
        "most_tokens": _INPUT,
        "pool_padding": _PADDING,
        "seen_shift": _SHIFT,
    },
    "methods.zegclip.zegclip_config:ZegClipConfig": {
        **dict.fromkeys(("setting", "encoder", "loss", "query", "prompt_tokens", "prompt_dropout"), _AUTHORS),
        **dict.fromkeys(("class_embedding", "normalisation", "text_dtype", "decoder_layers"), _AUTHORS),
        **dict.fromkeys(("decoder_dropout", "memory", "focal_weight", "dice_weight", "focal_alpha"), _AUTHORS),
        **dict.fromkeys(("focal_gamma", "dice_denominator", "self_training_from"), _AUTHORS),
        **dict.fromkeys(("token_scale", "ignored"), _STRUCTURE),  # without them nothing is learnt at small widths
    },
    "methods.training_free.dense_clip_config:ClipConfig": {"readout": _INPUT},
    "methods.training_free.attention_readouts_config:ReadoutConfig": dict.fromkeys(
        ("attention", "residual", "spread"), _AUTHORS
    ),
    "methods.training_free.floors_config:RandomConfig": {"cell": "chance, whatever its grain"},
    "methods.training_free.floors_config:ConstantConfig": {},
}
