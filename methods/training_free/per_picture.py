"""What SC-CLIP, ProxyCLIP and ResCLIP share: one picture at a time, and how their code fits CLIP to other sizes.

Their statistics run over all tokens of a picture, so pictures never share a pass. Sides beyond the last whole patch are
left out, and the position table is interpolated as DINO's code does it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.clip import Clip
from methods.clip.vit import VitTower, attention_of
from methods.method import Images, Method, Vocabulary
from methods.positions import with_positions
from methods.precision import wide_product
from methods.training_free.scale import SCALE


class PerPicture(Method):
    """Scores are 100 times the cosine of dense token and text prototype; no seen class is treated differently."""

    seen_shift = 0.0
    shift_span = 20.0  # a fifth of the whole range of a cosine

    def __init__(self, *, clip: Clip) -> None:
        super().__init__()
        self.tower = clip.vit()
        attention_of(self.tower.blocks[-1])  # refuses other towers now rather than at the first picture
        self.clip = clip

    def cosines(self, x: Tensor, text: Tensor) -> Tensor:
        """`(C, h, w)` of one picture of normalised pixels `(1, 3, H, W)` and unit-norm texts `(C, d)`."""
        raise NotImplementedError

    def losses(self, images: Images, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        """Nothing to learn."""
        return {}

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """`(B, C, h, w)` on the method's grid, in [-100, 100]."""
        with torch.no_grad():
            text = self.clip.text_prototypes(vocabulary.texts, vocabulary.templates)
            pixels = self.clip.normalised(images)
            return SCALE * torch.stack([self.cosines(x[None], text.to(x)) for x in pixels])


def embedded(tower: VitTower, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Tokens `(B, 1+N, D)` after `ln_pre`, CLS first, and the grid `(h, w)`, of normalised pixels `(B, 3, H, W)`."""
    patches = tower.visual.conv1(x)  # leaves out what is no whole patch
    tokens = with_positions(patches, tower.class_embedding, tower.visual.positional_embedding, tower.native_grid)
    return tower.ln_pre(tokens), (patches.shape[2], patches.shape[3])


def class_map(tokens: Tensor, text: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cosines `(C, h, w)` of projected tokens `(N, d)` and unit-norm texts `(C, d)`."""
    return wide_product(text, F.normalize(tokens, dim=-1).T).unflatten(1, grid)


def block_at(index: int, depth: int) -> int:
    """The block of a tower of another depth that stands for a constant of 12 blocks; of 11 blocks or more, itself.

    The released codes keep their constants for CLIPs of 24 blocks. For fewer than 11 this is ours: the same share.

    >>> [block_at(i, 12) for i in (3, 8, 9)], [block_at(i, 4) for i in (3, 8, 9)]
    ([3, 8, 9], [0, 2, 2])
    """
    return index if depth >= 11 else min(max(round((index + 1) * depth / 12) - 1, 0), depth - 2)
