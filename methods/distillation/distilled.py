"""CLIP-to-Seg and CLIPTeacher behind the `Method` interface: one set of switches makes both and their ablations.

CLIP-to-Seg follows its ICLR 2025 submission ("eq."), CLIPTeacher v2 a third party's notes on its formulas. Neither has
public code, and what no source says is our reading: every such constant is a field of `DistillationConfig`.

| what | source | where |
| --- | --- | --- |
| seeds, K-Means and merging of latent classes | eq. 1 | `methods.mining.mine` |
| global loss: attention pooling, InfoNCE with the bank | eq. 2 | `Distilled.global_loss`; `methods.contrast` |
| means of regions | eq. 3 | `methods.contrast.Regions.means` |
| CLS tokens of the masked picture | Figure 3 | `methods.distillation.teacher.local_tokens` |
| local loss | eq. 4 | `Distilled.local_loss` |
| latent embeddings A'_u by a decoder | page 7 | `Distilled.embeddings`; `methods.distillation.synthesiser` |
| class logits alpha F^T A_s, latent logits beta cos(F, A'_u) | page 7 | `Distilled.class_logits`, `latent_logits` |
| losses per pixel: NEL and cross-entropy | page 7 | `Distilled.per_pixel` |
| total: global + local + per pixel, weights 1 | eq. 6 | `Distilled.losses` |
| seen prototypes against their texts | CLIPTeacher v2, notes | `Distilled.seen_loss` |
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from methods import losses
from methods.bodies import Body, build_body
from methods.clip import Clip, Tokens
from methods.contrast import Regions, TokenBank, attention_pool, bank_loss, info_nce, valid_positions
from methods.distillation.distillation_config import DistillationConfig
from methods.distillation.synthesiser import Synthesiser
from methods.distillation.teacher import at_side, local_tokens
from methods.method import Images, Vocabulary
from methods.mining import MiningRule, mine, pseudo_mask
from methods.precision import wide, wide_product
from methods.student import Student, cosines, products

ABSENT = -1e4  # logit of a latent class an image does not have: neither a loss nor a gradient comes of it


@dataclass(frozen=True)
class LatentClasses:
    """The labels of a batch with mined classes in them, and the class embeddings of their regions."""

    labels: Tensor  # (B, H, W) uint8: seen classes, and latent ones behind them
    regions: Regions  # P (image, class) pairs of these labels
    embedded: Tensor  # (P, d)


class Distilled(Student):
    """A student trained by seen labels and a frozen CLIP. At test the student alone runs, with CLIP's texts.

    `watched` holds figures of the last step that are no losses: `attention_entropy`, the mean entropy of the global
    attention as a share of its largest (1: plain average pooling), and `latent_classes` per image.
    """

    def __init__(
        self,
        *,
        clip: Clip,
        student: Body,
        synthesiser: Synthesiser | None,
        vocabulary: Vocabulary,
        config: DistillationConfig,
    ) -> None:
        super().__init__(clip=clip, vocabulary=vocabulary, seen_shift=config.seen_shift, scale=config.seen_scale)
        if config.seen_loss and config.latent != "synthesised":
            raise ValueError(f"seen_loss supervises what the synthesiser makes; latent is {config.latent!r}")
        self.student, self.synthesiser, self.config = student, synthesiser, config
        self.bank = TokenBank(size=config.bank_size, width=student.out_channels) if config.global_loss else None
        self.rule = mining_rule(config)
        self.inference_parameters = sum(parameter.numel() for parameter in student.parameters())

    def features(self, images: Images) -> Tensor:
        """The student's dense features `(B, d, h, w)` in text space, not normalised."""
        return wide(self.student(images.normalised(self.student.mean, self.student.std)))

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """`(B, len(vocabulary), h, w)` on the student's grid: `alpha F^T A`."""
        return self.class_logits(self.features(images), self.prototypes(vocabulary))

    def class_logits(self, features: Tensor, text: Tensor) -> Tensor:
        """`alpha F^T A`, with features of unit norm where so configured: `(B, C, h, w)`, float32 or wider."""
        compared = cosines if self.config.seen_logits == "cosine" else products
        return compared(features, text.to(features)) * self.config.seen_scale

    def losses(self, images: Images, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        """`global`, `local`, `seen`, `cross_entropy`, `focal` and `dice`, as the switches say; each weighted."""
        c, features, latent = self.config, self.features(images), None
        out: dict[str, Tensor] = {}
        if c.global_loss or c.mines:
            tokens = self.teach(images)
            if c.global_loss:
                out |= self.global_loss(features, tokens.cls, images)
            if c.mines:
                by_region, latent = self.region_losses(features, images, labels, tokens)
                out |= by_region
        logits = self.class_logits(features, self.text)
        if latent is not None:
            behind = self.latent_logits(features, latent.embedded, latent.regions)
            logits, labels = torch.cat([logits, behind], dim=1), latent.labels
        return out | self.per_pixel(logits, labels)

    def region_losses(
        self, features: Tensor, images: Images, labels: Tensor, tokens: Tokens
    ) -> tuple[dict[str, Tensor], LatentClasses | None]:
        """`local` and `seen`, as the switches say, and the mined classes; None where these are not classified."""
        c, out, latent = self.config, dict[str, Tensor](), None
        pseudo = self.pseudo_labels(tokens.dense, labels)
        regions = Regions(pseudo, len(self.text) + c.most_latent)
        means, local = regions.means(features), None
        if c.local_loss:
            local = local_tokens(self.clip, images, regions, side=c.local_side, fill=c.local_fill)
            out |= self.local_loss(means, local, regions)
        if c.latent != "off":
            latent = LatentClasses(pseudo, regions, self.embeddings(means, regions, tokens.cls, local))
            if c.seen_loss:
                out |= self.seen_loss(latent.embedded, regions)
        return out, latent

    def teach(self, images: Images) -> Tokens:
        """CLIP's CLS and dense tokens of the pictures, neither normalised, float32 or wider."""
        size = at_side(images.pixels.shape[-2:], self.config.teacher_side)
        tokens = self.clip.tokens(images, readout=self.config.readout, size=size)
        return Tokens(wide(tokens.cls), wide(tokens.dense))

    def pseudo_labels(self, dense: Tensor, labels: Tensor) -> Tensor:
        """`(B, H, W)` uint8: seen labels, and latent classes from `len(self.text)` on where something was mined."""
        mined = mine(dense, labels, self.rule)
        self.watched["latent_classes"] = (mined.sizes > 0).sum(1).float().mean()
        return pseudo_mask(labels, mined, len(self.text))

    def global_loss(self, features: Tensor, token: Tensor, images: Images) -> dict[str, Tensor]:
        """InfoNCE of attention-pooled features with the picture's CLS token, which enters the bank."""
        assert self.bank is not None, "there is a bank where this loss is switched on"
        c = self.config
        valid = valid_positions(images, features.shape[-2:]) if c.pool_padding == "left-out" else None
        pooled, entropy = attention_pool(features, token, valid)
        self.watched["attention_entropy"] = entropy.mean()
        loss = bank_loss(pooled, token, self.bank, temperature=c.temperature, candidates=c.candidates)
        return {"global": c.global_weight * loss}

    def local_loss(self, means: Tensor, local: Tensor, regions: Regions) -> dict[str, Tensor]:
        """InfoNCE of region means `(P, d)` with local CLS tokens, among the classes of a picture (eq. 4).

        Whether candidates are those of the picture or of the batch is open in the paper; the picture is our reading, as
        is the mean over pictures.
        """
        every = torch.arange(len(regions), device=means.device)
        same_picture = regions.image[:, None] == regions.image[None]
        each = info_nce(means, local, every, same_picture, temperature=self.config.temperature)
        whole = len(regions) if self.config.local_reduction == "mean" else regions.images
        return {"local": self.config.local_weight * each.sum() / max(1, whole)}

    def embeddings(self, means: Tensor, regions: Regions, token: Tensor, local: Tensor | None) -> Tensor:
        """`(P, d)` class embeddings of the regions from the student's means and CLIP's CLS tokens.

        Queries are the latent regions, or all of them where seen ones are supervised; keys and values the picture's CLS
        token and, where there are any, its local ones. Rows of regions that are no query are without meaning.
        """
        if self.synthesiser is None:
            return means
        queries, there = regions.padded(means)
        memory, remembered = token[:, None].to(means), torch.ones_like(there[:, :1])
        if local is not None:
            rows, known = regions.padded(local.to(means))
            memory, remembered = torch.cat([memory, rows], dim=1), torch.cat([remembered, known], dim=1)
        if not self.config.seen_loss:
            there = there.index_put((regions.image, regions.slot), regions.label >= len(self.text))
        return self.synthesiser(queries, there, memory, remembered)[regions.image, regions.slot]

    def seen_loss(self, embedded: Tensor, regions: Regions) -> dict[str, Tensor]:
        """Binary cross-entropy of seen embeddings against the texts of the seen classes of the step.

        A third party's notes print `sigmoid(t^T p)` for the class itself; that the other classes present are negatives,
        and the scale, is our reading.
        """
        seen = regions.label < len(self.text)
        target = F.one_hot(regions.label.clamp(max=len(self.text) - 1), len(self.text)).to(embedded) * seen[:, None]
        counted = seen[:, None] * (target.sum(0) > 0)  # (P, S): rows of seen regions, columns of classes present
        logits = wide_product(F.normalize(embedded, dim=-1), self.text.to(embedded).T) * self.config.seen_scale
        each = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * counted
        return {"seen": self.config.seen_weight * each.sum() / counted.sum().clamp(min=1)}

    def latent_logits(self, features: Tensor, embedded: Tensor, regions: Regions) -> Tensor:
        """`beta cos(F, A'_u)`: `(B, K, h, w)`, ABSENT where an image has fewer latent classes."""
        latent = regions.label >= len(self.text)
        where = (regions.image[latent], regions.label[latent] - len(self.text))
        shape = (len(features), self.config.most_latent)
        weights = features.new_zeros(*shape, features.shape[1]).index_put(where, embedded[latent].to(features))
        there = torch.zeros(shape, dtype=torch.bool, device=features.device)
        there[where] = True
        logits = cosines(features, F.normalize(weights, dim=-1)) * self.config.latent_scale
        return logits.masked_fill(~there[..., None, None], ABSENT)

    def per_pixel(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy and NEL of logits `(B, C, h, w)`, weighted."""
        c, logits = self.config, losses.upsampled(logits, labels.shape[-2:])
        out = {"cross_entropy": self.cross_entropy(logits, labels)}
        if c.per_pixel == "nel+ce":
            out |= losses.nel(
                logits,
                labels,
                focal_weight=c.focal_weight,
                dice_weight=c.dice_weight,
                alpha=c.focal_alpha,
                gamma=c.focal_gamma,
            )
        return {name: c.per_pixel_weight * loss for name, loss in out.items()}

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Softmax cross-entropy `(B, C, H, W)`, averaged over labelled positions with weights by class; else zero."""
        weights = logits.new_ones(logits.shape[1])
        weights[len(self.text) :] = self.config.latent_pixel_weight
        target = labels.long().masked_fill(~losses.labelled(labels), -100)
        total = F.cross_entropy(logits, target, weights, ignore_index=-100, reduction="sum")
        areas = losses.class_areas(labels, len(weights)).sum(0)
        return total / (areas * weights).sum().clamp(min=1)

    def parameter_groups(self) -> list[dict]:
        """The body's groups with the rates of its published config, and the synthesiser's."""
        groups = self.student.parameter_groups()
        if self.synthesiser is not None:
            groups.append({"params": list(self.synthesiser.parameters()), "lr_scale": self.config.decoder_lr_scale})
        return groups


def build(*, clip: Clip, vocabulary: Vocabulary, config: DistillationConfig) -> Distilled:
    """A distilled student; raises ValueError with the reason where CLIP, body or vocabulary do not fit."""
    clip.tower()  # refuses a tower without dense tokens now rather than at the first step
    student = build_body(
        config.body,
        out_channels=clip.embed_dim,
        weights=config.body_weights,
        batch_norm=config.body_batch_norm,
    )
    synthesiser = None
    if config.latent == "synthesised":
        synthesiser = Synthesiser(
            width=clip.embed_dim,
            layers=config.decoder_layers,
            heads=config.decoder_heads,
            feed=config.decoder_feed,
            dropout=config.decoder_dropout,
        )
    return Distilled(clip=clip, student=student, synthesiser=synthesiser, vocabulary=vocabulary, config=config)


def mining_rule(config: DistillationConfig) -> MiningRule:
    """The mining's constants out of a config."""
    return MiningRule(
        windows=config.windows,
        window_unlabelled=config.window_unlabelled,
        cell_unlabelled=config.cell_unlabelled,
        metric=config.metric,
        iterations=config.iterations,
        merge_above=config.merge_above,
        smallest=config.smallest,
        most=config.most_latent,
    )
