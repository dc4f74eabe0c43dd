"""Config of ResCLIP. [R] is its released code (yvhangyang/ResCLIP at 0e085f7).

Four of its constants are tuned for each data set, on that very set: recipes set them.
"""

from typing import Literal

from pydantic import Field

from methods.config import MethodConfig


class ResClipConfig(MethodConfig):
    """What is added to which attention; nothing is trained."""

    # [R] which attention it is added to: its own (equal keys and nearness), SCLIP's or ClearCLIP's
    attention: Literal["kk-near", "qq+kk", "qq"] = "kk-near"
    residual: bool = False  # [R] the block's residual connections and MLP: only with SCLIP's
    spread: float = Field(default=5.0, gt=0)  # [R] of "kk-near": sd of the Gaussian in patches
    # [R] tuned for each data set: probability below which a pixel of the first pass is weak; VOC's
    weak_below: float = Field(default=0.1, ge=0, le=1)
    # [R] the first class asked, which is background where there is one; ours: weak pixels are a class of their own, so
    # that scores do not depend on which class comes first
    weak_class: Literal["apart", "first"] = "apart"
    middle_scale: float = Field(default=2.0, gt=0)  # [R] the same everywhere: of attention with middle blocks added
    middle_share: float = Field(default=0.6, ge=0, le=1)  # [R] tuned for each data set: their share; VOC's
    feedback_scale: float = Field(default=2.1, gt=0)  # [R] tuned for each data set: of logits with feedback; VOC's
    feedback_share: float = Field(default=0.6, ge=0, le=1)  # [R] tuned for each data set: its share; VOC's
    logit_scale: float = Field(default=40.0, gt=0)  # [R] of the first pass's cosines before the softmax
    blur: float = Field(default=5.0, gt=0)  # [R] sd of the Gaussian along rows of the feedback, in tokens
    refine_steps: int = Field(default=10, ge=0)  # [R] steps of PAMR on the first pass's maps
