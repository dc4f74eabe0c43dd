"""Two floors that every method must beat: one class everywhere, and chance. They show a label offset at once."""

from __future__ import annotations

import hashlib

import torch
import torch.distributed as dist
from torch import Tensor

from methods.clip import Clip
from methods.method import FIRST_CODE, Images, Method, Vocabulary
from methods.training_free.floors_config import ConstantConfig, RandomConfig


class Constant(Method):
    """Always the class that had the most labelled pixels in training (the first one before any training)."""

    counts: Tensor

    def __init__(self, *, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.names = vocabulary.names
        self.register_buffer("counts", torch.zeros(len(vocabulary), dtype=torch.int64))  # (C,)

    def losses(self, images: Images, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        """Count the labels; there is nothing to minimise."""
        counts = torch.bincount(labels[labels < FIRST_CODE].long(), minlength=len(self.names))
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(counts)
        self.counts += counts
        return {}

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """`(B, C, 1, 1)`: 1 for that class, 0 for the others."""
        name = self.names[int(self.counts.argmax())]
        row = torch.tensor([float(n == name) for n in vocabulary.names], device=images.pixels.device)
        return row[:, None, None].expand(len(images), -1, 1, 1).clone()


class Random(Method):
    """Uniform scores drawn by a hash of the picture's bytes and the class's name.

    So they do not depend on seed, batch, order, or on the other classes.
    """

    def __init__(self, *, cell: int) -> None:
        super().__init__()
        self.cell = cell

    def losses(self, images: Images, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        """Nothing to learn."""
        return {}

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """`(B, C, ceil(H / cell), ceil(W / cell))` in [0, 1); zero on padding."""
        b, _, height, width = images.pixels.shape
        out = torch.zeros(b, len(vocabulary), *self._grid(height, width))
        for i in range(b):
            h, w = (height, width) if images.sizes is None else (int(v) for v in images.sizes[i])
            picture = hashlib.sha256(images.pixels[i, :, :h, :w].contiguous().cpu().numpy().tobytes()).digest()
            rows, columns = self._grid(h, w)
            for c, name in enumerate(vocabulary.names):
                seed = int.from_bytes(hashlib.sha256(picture + name.encode()).digest()[:8], "big") >> 1
                draw = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))
                out[i, c, :rows, :columns] = draw
        return out.to(images.pixels.device)

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        return -(-height // self.cell), -(-width // self.cell)


def build_constant(*, clip: Clip | None, vocabulary: Vocabulary, config: ConstantConfig) -> Constant:
    """The constant floor; needs no CLIP."""
    return Constant(vocabulary=vocabulary)


def build_random(*, clip: Clip | None, vocabulary: Vocabulary, config: RandomConfig) -> Random:
    """The random floor; needs no CLIP."""
    return Random(cell=config.cell)
