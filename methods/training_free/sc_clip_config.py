"""Config of SC-CLIP. Defaults are its released code's (SuleBai/SC-CLIP at 0417ba9), the same for all data sets."""

from pydantic import Field

from methods.config import MethodConfig


class ScClipConfig(MethodConfig):
    """Constants of SC-CLIP; blocks are counted from 0, among 12."""

    similar_above: float = Field(default=0.4, ge=-1, le=1)  # released: beta, cosines below it count as 0
    neighbours: int = Field(default=30, ge=1)  # released: of the local outlier factor
    contamination: float = Field(default=0.05, gt=0, lt=1)  # released: share of tokens beyond which one is an anomaly
    before_block: int = Field(default=8, ge=0)  # released: whose tokens' likeness mixes the input of the last block
    after_block: int = Field(default=3, ge=0)  # released: whose tokens' likeness mixes its output
    first_level: int = Field(default=3, ge=0)  # released: the second pass reads the sum of these blocks
    last_level: int = Field(default=9, ge=0)  # released: included
    class_token: float = 0.3  # released: share of the CLS token added to every output
    sharpness: float = 3.0  # released: what the likeness is multiplied by as attention
