"""Config of CLIP-to-Seg, CLIPTeacher and their ablations.

Neither has public code. [P]: the text of CLIP-to-Seg (ICLR 2025 submission, pages 4-7); [S]: a third party's notes on
CLIPTeacher v2; "reading": those pages are silent or open there and the value is ours. The papers' other pages could not
be read here. A reading is no claim about a paper: who has it writes its constants into a file (`list reading
clip-to-seg`).
"""

from typing import Annotated, Literal

from pydantic import Field

from methods.body_names import BatchNormMode, BodyName
from methods.config import MethodConfig

Channel = Annotated[int, Field(ge=0, le=255)]


class DistillationConfig(MethodConfig):
    """The switches that make both methods and their ablations, and every constant."""

    # Student
    body: BodyName = "segnext-t"  # [P] SegNeXt, SETR, SegFormer, and [S] Swin; which sizes is not said: reading
    # What the body begins with: a file, a URL, "published" (ImageNet's as mmsegmentation has them; of the body small
    # those of the built-in world), "without-unseen" (of the body small, without the fold's unseen names), or "none":
    # noise. [P] "default training schedule in the MMSeg toolbox", whose configs set ImageNet's: the recipes do.
    body_weights: str = "none"
    body_batch_norm: BatchNormMode = "local"  # whose statistics the body normalises by; on several GPUs "sync"; reading

    # What is distilled, one switch each
    global_loss: bool = True  # [P] pooled features against the picture's CLS token
    local_loss: bool = True  # [P] region means against CLS tokens of the masked picture; CLIPTeacher has none [S]
    # How latent classes are classified: [P], [S] by a transformer decoder. "centroids": by the student's mean features
    # themselves (reading of CLIPTeacher v1). "off": not at all, only seen classes are.
    latent: Literal["synthesised", "centroids", "off"] = "synthesised"
    # Synthesised seen prototypes against their texts; [S] CLIPTeacher v2 has it, not CLIP-to-Seg.
    seen_loss: bool = False
    per_pixel: Literal["nel+ce", "ce"] = "nel+ce"  # [P], [S] both; "ce" is for ablation
    # Of the global loss. [P] page 6 lets the CLS tokens of the step enter the bank and then compares with the bank:
    # "enqueued". "bank" compares first, as MoCo does: reading. [S] CLIPTeacher: "bank+batch".
    candidates: Literal["bank", "bank+batch", "enqueued"] = "bank"
    # Padding among the features that the global loss pools: nothing is said; reading.
    pool_padding: Literal["counted", "left-out"] = "counted"

    # Contrast
    bank_size: int = Field(default=24, ge=1)  # [P] earlier CLS tokens that are negatives
    temperature: float = Field(default=0.07, gt=0)  # reading: the habit of MoCo
    global_weight: float = Field(default=1.0, ge=0)  # [P] eq. 6: all weights are 1
    local_weight: float = Field(default=1.0, ge=0)  # [P] eq. 6
    seen_weight: float = Field(default=1.0, ge=0)  # [S] printed without a weight
    per_pixel_weight: float = Field(default=1.0, ge=0)  # [P] eq. 6
    local_reduction: Literal["sum", "mean"] = "sum"  # over the classes of a picture: [P] eq. 4 sums; "mean" is ours

    # Classification
    # Of features and seen texts: [P] prints an inner product here and a cosine for latent classes. A cosine on both
    # sides keeps them on one scale: reading.
    seen_logits: Literal["cosine", "product"] = "cosine"
    seen_scale: float = Field(default=1 / 0.07, gt=0)  # alpha; reading, for cosines: as InfoNCE's
    latent_scale: float = Field(default=1 / 0.07, gt=0)  # beta; reading: as alpha
    # Weight of a pixel of a latent class in the cross-entropy, those of seen classes have 1; [P], [S] print none, so 1.
    # Less is ours: where nearly everything is unlabelled, latent classes drown the seen ones.
    latent_pixel_weight: float = Field(default=1.0, ge=0)
    focal_weight: float = Field(default=100.0, ge=0)  # NEL's focal part; reading: ZegCLIP's code. See docs/tuning.md
    dice_weight: float = Field(default=1.0, ge=0)  # of NEL's dice part; reading: ZegCLIP's code
    focal_alpha: float | None = Field(default=0.25, gt=0, lt=1)  # reading: ZegCLIP's code
    focal_gamma: float = Field(default=2.0, ge=0)  # reading: ZegCLIP's code
    seen_shift: float = 0.0  # off the scores of seen classes at test; reading: no calibration is mentioned

    # Synthesiser, the transformer decoder of latent embeddings
    decoder_layers: int = Field(default=1, ge=1)  # reading: the smallest
    decoder_heads: int = Field(default=8, ge=1)  # reading; must divide CLIP's embedding width
    decoder_feed: int = Field(default=4, ge=1)  # width of its feed-forward, times the embedding width; reading
    decoder_dropout: float = Field(default=0.1, ge=0, lt=1)  # reading: torch's default
    decoder_lr_scale: float = Field(default=10.0, gt=0)  # times the rate; reading: as mmsegmentation's heads

    # Teacher
    teacher_side: int = Field(default=512, ge=1)  # side of the picture CLIP sees for CLS and dense tokens; reading
    local_side: int = Field(default=224, ge=1)  # side of the masked pictures; reading: keeps them cheap
    # Colour outside the class, red, green, blue; [P] Figure 3: black. Another one where CLIP never saw such darkness.
    local_fill: tuple[Channel, Channel, Channel] = (0, 0, 0)
    # [P] "dense tokens" only; reading: the value path, far better for OpenAI-like CLIPs
    readout: Literal["plain", "value"] = "value"

    # Latent class mining, all of it reading but the scheme (seeds by windows, K-Means, merging) [P] eq. 1
    windows: tuple[float, ...] = Field(default=(1 / 8, 1 / 4, 1 / 2), min_length=1)  # sides, of the grid's; reading
    window_unlabelled: float = Field(default=0.5, ge=0, le=1)  # smallest unlabelled share of a seed's window; reading
    cell_unlabelled: float = Field(default=0.5, ge=0, le=1)  # smallest unlabelled share of a minable cell; reading
    metric: Literal["cosine", "euclidean"] = "cosine"  # of K-Means; reading: as the merging [P]
    iterations: int = Field(default=10, ge=0)  # of K-Means; reading
    merge_above: float = Field(default=0.9, ge=-1, le=1)  # cosine of centres ([S] lambda); reading, to be swept
    smallest: float = Field(default=1 / 64, ge=0, le=1)  # share of the grid below which a cluster is dropped; reading
    most_latent: int = Field(default=8, ge=1, le=64)  # latent classes of a picture, the largest; reading

    @property
    def mines(self) -> bool:
        """Whether latent classes are needed at all."""
        return self.local_loss or self.latent != "off"
