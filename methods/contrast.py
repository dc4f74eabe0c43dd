"""What the distillation methods contrast: InfoNCE, the bank of earlier CLS tokens, pooled and averaged features.

After CLIP-to-Seg (ICLR 2025 submission, Section on global and local distillation); what it leaves open is marked
"reading". InfoNCE is written here once, for every method.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from methods.method import FIRST_CODE, Images
from methods.precision import wide, wide_product

# Against what pooled features are told from their picture's token. "bank": tokens of earlier steps. "bank+batch": those
# and all of the step. "enqueued": what the bank holds once those of the step are in it, which takes the oldest out.
Candidates = Literal["bank", "bank+batch", "enqueued"]

SAME = 1 - 1e-5  # cosine from which two tokens are of the same picture; float32 rounds at 1e-7


def info_nce(queries: Tensor, candidates: Tensor, positive: Tensor, allowed: Tensor, *, temperature: float) -> Tensor:
    """`(Q,)`: minus the log of the positive's share among the allowed candidates (van den Oord et al. 2018, eq. 4).

    queries: `(Q, d)`; candidates: `(M, d)`; both of any norm, compared by cosine. positive: `(Q,)` int64, each query's
    candidate. allowed: `(Q, M)` bool; the positive counts whether allowed or not.
    """
    cosine = wide_product(F.normalize(wide(queries), dim=-1), F.normalize(wide(candidates), dim=-1).T)  # (Q, M)
    wanted = F.one_hot(positive, len(candidates)).bool()
    return F.cross_entropy(
        (cosine / temperature).masked_fill(~(allowed | wanted), -torch.inf), positive, reduction="none"
    )


def attention_pool(features: Tensor, token: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Features `(B, d, h, w)` averaged by the softmax of their products with a token `(B, d)`; and the entropy.

    `softmax(token^T F / sqrt(d))` over the positions, then `W F^T`: `(B, d)`. Neither side is normalised (reading: with
    unit vectors the weights would be flat). The entropy of the weights, `(B,)`, is in units of its largest value, so
    that 1 says flat: plain average pooling.

    valid: `(B, h, w)` bool, the positions that count, at least one of each picture; None: all of them.
    """
    flat = wide(features).flatten(2)  # (B, d, N)
    scores = wide_product(wide(token)[:, None], flat)[:, 0] / math.sqrt(flat.shape[1])  # (B, N)
    if valid is not None:
        scores = scores.masked_fill(~valid.flatten(1), torch.finfo(scores.dtype).min)
    log_weights = scores.log_softmax(-1)
    weights = log_weights.exp()
    largest = math.log(max(2, flat.shape[2])) if valid is None else valid.flatten(1).sum(1).clamp(min=2).log()
    entropy = -(weights * log_weights).sum(-1) / largest
    return wide_product(flat, weights[..., None])[..., 0], entropy.detach()


def valid_positions(images: Images, grid: torch.Size | tuple[int, int]) -> Tensor:
    """`(B, h, w)` bool: positions whose cell holds a pixel that is no padding."""
    return F.adaptive_max_pool2d(images.valid()[:, None].float(), tuple(grid))[:, 0] > 0


class TokenBank(nn.Module):
    """The last `size` CLS tokens of earlier steps, first in, first out, the same on every rank; part of checkpoints."""

    tokens: Tensor
    filled: Tensor

    def __init__(self, *, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.zeros(size, width))  # (M, d), the newest last
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def held(self) -> Tensor:
        """`(M,)` bool: which places hold a token."""
        size = len(self.tokens)
        return torch.arange(size, device=self.tokens.device) >= size - self.filled

    @torch.no_grad()
    def enqueue(self, tokens: Tensor) -> None:
        """Take in the tokens `(B, d)` of a step, in order; the oldest go. Call it after the loss has used the bank."""
        newest = torch.cat([self.tokens, tokens.to(self.tokens)])[-len(self.tokens) :]
        self.tokens.copy_(newest)
        self.filled.copy_((self.filled + len(tokens)).clamp(max=len(self.tokens)))


