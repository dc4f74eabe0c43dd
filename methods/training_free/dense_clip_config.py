"""Config of the training-free read-out of CLIP."""

from typing import Literal

from methods.config import MethodConfig
from methods.interpolations import Interpolation


class ClipConfig(MethodConfig):
    """Text against dense tokens, nothing trained."""

    # The value path is MaskCLIP's (Zhou et al. 2022) and is far better for OpenAI-like CLIPs; a CLIP trained on its own
    # patch tokens is better read out plainly (the built-in recipe sets that).
    readout: Literal["plain", "value"] = "value"
    # how the table of positions is brought to another grid: "bicubic" in MaskCLIP's released code, which that method's
    # recipes set; `clip` has what the learned methods have
    positions: Interpolation = "bilinear"
