"""The settings of methods: defaults that never change, and a word on each field."""

import inspect
import re

import pytest

from methods.config import MethodConfig
from methods.registry import METHODS, config_class

# A default stays out of a run's key, so a changed one would give old keys a new meaning. New fields are added here.
DEFAULTS = {
    "ReadoutConfig": {"attention": "qq", "residual": False, "positions": "bilinear", "spread": 5.0},
    "ConstantConfig": {},
    "RandomConfig": {"cell": 8},
    "ClipConfig": {"readout": "value", "positions": "bilinear"},
    "DistillationConfig": {
        "body": "segnext-t",
        "body_weights": "none",
        "body_batch_norm": "local",
        "global_loss": True,
        "local_loss": True,
        "latent": "synthesised",
        "seen_loss": False,
        "per_pixel": "nel+ce",
        "candidates": "bank",
        "pool_padding": "counted",
        "bank_size": 24,
        "temperature": 0.07,
        "global_weight": 1.0,
        "local_weight": 1.0,
        "seen_weight": 1.0,
        "per_pixel_weight": 1.0,
        "local_reduction": "sum",
        "seen_logits": "cosine",
        "seen_scale": 1 / 0.07,
        "latent_scale": 1 / 0.07,
        "latent_pixel_weight": 1.0,
        "focal_weight": 100.0,
        "dice_weight": 1.0,
        "focal_alpha": 0.25,
        "focal_gamma": 2.0,
        "seen_shift": 0.0,
        "decoder_layers": 1,
        "decoder_heads": 8,
        "decoder_feed": 4,
        "decoder_dropout": 0.1,
        "decoder_lr_scale": 10.0,
        "teacher_side": 512,
        "local_side": 224,
        "local_fill": [0, 0, 0],
        "readout": "value",
        "windows": [0.125, 0.25, 0.5],
        "window_unlabelled": 0.5,
        "cell_unlabelled": 0.5,
        "metric": "cosine",
        "iterations": 10,
        "merge_above": 0.9,
        "smallest": 1 / 64,
        "most_latent": 8,
    },
    "ZegClipConfig": {
        "setting": "inductive",
        "encoder": "prompts",
        "loss": "non-exclusive",
        "query": "descriptor",
        "prompt_tokens": 10,
        "prompt_dropout": 0.1,
        "class_embedding": "doubled",
        "normalisation": "imagenet",
        "encoder_lr_scale": 0.1,
        "text_dtype": "float16",
        "decoder_layers": 3,
        "decoder_heads": 8,
        "decoder_dropout": 0.1,
        "memory": "tokens",
        "token_scale": "unit",
        "focal_weight": 100.0,
        "dice_weight": 1.0,
        "focal_alpha": 0.25,
        "focal_gamma": 2.0,
        "dice_denominator": "sum",
        "ignored": "negative",
        "seen_shift": 0.1,
        "self_training_from": 0.5,
    },
    "ChimeraConfig": {
        "body": "segnext-t",
        "body_weights": "none",
        "body_batch_norm": "local",
        "body_channels": 256,
        "head": "csh",
        "blocks": 2,
        "last_attention": "standard",
        "most_tokens": 32,
        "adapter_norm": True,
        "entry": "calibrated",
        "class_token": "frozen",
        "adapter_rank": 0,
        "fusion": False,
        "distillation": "selective",
        "schedule": "linear",
        "steps": 4,
        "last_share": 0.1,
        "pooling": "mean",
        "sgd_loss": "infonce",
        "candidates": "bank",
        "pool_padding": "counted",
        "bank_size": 24,
        "temperature": 0.07,
        "sgd_weight": 1.0,
        "sgd_warmup": 0.0,
        "alignment": "cross-attention",
        "alignment_heads": 8,
        "alignment_dropout": 0.1,
        "scale": 1 / 0.07,
        "cross_entropy_weight": 1.0,
        "focal_weight": 100.0,
        "dice_weight": 1.0,
        "focal_alpha": 0.25,
        "focal_gamma": 2.0,
        "seen_shift": 0.0,
        "head_lr_scale": 10.0,
    },
}
DEFAULTS["CascadeClipConfig"] = DEFAULTS["ZegClipConfig"] | {
    "stage_blocks": 3,
    "aggregation": "gaussian",
    "decoders": "independent",
    "projections": "random",
}
DEFAULTS["OtSegConfig"] = DEFAULTS["ZegClipConfig"] | {
    "decoder_heads": 1,
    "texts": "released",
    "text_prompts": 6,
    "scored": "decoder",
    "first_map": True,
    "decoder_map": "product",
}
DEFAULTS["ScClipConfig"] = {
    "similar_above": 0.4,
    "neighbours": 30,
    "contamination": 0.05,
    "before_block": 8,
    "after_block": 3,
    "first_level": 3,
    "last_level": 9,
    "class_token": 0.3,
    "sharpness": 3.0,
}
DEFAULTS["ProxyClipConfig"] = {
    "body": "clip",
    "body_weights": "none",
    "threshold": 1.2,
    "sharpness": 3.0,
    "pad_to": 56,
}
DEFAULTS["ResClipConfig"] = {
    "attention": "kk-near",
    "residual": False,
    "spread": 5.0,
    "weak_below": 0.1,
    "weak_class": "apart",
    "middle_scale": 2.0,
    "middle_share": 0.6,
    "feedback_scale": 2.1,
    "feedback_share": 0.6,
    "logit_scale": 40.0,
    "blur": 5.0,
    "refine_steps": 10,
}
CONFIGS = sorted({config_class(name) for name in METHODS}, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("config", CONFIGS)
def test_defaults_never_change(config: type) -> None:
    """Fails when a default changes or a field goes: stored runs of the same key were made by other settings."""
    assert config().model_dump(mode="json") == DEFAULTS[config.__name__]


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_says_what_it_is(config: type) -> None:
    """Fails when a field has no word beside or above it on what it is and whose choice its default is."""
    source = "".join(inspect.getsource(base) for base in config.__mro__ if issubclass(base, MethodConfig))
    for field in config.model_fields:
        where = re.search(rf"(#[^\n]*\n)?\s+{field}:[^\n]*", source)
        assert where is not None, field
        assert "#" in where.group(), f"{config.__name__}.{field} is not explained"