def bank_loss(pooled: Tensor, token: Tensor, bank: TokenBank, *, temperature: float, candidates: Candidates) -> Tensor:
    """InfoNCE of pooled features `(B, d)` with their picture's CLS token `(B, d)` among the candidates, averaged.

    Tokens of a step are those of all ranks, in their order; they enter the bank here. A candidate that is the positive
    once more (itself in the bank, the same picture twice) never counts against it.
    """
    step, first = gathered(token.detach())  # (R B, d)
    every = torch.cat([step, bank.tokens.to(token)])
    positive = torch.arange(len(token), device=token.device) + first
    same = wide_product(F.normalize(token, dim=-1), F.normalize(every, dim=-1).T) > SAME  # (B, R B + M)
    allowed = _allowed(candidates, len(step), bank) & ~same
    loss = info_nce(pooled, every, positive, allowed, temperature=temperature).mean()
    bank.enqueue(step)
    return loss


def _allowed(candidates: Candidates, step: int, bank: TokenBank) -> Tensor:
    """`(step + M,)` bool: which tokens of the step, and of the bank before it, are candidates."""
    held = bank.held()
    places = torch.arange(step + len(held), device=held.device)
    if candidates == "enqueued":  # the newest M, the bank's before the step's
        age = torch.where(places < step, step - 1 - places, step + len(held) - 1 - (places - step))
        return torch.cat([torch.ones_like(held[:1]).expand(step), held]) & (age < len(held))
    return torch.cat([torch.full_like(held[:1], candidates == "bank+batch").expand(step), held])


def gathered(rows: Tensor) -> tuple[Tensor, int]:
    """The rows of all ranks, `(R B, d)` in the order of ranks, and where this rank's begin. No gradient."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows, 0
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts), dist.get_rank() * len(rows)


class Regions:
    """Every (image, class) pair of a batch of labels, class by class within an image.

    Attributes, P pairs: `image` and `label` `(P,)` int64; `slot` `(P,)` int64, which of its image's it is; `masks`
    `(P, H, W)` bool; `images`: B.
    """

    def __init__(self, labels: Tensor, classes: int) -> None:
        """labels: `(B, H, W)` uint8; what is not below `classes` belongs to no region."""
        if classes > FIRST_CODE:
            raise ValueError(f"labels hold classes below {FIRST_CODE}, not {classes} of them")
        known = labels.long().clamp(max=classes).flatten(1)  # (B, H W)
        areas = torch.zeros(len(labels), classes + 1, dtype=torch.int64, device=labels.device)
        present = areas.scatter_add(1, known, torch.ones_like(known))[:, :classes] > 0
        self.images = len(labels)
        self.image, self.label = present.nonzero(as_tuple=True)
        self.slot = (present.cumsum(1) - 1)[self.image, self.label]
        self.masks = labels[self.image] == self.label[:, None, None].to(labels.dtype)

    def __len__(self) -> int:
        return len(self.image)

    def means(self, features: Tensor) -> Tensor:
        """`(P, d)`: the mean of features `(B, d, h, w)` over each region (eq. 3).

        A position counts by the share of its cell that is in the region.
        """
        h, w = features.shape[-2:]
        shares = F.adaptive_avg_pool2d(self.masks[:, None].float(), (h, w)).flatten(1).to(wide(features))
        weights, _ = self.padded(shares / shares.sum(1, keepdim=True))  # (B, L, N)
        return wide_product(weights, features.flatten(2).transpose(1, 2))[self.image, self.slot]

    def padded(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows `(P, d)` by image, `(B, L, d)` with zeros behind, and which are there, `(B, L)` bool; L at least 1."""
        longest = int(self.slot.max()) + 1 if len(self) else 1
        out = rows.new_zeros(self.images, longest, rows.shape[-1])
        there = torch.zeros(self.images, longest, dtype=torch.bool, device=rows.device)
        there[self.image, self.slot] = True
        return out.index_put((self.image, self.slot), rows), there
