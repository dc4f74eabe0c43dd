"""Cascade-CLIP behind the `Method` interface. Losses, self-training and inference are ZegCLIP's."""

from __future__ import annotations

from torch import Tensor

from methods.cascade_clip.cascade_clip_config import CascadeClipConfig
from methods.cascade_clip.cascade_head import LOWER_STAGES, CascadeHead
from methods.cascade_clip.layered_encoder import LayeredEncoder
from methods.clip import Clip
from methods.method import Vocabulary
from methods.zegclip.decoder import Head
from methods.zegclip.released import Names
from methods.zegclip.released_checkpoint import published_parameters
from methods.zegclip.zegclip import ZegClip, build_head

STAGES = range(LOWER_STAGES + 1)
RELEASED = Names(
    head={
        **{f"head.stages.{s}.query.": f"decode_head.q_projs.{s}." for s in STAGES},
        **{f"head.weights.{s}": f"decode_head.weights_s{s + 1}" for s in range(LOWER_STAGES)},
        "encoder.tap_norms.": "backbone.ln_layers.",
        "encoder.projections": "backbone.proj_layers",
    },
    decoders={f"head.stages.{s}.decoder": f"decode_head.cascade_decoders.{s}" for s in STAGES},
)


class CascadeClip(ZegClip):
    """ZegCLIP whose decoders read three stages of the image encoder; the logits of a class stand alone as there."""

    encoder: LayeredEncoder
    head: CascadeHead
    config: CascadeClipConfig

    def mask_logits(self, x: Tensor, text: Tensor) -> Tensor:
        """`(B, C, h, w)` on the patch grid, from normalised pixels `(B, 3, H, W)` and texts `(C, d)`."""
        tokens = self.encoder.layers(x)
        return self.head(tokens, text.to(tokens.last.cls))

    def counted_as_published(self) -> int | None:
        """With the tensors that the released code trains and never uses; None for variants that nobody published."""
        if not self._whole():
            return None
        vit = self.encoder.vit
        return LOWER_STAGES * self.head.blocks + published_parameters(
            width=vit.width,
            embed=vit.embed_dim,
            blocks=len(vit.blocks),
            prompts=self.config.prompt_tokens,
            layers=self.config.decoder_layers,
            decoders=len(STAGES),
        )

    def released_names(self) -> Names:
        """How the released code calls our tensors; raises ValueError for a variant that it cannot hold."""
        if not self._whole():
            raise ValueError(
                "a released checkpoint is one of the whole Cascade-CLIP: aggregation 'gaussian', decoders "
                "'independent', projections 'random'"
            )
        return RELEASED

    def _whole(self) -> bool:
        c = self.config
        return (c.aggregation, c.decoders, c.projections) == ("gaussian", "independent", "random")


def build(*, clip: Clip, vocabulary: Vocabulary, config: CascadeClipConfig) -> CascadeClip:
    """Cascade-CLIP on a CLIP with a vision transformer of three blocks or more; ValueError for any other."""
    vit = clip.vit()
    blocks = min(config.stage_blocks, (len(vit.blocks) - 1) // LOWER_STAGES)
    if blocks < 1:
        raise ValueError(
            f"{clip.name}: two lower stages and the last block need three blocks, it has {len(vit.blocks)}"
        )
    encoder = LayeredEncoder(
        vit=vit,
        prompts=config.prompt_tokens,
        dropout=config.prompt_dropout,
        class_copies=2 if config.class_embedding == "doubled" else 1,
        taps=LOWER_STAGES * blocks,
        random_projections=config.projections == "random",
    )
    head = CascadeHead(
        head=lambda: build_head(Head, vit, config),
        independent=config.decoders == "independent",
        blocks=blocks,
        aggregation=config.aggregation,
    )
    return CascadeClip(clip=clip, encoder=encoder, head=head, vocabulary=vocabulary, config=config)
