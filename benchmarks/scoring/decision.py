"""From scores of names to classes: several names a class, and probabilities that decide what is background.

The score of a class is the maximum over its names. By probabilities (`benchmarks.protocol.Softmax`): the softmax over
all names of all classes, at the truth's size, after windows were averaged; the class with the highest one; the first
class, background, where that stays below a threshold. So do SCLIP and the training-free methods that followed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from benchmarks.protocol import Softmax
from benchmarks.scoring.bands import Best
from benchmarks.scoring.planes import Views, class_type, score_chunks, seen_first

Size = tuple[int, int]


@dataclass(frozen=True)
class Decision:
    """What becomes of the scores of a vocabulary."""

    owners: tuple[int, ...] = ()  # the class of each name, rising; empty: every name is a class
    softmax: Softmax | None = None
    per_cosine: float = 1.0  # what a method's scores are a cosine times

    def classes(self, names: int) -> int:
        """How many classes so many names stand for."""
        return self.owners[-1] + 1 if self.owners else names

    def owned(self, best: Best) -> Best:
        """A best score with the class in the place of its best name."""
        if not self.owners:
            return best
        return best[0], _lookup(self.owners, best[1].device)[best[1].long()]


@lru_cache(maxsize=16)
def _lookup(owners: tuple[int, ...], device: torch.device) -> Tensor:
    """`(N,)`: the class of each name. Kept for each device, to which it is copied once."""
    with torch.inference_mode(False):
        return torch.tensor(owners, dtype=class_type(owners[-1] + 1), device=device)


def by_probability(scored: Views, size: Size, decision: Decision) -> Best:
    """The highest probability of any class at every pixel, and the class that is said, `(H, W)` each.

    Equal probabilities go to the class that comes first.
    """
    softmax = decision.softmax
    assert softmax is not None
    factor = softmax.scale / decision.per_cosine
    highest, name, total = _over(scored, size, factor, range(len(scored.seen)))
    best, where = decision.owned((1 / total, name))
    if softmax.smallest_share > 0:
        kept = _large_enough(where, decision.classes(len(scored.seen)), softmax.smallest_share)
        owners = decision.owners or tuple(range(len(scored.seen)))
        names = [place for place, owner in enumerate(owners) if kept[owner]]
        again, name, _ = _over(scored, size, factor, names)
        best, where = decision.owned(((again - highest).exp() / total, name))
    return best, torch.where(best < softmax.threshold, 0, where)


def _over(scored: Views, size: Size, factor: float, names: range | list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The highest logit of these names, the name that has it, and the sum of exponents less that logit, `(H, W)` each.

    Chunk by chunk, with a running maximum: all names are never held at full size.
    """
    wanted, end = set(names), 0
    every = seen_first(scored.seen, scored.grids[0].device)[0]  # in the order of the chunks
    highest: Tensor | None = None
    for chunk, scores in score_chunks(scored, size):
        order, end = every[end : end + len(chunk)], end + len(chunk)
        places = [place for place, name in enumerate(chunk) if name in wanted]
        if not places:
            continue
        if len(places) < len(chunk):
            scores, order = scores[places], order[places]
        logits = scores * factor
        value, first = logits.max(dim=0)
        where = order[first]
        if highest is None:
            highest, best = value, where
            total = (logits - value).exp_().sum(dim=0)
            continue
        top = torch.maximum(highest, value)
        total = total * (highest - top).exp() + (logits.sub_(top)).exp_().sum(dim=0)
        better = (value > highest) | ((value == highest) & (where < best))
        highest, best = top, torch.where(better, where, best)
    assert highest is not None, "a vocabulary has at least one name"
    return highest, best, total


def _large_enough(where: Tensor, classes: int, share: float) -> list[bool]:
    """Which classes are said of more than this share of the pixels that are not of the first; the first always is."""
    counts = torch.bincount(where.flatten().long(), minlength=classes)[1:].cpu()
    return [True, *(counts > share * int(counts.sum())).tolist()]
