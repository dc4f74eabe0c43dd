"""Config of Chimera-Seg (arXiv 2506.22032) and its ablations.

The paper is public; only its abstract could be read. [P]: what that states. "reading": what it leaves open, chosen
here, most often after the same authors' CLIP-to-Seg; "ours": nothing in the abstract asks for it. A reading is no claim
about the paper: who has it writes its constants into a file (`list reading chimera-seg`).
"""

from typing import Annotated, Literal

from pydantic import Field

from methods.body_names import BatchNormMode, BodyName
from methods.config import MethodConfig


class ChimeraConfig(MethodConfig):
    """The switches that make one Chimera-Seg out of the many that the abstract allows, and every constant."""

    # Body, [P] a trainable segmentation model
    body: BodyName = "segnext-t"  # the abstract names none: reading
    # What the body begins with, as for CLIP-to-Seg: a file, a URL, "published", "without-unseen" or "none"; nothing is
    # said, the recipes set "published": reading.
    body_weights: str = "none"
    body_batch_norm: BatchNormMode = "local"  # whose statistics the body normalises by; on several GPUs "sync"; reading
    body_channels: int = Field(default=256, ge=1)  # width of its features; reading: as mmsegmentation's heads

    # CLIP Semantic Head, [P] a frozen sub-network and the projection of CLIP's image encoder, and light trained parts.
    # "conv" puts a plain 1x1 convolution into text space in its place: an ablation.
    head: Literal["csh", "conv"] = "csh"
    # Last blocks of CLIP that follow the body; reading: those next to the projection. 0: norms and projection alone.
    blocks: Annotated[int, Field(ge=0)] | Literal["all"] = 2
    # Attention of dense features in the last block; reading: as CLIP has it. "value": each to itself (MaskCLIP).
    last_attention: Literal["standard", "value"] = "standard"
    most_tokens: int = Field(default=32, ge=1)  # longest side of the token grid, finer ones are averaged; reading
    adapter_norm: bool = True  # LayerNorm behind the 1x1 adapter; reading: one of the light trained parts
    # How tokens enter the frozen blocks, not in the abstract. "calibrated": with the statistics of CLIP's own tokens at
    # that depth, ours. "ln_pre": through CLIP's first norm, whatever the depth; reading.
    entry: Literal["calibrated", "ln_pre"] = "calibrated"
    class_token: Literal["frozen", "trained"] = "frozen"  # CLIP's, or a trained copy of it; reading
    adapter_rank: int = Field(default=0, ge=0)  # of residual adapters beside the frozen blocks, 0 for none; reading
    fusion: bool = False  # adds the body's finer grid to the head's output, so that it draws boundaries; ours

    # Selective Global Distillation, [P] features like CLIP's CLS token, ever fewer of them. "global": all of them, by
    # attention, as CLIP-to-Seg has it: an ablation.
    distillation: Literal["selective", "global", "off"] = "selective"
    schedule: Literal["linear", "cosine", "step"] = "linear"  # how the number falls; reading
    steps: int = Field(default=4, ge=2)  # levels of the step schedule; reading
    last_share: float = Field(default=0.1, gt=0, le=1)  # share of the features picked at the end, 1 at first; reading
    pooling: Literal["mean", "softmax"] = "mean"  # of the picked, equal or by similarity over temperature; reading
    sgd_loss: Literal["infonce", "cosine"] = "infonce"  # reading: CLIP-to-Seg's; cosine: 1 - cos
    candidates: Literal["bank", "bank+batch", "enqueued"] = "bank"  # of InfoNCE, as CLIP-to-Seg's has them; reading
    # Padding among the features that distillation "global" pools; "selective" never picks any; reading.
    pool_padding: Literal["counted", "left-out"] = "counted"
    bank_size: int = Field(default=24, ge=1)  # earlier CLS tokens that are negatives; reading: CLIP-to-Seg's
    temperature: float = Field(default=0.07, gt=0)  # of InfoNCE; reading: the habit of MoCo
    sgd_weight: float = Field(default=1.0, ge=0)  # reading: CLIP-to-Seg's weights are 1
    # Share of the training over which the weight grows from 0, linearly; reading: none. More is ours: a body trained
    # from scratch has at first no features to select among.
    sgd_warmup: float = Field(default=0.0, ge=0, le=1)

    # Semantic Alignment Module, [P] aligns dense features further with text embeddings; its form is a reading.
    # "cross-attention": texts attend to dense features; "descriptor": ZegCLIP's [t * g ; t]; "off": an ablation.
    alignment: Literal["cross-attention", "descriptor", "off"] = "cross-attention"
    alignment_heads: int = Field(default=8, ge=1)  # must divide CLIP's embedding width; reading
    alignment_dropout: float = Field(default=0.1, ge=0, lt=1)  # reading: torch's default

    # Classification
    scale: float = Field(default=1 / 0.07, gt=0)  # of cosines with the texts, 1 / tau; reading
    cross_entropy_weight: float = Field(default=1.0, ge=0)  # reading: CLIP-to-Seg's weights are 1
    focal_weight: float = Field(default=100.0, ge=0)  # NEL's focal part; reading: ZegCLIP's code. See docs/tuning.md
    dice_weight: float = Field(default=1.0, ge=0)  # of NEL's dice part; reading: ZegCLIP's code
    focal_alpha: float | None = Field(default=0.25, gt=0, lt=1)  # reading: ZegCLIP's code
    focal_gamma: float = Field(default=2.0, ge=0)  # reading: ZegCLIP's code
    seen_shift: float = 0.0  # off the scores of seen classes at test; reading: no calibration is mentioned

    head_lr_scale: float = Field(default=10.0, gt=0)  # times the rate, all that trains but the body; reading: mmseg's
