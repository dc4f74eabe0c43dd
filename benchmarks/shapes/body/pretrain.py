"""How the weights of the `small` body were made: `python -m benchmarks.shapes.body.pretrain --out DIR`, on one core.

The built-in world's stand-in for ImageNet: the body's stem and stages learn to name the one object of a picture, from
pictures that are in no part of the benchmark. No mask and no CLIP takes part. One version learns all 20 names, as
ImageNet has the unseen classes of the photo benchmarks; and one for each fold leaves the fold's unseen names out.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.shapes.body.card import write_card
from benchmarks.shapes.body.files import VERSIONS, names_of
from benchmarks.shapes.world import BODY_PARTS, NAMES, Part, render_picture
from methods.bodies.small_body import PRETRAINED, WIDTHS, SmallBody
from methods.method import Images

log = logging.getLogger(__name__)
BATCH = 100  # pictures in a pass that measures


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights but the names."""

    seed: int = 0
    steps: int = 500
    batch: int = 64
    learning_rate: float = 2e-3  # at its highest; falls to 0 by half a cosine
    warmup: int = 25
    weight_decay: float = 0.05


class Classifier(nn.Module):
    """The body's stem and stages under mean pooling and one linear layer."""

    def __init__(self, names: int) -> None:
        super().__init__()
        self.body = SmallBody(name="small", out_channels=1)
        self.head = nn.Linear(WIDTHS[-1], names)

    def forward(self, images: Images) -> Tensor:
        """`(B, names)` logits."""
        x = self.body.stem(images.normalised(self.body.mean, self.body.std))
        for stage in self.body.stages:
            x = stage(x)
        return self.head(x.mean((2, 3)))

    def state(self) -> dict[str, Tensor]:
        """What is shipped, in half precision: stem, stages and, for whoever measures them again, the linear layer."""
        kept = {name: value for name, value in self.body.state_dict().items() if name.startswith(PRETRAINED)}
        kept |= {f"head.{name}": value for name, value in self.head.state_dict().items()}
        return {name: value.half() if value.is_floating_point() else value for name, value in kept.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take what was shipped."""
        whole = {name if name.startswith("head.") else f"body.{name}": value for name, value in state.items()}
        self.load_state_dict(self.state_dict() | whole)


def batches(part: Part, names: Sequence[str], size: int) -> Iterator[tuple[Images, Tensor]]:
    """The part's pictures of these names, in order, and the position of each picture's name `(B,)` int64.

    Picture `index` shows class `index % 20`, so that one of another name is never drawn.
    """
    shown = (index for index in count() if NAMES[index % len(NAMES)] in names)
    while True:
        pictures = [render_picture(part.seed, index) for index in islice(shown, size)]
        pixels = torch.from_numpy(np.stack([picture.image for picture in pictures])).permute(0, 3, 1, 2)
        yield Images(pixels), torch.tensor([names.index(picture.names[0]) for picture in pictures])


def train(recipe: Recipe, names: Sequence[str], steps: int | None = None) -> tuple[Classifier, list[float]]:
    """The classifier after the recipe, or after its first steps, and the loss of each step."""
    torch.manual_seed(recipe.seed)
    model = Classifier(len(names)).train()
    deep = [p for p in model.parameters() if p.ndim >= 2]
    flat = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": deep, "weight_decay": recipe.weight_decay}, {"params": flat, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    losses = []
    stream = batches(BODY_PARTS["pretrain"], names, recipe.batch)
    for step, (images, target) in zip(range(recipe.steps if steps is None else steps), stream, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate(recipe, step)
        loss = F.cross_entropy(model(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 50 == 49:
            log.info("step %d loss %.3f", step + 1, np.mean(losses[-50:]))
    return model, losses


def rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step: a linear warm-up, then half a cosine down to 0."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    share = (step - recipe.warmup) / (recipe.steps - recipe.warmup)
    return recipe.learning_rate * (1 + math.cos(math.pi * share)) / 2


@torch.inference_mode()
def accuracy(model: Classifier, names: Sequence[str], part: Part = BODY_PARTS["check"]) -> float:
    """Share of a part's pictures, in [0, 1], whose name is scored highest among the names."""
    model.eval()
    stream = islice(batches(part, names, BATCH), part.count // BATCH)
    right = sum(int((model(images).argmax(1) == target).sum()) for images, target in stream)
    return right / (part.count // BATCH * BATCH)


def make(version: str, recipe: Recipe, out: Path) -> dict[str, Any]:
    """Train one version and write its weights and card into `out`; returns the card."""
    names = names_of(version)
    began = time.process_time()
    model, losses = train(recipe, names)
    seconds = time.process_time() - began
    path = out / f"{version}.safetensors"
    save_file(model.state(), path)
    model.load(load_file(path))  # measured as shipped, in half precision
    return write_card(path, names, asdict(recipe), losses, accuracy(model, names), round(seconds))


def main() -> None:
    """Trains the versions, one after the other; each takes about two minutes of a core."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--versions", nargs="+", choices=VERSIONS, default=list(VERSIONS), metavar="V")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for version in arguments.versions:
        log.info("%s: accuracy %.4f", version, make(version, Recipe(), arguments.out)["accuracy"])


if __name__ == "__main__":
    main()
