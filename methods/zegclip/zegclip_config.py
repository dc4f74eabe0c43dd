"""Config of ZegCLIP, its baselines and its ablations.

Defaults follow the released code ([R], ZiqinZhou66/ZegCLIP at 9ba4bb5); "paper" marks what arXiv 2212.03588 says where
the code does otherwise, "ours" what neither says. Each such place is a field, never a hidden difference.
"""

from typing import Literal

from pydantic import Field

from methods.config import MethodConfig
from splits.settings import Setting


class ZegClipConfig(MethodConfig):
    """The switches that make ZegCLIP out of its baseline, and its constants."""

    # What the labels may contain: the protocol's field of that name, passed on when a run is planned.
    setting: Setting = "inductive"

    # The three designs of the paper (Section 3.3), one switch each; the first value is ZegCLIP's.
    encoder: Literal["prompts", "frozen", "finetuned"] = "prompts"  # [R] deep prompts; the paper's baselines: the rest
    loss: Literal["non-exclusive", "exclusive"] = "non-exclusive"  # [R] sigmoid focal + dice; baseline: softmax + CE
    query: Literal["descriptor", "text"] = "descriptor"  # [R] [t * g ; t]; baseline: t alone (its width is inferred)

    # Image encoder
    prompt_tokens: int = Field(default=10, ge=1)  # [R] 10 on VOC (and Context, by a later fork), 100 on COCO-Stuff
    prompt_dropout: float = Field(default=0.1, ge=0, lt=1)  # [R]
    class_embedding: Literal["doubled", "single"] = "doubled"  # [R] adds it twice (its issue 4); single: CLIP itself
    normalisation: Literal["imagenet", "clip"] = "imagenet"  # [R] ImageNet's mean and std, not CLIP's
    encoder_lr_scale: float = Field(default=0.1, gt=0)  # fine-tuned encoder's share of the rate; ours, not published

    # Texts
    text_dtype: Literal["float16", "float32"] = "float16"  # [R] ships its text embeddings rounded to float16

    # Decoder
    decoder_layers: int = Field(default=3, ge=1)  # [R]
    decoder_heads: int = Field(default=8, ge=1)  # [R]; must divide CLIP's embedding width
    decoder_dropout: float = Field(default=0.1, ge=0, lt=1)  # [R]
    memory: Literal["tokens", "projected"] = "tokens"  # [R] patch tokens as they are; paper: a linear layer before
    token_scale: Literal["unit", "sqrt-width"] = "unit"  # [R] tokens and texts of unit norm; ours, for tiny d: sqrt(d)

    # Losses
    focal_weight: float = Field(default=100.0, ge=0)  # [R] and its author (issue 7; a config with 20 was a slip)
    dice_weight: float = Field(default=1.0, ge=0)  # [R]
    focal_alpha: float | None = Field(default=0.25, gt=0, lt=1)  # [R]; paper: None, no class balance
    focal_gamma: float = Field(default=2.0, ge=0)  # [R] and paper
    dice_denominator: Literal["sum", "squares"] = "sum"  # [R]; paper: sums of squares
    # [R] positions without a class are negatives of every class; ours: left out. The exclusive loss always leaves them.
    ignored: Literal["negative", "left-out"] = "negative"

    # Calibration and self-training
    seen_shift: float = 0.1  # [R] off the sigmoid scores of seen classes, in the inductive setting only
    self_training_from: float = Field(default=0.5, ge=0, le=1)  # [R] progress at which it follows the inductive phase

    @property
    def self_training(self) -> bool:
        """Whether pseudo labels are ever used."""
        return self.setting.startswith("transductive")
