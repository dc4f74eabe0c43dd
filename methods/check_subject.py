"""What `methods.check` holds a method against: a small random CLIP, class names, noise and masks, training steps."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from methods.check_places import files_of
from methods.clip import Clip, load_clip
from methods.method import UNLABELLED, Images, Method, Vocabulary

SMALL: Final = {  # of CLIP: four blocks on patches of 8
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 4, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}
SEEN, UNSEEN = ("chair", "dog", "boat"), ("zebra", "lorry")
BACKGROUND: Final = len(SEEN) + len(UNSEEN)  # an id in the masks below
TEMPLATES = ("a photo of a {}.",)
STEPS: Final = 4


def small_clip() -> Clip:
    """A CLIP of random weights, the same ones every time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(SMALL))
        return load_clip("small", None, config_file=path, seed=0)


def words(names: tuple[str, ...]) -> Vocabulary:
    """A vocabulary of some of the names above."""
    return Vocabulary(names, tuple(name in SEEN for name in names), names, TEMPLATES)


@dataclass
class Subject:
    """The method that is checked: how it is built, and the same inputs for every check."""

    make: Callable[[], Method]
    trained: bool = True
    file: str = ""  # that the builder is written in

    def cls(self) -> type[Method]:
        """The class of the method."""
        return type(self.build())

    def files(self) -> set[str]:
        """The files that the method is written in: of its builder alone where it cannot be built."""
        try:
            return {self.file} | files_of(self.cls())
        except Exception:
            return {self.file}

    def build(self, seed: int = 0) -> Method:
        """As training begins: the vocabulary has the seen names alone."""
        torch.manual_seed(seed)
        return self.make()

    def pictures(self, height: int = 64, width: int = 64, count: int = 2) -> Images:
        """Noise."""
        generator = torch.Generator().manual_seed(height * 1000 + width)
        return Images(torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8))

    def masks(self) -> Tensor:
        """`(2, 64, 64)` ids of all classes and of background, in blocks."""
        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(0, BACKGROUND + 1, (2, 4, 4), generator=generator)
        return ids.repeat_interleave(16, 1).repeat_interleave(16, 2)

    def train(self, method: Method, masks: Tensor, steps: range, optimiser: torch.optim.Optimizer | None) -> list[Any]:
        """Some steps as the trainer makes them; returns every loss."""
        method.train()
        found = []
        for step in steps:
            torch.manual_seed(1000 + step)  # as the trainer: what is random follows from the step
            losses = method.losses(self.pictures(), labels_of(masks), progress=step / STEPS)
            found.append({name: value.detach().clone() for name, value in losses.items()})
            if optimiser is not None and losses:
                optimiser.zero_grad()
                sum(losses.values()).backward()  # type: ignore[union-attr]
                optimiser.step()
        return found


def labels_of(masks: Tensor) -> Tensor:
    """Training labels of the inductive setting: everything but a seen class is unlabelled."""
    return torch.where(masks < len(SEEN), masks, UNLABELLED).to(torch.uint8)
