"""ZegCLIP, its baselines and its ablations behind the `Method` interface."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from methods import losses
from methods.clip import Clip, VitTower
from methods.imagenet import IMAGENET_MEAN, IMAGENET_STD
from methods.method import UNLABELLED, UNSEEN_EXTENT, Images, Method, Vocabulary
from methods.weight_file import precision_words, read_tensors, refuse_not_finite
from methods.zegclip import released_checkpoint
from methods.zegclip.decoder import Head
from methods.zegclip.encoder import PlainEncoder, PromptedEncoder
from methods.zegclip.released import ZEGCLIP, Names
from methods.zegclip.zegclip_config import ZegClipConfig

AnyHead = TypeVar("AnyHead", bound=Head)


class ZegClip(Method):
    """Mask logits per class from a frozen CLIP's tokens and a text-queried decoder.

    The logits of one class do not depend on the others. Self-training needs a training vocabulary with
    unseen classes; until `config.self_training_from` it is not used and the losses are those of the inductive setting.
    """

    text: Tensor
    seen: Tensor

    def __init__(
        self, *, clip: Clip, encoder: nn.Module, head: nn.Module, vocabulary: Vocabulary, config: ZegClipConfig
    ) -> None:
        super().__init__()
        _check_vocabulary(vocabulary, config)
        self.clip = clip
        self.encoder = encoder
        self.head = head
        self.config = config
        exclusive = config.loss == "exclusive"
        self.seen_shift = config.seen_shift if config.setting == "inductive" and not exclusive else 0.0
        self.shift_span = 10.0 if exclusive else 0.5  # logits, or sigmoid scores
        self.published_parameters = self.counted_as_published()
        self.register_buffer("text", self.prototypes(vocabulary), persistent=False)  # (C, d)
        self.register_buffer("seen", vocabulary.seen_mask(), persistent=False)  # (C,)

    def counted_as_published(self) -> int | None:
        """Trainable parameters as the released code counts them; None for variants that nobody published."""
        if not isinstance(self.encoder, PromptedEncoder) or not self.head.descriptor:
            return None
        return released_checkpoint.published_parameters(
            width=self.encoder.vit.width,
            embed=self.encoder.vit.embed_dim,
            blocks=len(self.encoder.vit.blocks),
            prompts=self.config.prompt_tokens,
            layers=self.config.decoder_layers,
        )

    def released_names(self) -> Names:
        """How the released code calls our tensors; raises ValueError for a variant that it cannot hold."""
        if not isinstance(self.encoder, PromptedEncoder) or not self.head.descriptor:
            raise ValueError("a released checkpoint is one of the whole ZegCLIP: encoder 'prompts', query 'descriptor'")
        return ZEGCLIP

    def prototypes(self, vocabulary: Vocabulary) -> Tensor:
        """`(C, d)` text embeddings, rounded as the released files are where the config says so."""
        text = self.clip.text_prototypes(vocabulary.texts, vocabulary.templates)
        return text.half().float() if self.config.text_dtype == "float16" else text

    def normalised(self, images: Images) -> Tensor:
        """`(B, 3, H, W)` by ImageNet's statistics as released, or by CLIP's; padding zero."""
        if self.config.normalisation == "clip":
            return self.clip.normalised(images)
        return images.normalised(IMAGENET_MEAN, IMAGENET_STD)

    def mask_logits(self, x: Tensor, text: Tensor) -> Tensor:
        """`(B, C, h, w)` on the patch grid, from normalised pixels `(B, 3, H, W)` and texts `(C, d)`."""
        tokens = self.encoder(x)
        return self.head(tokens.cls, tokens.dense, text.to(tokens.cls))

    def mask_maps(self, x: Tensor, text: Tensor) -> dict[str, Tensor]:
        """The mask logits that have losses of their own, by what stands before the names of these."""
        return {"": self.mask_logits(x, text)}

    def losses(self, images: Images, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        """`focal` and `dice`, or `cross_entropy`, on logits upsampled to the labels."""
        return self.losses_of(self.normalised(images), labels, progress=progress)

    def losses_of(self, x: Tensor, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        """The losses of normalised pixels `(B, 3, H, W)`."""
        text, training = self.text, progress >= self.config.self_training_from
        if self.config.self_training and not training:
            text, labels = text[self.seen], losses.only_seen(labels, self.seen)
        maps = {name: losses.upsampled(m, labels.shape[-2:]) for name, m in self.mask_maps(x, text).items()}
        if self.config.self_training and training:
            mean = torch.stack([logits.detach() for logits in maps.values()]).mean(0) if len(maps) > 1 else maps[""]
            labels = losses.pseudo_labelled(labels, mean, self.seen, self._pseudo_code())
        weighted = {name: self.criterion(logits, labels) for name, logits in maps.items()}
        return {name + loss: value for name, terms in weighted.items() for loss, value in terms.items()}

    def criterion(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The weighted losses of logits `(B, C, H, W)` and labels `(B, H, W)`."""
        c = self.config
        if c.loss == "exclusive":
            return {"cross_entropy": losses.exclusive_loss(logits, labels)}
        return losses.nel(
            logits,
            labels,
            focal_weight=c.focal_weight,
            dice_weight=c.dice_weight,
            alpha=c.focal_alpha,
            gamma=c.focal_gamma,
            denominator=c.dice_denominator,
            ignored=c.ignored,
        )

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """Mask logits `(B, len(vocabulary), h, w)` on the patch grid, float32 or wider."""
        return self.mask_logits(self.normalised(images), self.prototypes(vocabulary))

    def activate(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Sigmoid, then the seen-score shift; the exclusive loss's logits stay as they are."""
        return scores if self.config.loss == "exclusive" else super().activate(scores.sigmoid(), seen)

    def parameter_groups(self) -> list[dict]:
        """One group, as the released optimiser amounts to; a fine-tuned encoder is a second one with another rate."""
        if self.config.encoder != "finetuned":
            return super().parameter_groups()
        return [
            {"params": list(self.head.parameters())},
            {"params": list(self.encoder.parameters()), "lr_scale": self.config.encoder_lr_scale},
        ]

    def import_weights(self, path: Path) -> tuple[str, ...]:
        """Load what a finished run leaves, or a checkpoint of the released code: the names tell."""
        state = read_tensors(path)
        if not released_checkpoint.is_released(state):
            return self.load_named(state, str(path))
        self.released_names()  # refuses variants
        part = self.trained_part(state, str(path))
        refuse_not_finite(part, path)
        self.load_trained_state(part)
        return tuple(filter(None, [precision_words(state)]))

    def trained_part(self, state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
        """What of a released state is trained here, under our names; raises ValueError as that."""
        return released_checkpoint.trained_part(
            state,
            self.trained_state(),
            clip=self.clip,
            decoder_layers=self.config.decoder_layers,
            source=source,
            names=self.released_names(),
        )

    def _pseudo_code(self) -> int:
        """The label code that pseudo labels replace.

        Plain `transductive` (every unlabelled position, never void or padding) is inferred from remnants of the
        released code; what it ships is `transductive-known-extent`.
        """
        return UNSEEN_EXTENT if self.config.setting == "transductive-known-extent" else UNLABELLED


def build(*, clip: Clip, vocabulary: Vocabulary, config: ZegClipConfig) -> ZegClip:
    """ZegCLIP on any CLIP with a vision transformer; raises ValueError with the reason for any other."""
    vit = clip.vit()
    head = build_head(Head, vit, config)  # drawn before the encoder: a seed must go on giving the same weights
    return ZegClip(clip=clip, encoder=_encoder(vit, config), head=head, vocabulary=vocabulary, config=config)


def build_head(kind: type[AnyHead], vit: VitTower, config: ZegClipConfig) -> AnyHead:
    """A head for the tokens of this tower; followers of ZegCLIP have kinds of their own."""
    return kind(
        width=vit.embed_dim,
        layers=config.decoder_layers,
        heads=config.decoder_heads,
        dropout=config.decoder_dropout,
        descriptor=config.query == "descriptor",
        project_memory=config.memory == "projected",
        scale=vit.embed_dim**0.5 if config.token_scale == "sqrt-width" else 1.0,
    )


def _encoder(vit: VitTower, config: ZegClipConfig) -> nn.Module:
    copies = 2 if config.class_embedding == "doubled" else 1
    if config.encoder == "prompts":
        return PromptedEncoder(
            vit=vit, prompts=config.prompt_tokens, dropout=config.prompt_dropout, class_copies=copies
        )
    return PlainEncoder(vit=vit, class_copies=copies, finetuned=config.encoder == "finetuned")


def _check_vocabulary(vocabulary: Vocabulary, config: ZegClipConfig) -> None:
    if config.self_training == all(vocabulary.seen):
        expected = "some unseen classes beside the seen ones" if config.self_training else "labelled classes alone"
        unseen = [name for name, seen in zip(vocabulary.names, vocabulary.seen, strict=True) if not seen]
        raise ValueError(
            f"setting {config.setting!r} trains on {expected}; the vocabulary's unseen classes are {unseen}"
        )
