"""OTSeg and OTSeg+ behind the `Method` interface. Encoder, losses, self-training and windows are ZegCLIP's."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.clip import Clip
from methods.method import Vocabulary
from methods.otseg.otseg_config import RELEASED_TEXTS, OtSegConfig
from methods.otseg.otseg_head import Maps, OtHead, Switches
from methods.zegclip.encoder import PromptedEncoder
from methods.zegclip.released import ZEGCLIP, Names
from methods.zegclip.zegclip import ZegClip, build_head

FIRST = "first_"  # before the names of the first map's losses


class OtSeg(ZegClip):
    """Two mask maps for each class, each with focal and dice loss of its own.

    Names, shapes and number of the trained tensors are ZegCLIP's.
    """

    vocabulary_chunkable = False  # Sinkhorn stops by all classes of an image together
    head: OtHead
    config: OtSegConfig

    def prototypes(self, vocabulary: Vocabulary) -> Tensor:
        """`(K, N, d)` text embeddings, one for each sentence, rounded as the released files are."""
        sentences = vocabulary.templates if self.config.texts == "protocol" else RELEASED_TEXTS
        templates = sentences[: self.config.text_prompts]
        rows = [self.clip.text_prototypes(vocabulary.texts, (template,)) for template in templates]
        text = torch.stack(rows, dim=1)
        return text.half().float() if self.config.text_dtype == "float16" else text

    def both_maps(self, x: Tensor, text: Tensor, *, together: bool) -> Maps:
        """Mask logits on the patch grid, from normalised pixels `(B, 3, H, W)` and texts `(K, N, d)`."""
        tokens = self.encoder(x)
        return self.head(tokens.cls, tokens.dense, text.to(tokens.cls), together=together)

    def mask_maps(self, x: Tensor, text: Tensor) -> dict[str, Tensor]:
        """Both maps, the whole batch one call of Sinkhorn's algorithm, as released; pseudo labels follow their mean."""
        maps = self.both_maps(x, text, together=True)
        return {"": maps.decoder} if maps.first is None else {"": maps.decoder, FIRST: maps.first}

    def mask_logits(self, x: Tensor, text: Tensor) -> Tensor:
        """What is scored, `(B, K, h, w)`: an image's scores do not depend on others in its batch."""
        maps = self.both_maps(x, text, together=False)
        if self.config.scored == "decoder" or maps.first is None:
            return maps.decoder
        return (maps.decoder + maps.first) / 2

    def released_names(self) -> Names:
        """ZegCLIP's: a checkpoint of either loads into the other, so nothing but the method named tells them apart."""
        return ZEGCLIP


def build(*, clip: Clip, vocabulary: Vocabulary, config: OtSegConfig) -> OtSeg:
    """OTSeg on any CLIP with a vision transformer; raises ValueError with the reason for any other."""
    vit = clip.vit()
    head = build_head(OtHead, vit, config)
    head.switches = Switches(first_map=config.first_map, product=config.decoder_map == "product")
    encoder = PromptedEncoder(
        vit=vit,
        prompts=config.prompt_tokens,
        dropout=config.prompt_dropout,
        class_copies=2 if config.class_embedding == "doubled" else 1,
    )
    return OtSeg(clip=clip, encoder=encoder, head=head, vocabulary=vocabulary, config=config)
