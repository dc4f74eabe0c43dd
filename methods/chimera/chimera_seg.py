"""Chimera-Seg behind the `Method` interface: one set of switches makes the method, its readings and its ablations.

The paper (arXiv 2506.22032) is public; only its abstract could be read here. What that states (a trainable body; a head
of frozen CLIP parts and light trained ones; selective global distillation; semantic alignment) is built as stated;
everything else is our reading, and a field of `methods.chimera.chimera_config`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from methods import losses
from methods.bodies import Body, build_body
from methods.chimera import selection
from methods.chimera.alignment import Alignment
from methods.chimera.chimera_config import ChimeraConfig
from methods.chimera.head import ClipSemanticHead, ConvHead, Embedded, Fusion
from methods.clip import Clip
from methods.contrast import TokenBank, attention_pool, bank_loss, valid_positions
from methods.method import Images, Vocabulary
from methods.precision import wide
from methods.student import Student, cosines


class ChimeraSeg(Student):
    """A body and a head of CLIP, trained by seen labels and CLIP's CLS tokens. CLIP's full pass runs in training alone.

    `watched` holds figures of the last step that are no losses: `picked_share` of the dense features and
    `picked_similarity`, the mean cosine of the picked with CLIP's CLS token, over the batch.
    """

    def __init__(
        self,
        *,
        clip: Clip,
        body: Body,
        head: ClipSemanticHead | ConvHead,
        fusion: Fusion | None,
        alignment: Alignment | None,
        vocabulary: Vocabulary,
        config: ChimeraConfig,
    ) -> None:
        super().__init__(clip=clip, vocabulary=vocabulary, seen_shift=config.seen_shift, scale=config.scale)
        self.config = config
        self.body, self.head, self.fusion, self.alignment = body, head, fusion, alignment
        contrasts = config.distillation != "off" and config.sgd_loss == "infonce"
        self.bank = TokenBank(size=config.bank_size, width=clip.embed_dim) if contrasts else None
        self.inference_parameters = self._at_test()

    def _at_test(self) -> int:
        """Parameters that run at test: body, head with its frozen part of CLIP, alignment; the teacher's are not."""
        parts = [part for part in (self.body, self.fusion, self.alignment) if part is not None]
        return sum(p.numel() for p in [*(p for part in parts for p in part.parameters()), *self.head.used()])

    def embedded(self, images: Images) -> Embedded:
        """Dense features `(B, d, h, w)` in text space, float32 or wider, and the head's class token."""
        features = self.body(images.normalised(self.body.mean, self.body.std))
        out = self.head(features)
        dense = out.dense if self.fusion is None else self.fusion(out.dense, features)
        return Embedded(wide(dense), wide(out.token))

    def class_logits(self, seen: Embedded, text: Tensor) -> Tensor:
        """`(B, C, h, w)`: cosines with the texts `(C, d)`, adapted to the picture, over tau."""
        text = text.to(seen.dense)
        weights = text if self.alignment is None else self.alignment(text, seen)  # (C, d) or (B, C, d)
        return cosines(seen.dense, weights) * self.config.scale

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """`(B, len(vocabulary), h, w)` on the head's grid, on the body's where that is fused."""
        return self.class_logits(self.embedded(images), self.prototypes(vocabulary))

    def losses(self, images: Images, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        """`distillation`, `cross_entropy`, `focal` and `dice`, each weighted."""
        entry = self.head.entry
        if entry is not None and not entry.known:
            entry.measure(self.clip.normalised(images))
        seen = self.embedded(images)
        out = {} if self.config.distillation == "off" else self.distil(seen.dense, images, progress)
        return out | self.per_pixel(self.class_logits(seen, self.text), labels)

    def distil(self, dense: Tensor, images: Images, progress: float) -> dict[str, Tensor]:
        """Pooled dense features `(B, d, h, w)` against CLIP's CLS token of the picture at its full size."""
        token = wide(self.clip.tokens(images).cls)
        if self.config.distillation == "global":
            masked = self.config.pool_padding == "left-out"
            pooled, _ = attention_pool(dense, token, valid_positions(images, dense.shape[-2:]) if masked else None)
        else:
            pooled = self.select(dense, token, images, progress)
        if self.bank is None:
            loss = (1 - F.cosine_similarity(pooled, token, dim=-1)).mean()
        else:
            c = self.config
            loss = bank_loss(pooled, token, self.bank, temperature=c.temperature, candidates=c.candidates)
        grown = min(1.0, progress / self.config.sgd_warmup) if self.config.sgd_warmup else 1.0
        return {"distillation": self.config.sgd_weight * grown * loss}

    def select(self, dense: Tensor, token: Tensor, images: Images, progress: float) -> Tensor:
        """`(B, d)`: the picked features pooled. What is picked carries no gradient, nor do the weights of pooling."""
        c = self.config
        share = selection.picked_share(progress, schedule=c.schedule, last=c.last_share, steps=c.steps)
        valid = valid_positions(images, dense.shape[-2:]).flatten(1)
        similarity = selection.similarities(dense, token)
        picked = selection.most_similar(similarity, valid, selection.picked_counts(valid, share))
        self.watched["picked_share"] = picked.sum() / valid.sum()
        self.watched["picked_similarity"] = torch.where(picked, similarity, 0).sum() / picked.sum()
        return selection.pooled(dense, picked, similarity / c.temperature if c.pooling == "softmax" else None)

    def per_pixel(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy and NEL of logits `(B, C, h, w)`; positions without a class are left out of both (reading)."""
        c, logits = self.config, losses.upsampled(logits, labels.shape[-2:])
        nel = losses.nel(
            logits,
            labels,
            focal_weight=c.focal_weight,
            dice_weight=c.dice_weight,
            alpha=c.focal_alpha,
            gamma=c.focal_gamma,
        )
        return {"cross_entropy": c.cross_entropy_weight * losses.exclusive_loss(logits, labels), **nel}

    def parameter_groups(self) -> list[dict]:
        """The body's groups with the rates of its published config, and everything else that trains."""
        groups = self.body.parameter_groups()
        known = {id(p) for group in groups for p in group["params"]}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        return [*groups, {"params": others, "lr_scale": self.config.head_lr_scale}]


def build(*, clip: Clip, vocabulary: Vocabulary, config: ChimeraConfig) -> ChimeraSeg:
    """Chimera-Seg on a body and a CLIP; raises ValueError with the reason where they or the settings do not fit."""
    _check(config)
    clip.tower()  # the teacher; refuses a CLIP without a CLS token now rather than at the first step
    body = build_body(
        config.body,
        out_channels=config.body_channels,
        weights=config.body_weights,
        batch_norm=config.body_batch_norm,
    )
    fusion = Fusion(channels=config.body_channels, embed_dim=clip.embed_dim) if config.fusion else None
    alignment = None
    if config.alignment != "off":
        alignment = Alignment(
            width=clip.embed_dim,
            heads=config.alignment_heads,
            dropout=config.alignment_dropout,
            descriptor=config.alignment == "descriptor",
        )
    return ChimeraSeg(
        clip=clip,
        body=body,
        head=_head(clip, config),
        fusion=fusion,
        alignment=alignment,
        vocabulary=vocabulary,
        config=config,
    )


def _head(clip: Clip, config: ChimeraConfig) -> ClipSemanticHead | ConvHead:
    if config.head == "conv":
        return ConvHead(channels=config.body_channels, embed_dim=clip.embed_dim)
    vit = clip.vit()
    return ClipSemanticHead(
        vit=vit,
        channels=config.body_channels,
        blocks=len(vit.blocks) if config.blocks == "all" else config.blocks,
        value_attention=config.last_attention == "value",
        most_tokens=config.most_tokens,
        norm=config.adapter_norm,
        train_class_token=config.class_token == "trained",
        rank=config.adapter_rank,
        calibrated=config.entry == "calibrated",
    )


def _check(config: ChimeraConfig) -> None:
    """Refuse switches that would have no effect."""
    if config.head == "csh" and config.blocks != 0:
        return
    where = "head 'conv'" if config.head == "conv" else "blocks 0"
    idle = {"last_attention": "standard", "class_token": "frozen", "adapter_rank": 0}
    if config.head == "conv":
        idle |= {"fusion": False, "entry": "calibrated"}
    for field, off in idle.items():
        if getattr(config, field) != off:
            raise ValueError(f"{field} {getattr(config, field)!r} has no effect with {where}; leave it at {off!r}")
