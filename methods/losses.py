"""Losses on per-class mask logits: ZegCLIP's non-exclusive pair (focal and dice) and the exclusive cross-entropy.

All take logits `(B, C, H, W)` at the size of the labels `(B, H, W)`, whose codes are those of `methods.method`. The
formulas are those of ZegCLIP's released code; where it differs from the paper, an argument chooses.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from methods.method import FIRST_CODE
from methods.precision import wide

Ignored = Literal["negative", "left-out"]


def upsampled(logits: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """`(B, C, h, w)` to `(B, C, *size)`: bilinear, align_corners false; half precision is computed in float32."""
    logits = wide(logits)
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)


def labelled(labels: Tensor) -> Tensor:
    """`(B, H, W)` bool: positions that carry a class."""
    return labels < FIRST_CODE


def class_areas(labels: Tensor, classes: int) -> Tensor:
    """`(B, C)` int64: positions of each class in each image."""
    known = labelled(labels)
    return _per_class(known.long(), _indices(labels), classes)


def mask_count(areas: Tensor) -> Tensor:
    """`K`: how many (image, class) pairs are labelled, averaged over the ranks, at least 1; scalar float.

    areas: `(B, C)`, above zero where the class is in the image.
    """
    count = (areas > 0).sum().to(torch.float32)
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(count)
        count = count / dist.get_world_size()
    return count.clamp(min=1)


def focal_loss(
    logits: Tensor, labels: Tensor, count: Tensor, *, alpha: float | None, gamma: float, ignored: Ignored = "negative"
) -> Tensor:
    """Sigmoid focal loss (Lin et al. 2017): mean over positions, sum over classes and images, divided by `count`.

    alpha: weight of positives, `1 - alpha` of negatives; None: no weight (the formula of ZegCLIP's paper). ignored: a
    position without a class is a "negative" of every class (released code), or "left-out" of sum and mean.
    """
    positive, negative = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    known, right = labelled(labels), logits.gather(1, _indices(labels)[:, None])[:, 0]  # (B, H, W)
    # every class as a negative, then the labelled one made positive: no mask per class is ever held
    loss = negative * _focal_term(logits, gamma).sum(1)
    loss = loss + known * (positive * _focal_term(-right, gamma) - negative * _focal_term(right, gamma))
    if ignored == "negative":
        return loss.mean((1, 2)).sum() / count
    return ((loss * known).sum((1, 2)) / known.sum((1, 2)).clamp(min=1)).sum() / count


def dice_loss(
    logits: Tensor,
    labels: Tensor,
    count: Tensor,
    *,
    denominator: Literal["sum", "squares"] = "sum",
    ignored: Ignored = "negative",
) -> Tensor:
    """Dice loss over the (image, class) pairs that are labelled, divided by `count`; one is added above and below.

    denominator: "sum" of both areas (released code) or of their "squares" (paper). ignored: as in `focal_loss`.
    """
    scores, index, known = logits.sigmoid(), _indices(labels), labelled(labels)
    right = scores.gather(1, index[:, None])[:, 0] * known  # (B, H, W)
    overlap = _per_class(right, index, logits.shape[1])  # (B, C)
    if ignored == "left-out":
        scores = scores * known[:, None]
    predicted = (scores**2 if denominator == "squares" else scores).sum((2, 3))
    areas = class_areas(labels, logits.shape[1])
    loss = 1 - (2 * overlap + 1) / (predicted + areas + 1)
    return (loss * (areas > 0)).sum() / count


def nel(
    logits: Tensor,
    labels: Tensor,
    *,
    focal_weight: float,
    dice_weight: float,
    alpha: float | None,
    gamma: float,
    denominator: Literal["sum", "squares"] = "sum",
    ignored: Ignored = "left-out",
) -> dict[str, Tensor]:
    """ZegCLIP's non-exclusive loss, `focal` and `dice`, weighted.

    ignored: as in `focal_loss`. "left-out" is our reading for the methods with a segmentation body: the released code
    counts positions without a class as negatives, which fights every class where most of a picture is unlabelled.
    """
    count = mask_count(class_areas(labels, logits.shape[1]))
    focal = focal_loss(logits, labels, count, alpha=alpha, gamma=gamma, ignored=ignored)
    dice = dice_loss(logits, labels, count, denominator=denominator, ignored=ignored)
    return {"focal": focal_weight * focal, "dice": dice_weight * dice}


def exclusive_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Softmax cross-entropy, averaged over the positions that carry a class; zero where none does.

    That unlabelled positions are left out is our reading: the paper's baseline is published without code.
    """
    target = labels.long().masked_fill(~labelled(labels), -100)
    loss = F.cross_entropy(logits, target, ignore_index=-100, reduction="sum")
    return loss / labelled(labels).sum().clamp(min=1)


def pseudo_labelled(labels: Tensor, logits: Tensor, seen: Tensor, code: int) -> Tensor:
    """The labels with every position of `code` given the unseen class it is scored highest for; `(B, H, W)` uint8.

    seen: `(C,)` bool; only unseen classes are given. Ties go to the lowest index. ZegCLIP's self-training: no
    threshold, no teacher, the model as it is in training.
    """
    guess = logits.detach().sigmoid().masked_fill(seen[:, None, None], -1).argmax(1)
    return torch.where(labels == code, guess.to(labels.dtype), labels)


def only_seen(labels: Tensor, seen: Tensor) -> Tensor:
    """Labels over all classes turned into labels over the seen ones alone, in their order; codes stay.

    A label of a class that is not seen becomes 255. labels: uint8; seen: `(C,)` bool.
    """
    table = torch.arange(256, device=labels.device)
    places = torch.where(seen, seen.cumsum(0) - 1, 255)
    table[: len(seen)] = places.to(table)
    return table.to(labels.dtype)[labels.long()]


def _focal_term(wrong: Tensor, gamma: float) -> Tensor:
    """`(1 - p)^gamma * -log(p)`, pointwise, where `wrong` is the logit of `1 - p`."""
    # the default threshold would drop e^-20; at 80 nothing is dropped and nothing overflows
    return wrong.sigmoid() ** gamma * F.softplus(wrong, threshold=80)


def _indices(labels: Tensor) -> Tensor:
    """`(B, H, W)` int64: the class of each position, 0 where there is none."""
    return labels.long() * labelled(labels)


def _per_class(values: Tensor, index: Tensor, classes: int) -> Tensor:
    """`(B, C)`: sums of `(B, H, W)` values over the positions of each class."""
    sums = torch.zeros(len(values), classes, dtype=values.dtype, device=values.device)
    return sums.scatter_add(1, index.flatten(1), values.flatten(1))
