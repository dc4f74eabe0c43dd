"""Config of Cascade-CLIP: ZegCLIP's, with what it adds.

[R] is its released code (HVision-NKU/Cascade-CLIP at dadf40d), "ours" what neither code nor paper says.
"""

from typing import Literal

from pydantic import Field

from methods.zegclip.zegclip_config import ZegClipConfig


class CascadeClipConfig(ZegClipConfig):
    """Constants of Cascade-CLIP. Losses, prompts and calibration are ZegCLIP's."""

    # What makes ZegCLIP's baselines: here there is nothing to choose.
    encoder: Literal["prompts"] = "prompts"  # [R] the whole method alone is published
    loss: Literal["non-exclusive"] = "non-exclusive"  # [R]
    query: Literal["descriptor"] = "descriptor"  # [R]
    memory: Literal["tokens"] = "tokens"  # [R]

    # [R] three blocks in each of the two lower stages. Ours: fewer where CLIP has fewer than seven blocks.
    stage_blocks: int = Field(default=3, ge=1, le=3)
    # [R] weights exp(-x^2 / 2) that are then learned; ablations of ours: equal ones, or each stage's last block alone
    aggregation: Literal["gaussian", "equal", "last"] = "gaussian"
    decoders: Literal["independent", "shared"] = "independent"  # [R] one for each stage; ablation: one for all three
    # [R] norms and projections of the lower stages stay as they were drawn; ours: CLIP's own norm and projection
    projections: Literal["random", "clip"] = "random"
