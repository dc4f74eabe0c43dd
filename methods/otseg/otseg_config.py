"""Config of OTSeg and OTSeg+: ZegCLIP's, with what they add.

[R] is the released code (cubeyoung/OTSeg at 0801051), "ours" what neither code nor paper says. Epsilon, the number of
iterations and the tolerance of Sinkhorn's algorithm are constants there and here: see `methods.otseg.sinkhorn`.
"""

from typing import Final, Literal

from pydantic import Field

from methods.zegclip.zegclip_config import ZegClipConfig

RELEASED_TEXTS: Final = (  # [R] the first six on VOC, all eight on COCO-Stuff and Context
    "a photo of a {}.",
    "a portrait of a {}.",
    "a part of a {}.",
    "a segment of a {}.",
    "a photo of small {}.",
    "a photo of medium {}.",
    "a photo of large {}.",
    "a background of a {}.",
)


class OtSegConfig(ZegClipConfig):
    """Constants of OTSeg. Image encoder, losses and calibration are ZegCLIP's."""

    # What makes ZegCLIP's baselines: here there is nothing to choose.
    encoder: Literal["prompts"] = "prompts"  # [R]; summaries of the paper say that the encoder is tuned
    loss: Literal["non-exclusive"] = "non-exclusive"  # [R]
    query: Literal["descriptor"] = "descriptor"  # [R]
    memory: Literal["tokens"] = "tokens"  # [R]
    decoder_heads: Literal[1] = 1  # type: ignore[assignment]  # [R] one head of full width, whatever its configs say

    # Texts: one embedding for each sentence, not averaged
    texts: Literal["released", "protocol"] = "released"  # [R] sentences of its own; ours: those of the protocol
    text_prompts: int = Field(default=6, ge=1, le=len(RELEASED_TEXTS))  # [R] the first so many: 6 on VOC, else 8

    # What is scored: [R] the mean of decoder's and first map, OTSeg+; OTSeg is the decoder's alone
    scored: Literal["decoder", "mean"] = "decoder"
    first_map: bool = True  # [R] multi-prompts Sinkhorn before the decoder, with losses of its own; False: an ablation
    # [R] the last layer's map times sigmoids of the others' (geometric mean); ablation of ours: the last one alone
    decoder_map: Literal["product", "last"] = "product"
