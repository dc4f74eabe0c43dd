"""Config of the training-free read-outs that change the attention of CLIP's last block."""

from typing import Literal

from pydantic import Field

from methods.config import MethodConfig
from methods.interpolations import Interpolation


class ReadoutConfig(MethodConfig):
    """What the last block does to the tokens; nothing is trained."""

    # which tokens attend to which: by equal queries and by equal keys, both softmaxes added (SCLIP); by equal keys,
    # near ones preferred (NACLIP); by equal queries (ClearCLIP). The first two were held against their released code.
    attention: Literal["qq+kk", "kk-near", "qq"] = "qq"
    residual: bool = False  # the block's residual connections and MLP: SCLIP keeps them, the other two do not
    # how the table of positions is brought to another grid: released "bicubic-offset", which the methods' recipes set
    positions: Interpolation = "bilinear"
    spread: float = Field(default=5.0, gt=0)  # of "kk-near": sd of the Gaussian in patches; NACLIP's released value
