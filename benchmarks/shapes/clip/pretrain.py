"""How the tiny CLIP was made: `python -m benchmarks.shapes.clip.pretrain --out DIR`, on one core, from captions.

Stage 1 contrasts single pictures with captions, from easy pictures to hard ones. Stage 2 adds mosaics of them: two
random patch tokens of a tile, projected, normalised and averaged, against the tile's caption. It stops by a rule fixed
beforehand, on scenes that are in no part of the benchmark: a real CLIP knows images well and pixels poorly, and so
should this one. A training step never sees where an object is. Everything random follows from (seed, step), so a run
that was cut off goes on from its checkpoint.
"""

import argparse
import logging
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.loss import ClipLoss
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.shapes.captions import TEMPLATES
from benchmarks.shapes.clip.card import write_card
from benchmarks.shapes.clip.measure import dense_miou, zero_shot_top1
from benchmarks.shapes.clip.pools import Pool, mosaic
from benchmarks.shapes.clip.tower import MODEL, create, encode_images
from benchmarks.shapes.world import CLIP_PARTS, NAMES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """Everything that decides the weights."""

    seed: int = 0
    steps: int = 5000  # of stage 1
    warmup: int = 200
    learning_rate: float = 2e-3
    final_rate: float = 1e-4  # stage 1 decays to it over its second half
    mosaic_rate: float = 4e-4  # constant in stage 2, whose length the stopping rule decides
    weight_decay: float = 0.05
    groups: int = 5  # of 20 pictures with different names in a batch of 48-pixel pictures
    wide_every: int = 3  # every so many steps of the hardest level the batch has 64-pixel pictures, two groups fewer
    hardness: tuple[float, ...] = (0.0, 0.35, 0.7, 1.0)  # levels of the curriculum
    promote: float = 0.6  # mean in-batch accuracy over 50 steps that opens the next level
    pool: int = 12000  # pictures kept
    refresh: int = 24  # of them replaced at each step
    mosaic_steps: int = 3000  # of stage 2 at most
    patches: int = 2  # of a tile that are averaged
    gate_every: int = 20  # steps of stage 2 between measurements on the gate scenes
    stop_miou: float = 0.32  # stage 2 ends at the first measurement with this dense mIoU at 64 pixels
    stop_top1: float = 0.955  # and this zero-shot top-1


class Captions:
    """The tokenised captions of all names, encoded with the weights of the moment."""

    def __init__(self) -> None:
        tokenizer = open_clip.get_tokenizer(MODEL)
        self._tokens = tokenizer([template.format(name) for name in NAMES for template in TEMPLATES])

    def encode(self, model: CLIP, names: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Unit-norm features of one random caption for each name, (N, D); equal captions are encoded once."""
        chosen = names * len(TEMPLATES) + rng.integers(0, len(TEMPLATES), size=len(names))
        unique, back = np.unique(chosen, return_inverse=True)
        return model.encode_text(self._tokens[unique], normalize=True)[torch.from_numpy(back)]


def contrast(images: Tensor, texts: Tensor, scale: Tensor) -> tuple[Tensor, float]:
    """open_clip's loss, mean over groups of 20, and the share of images nearest to their own caption in the group."""
    groups = list(zip(images.split(len(NAMES)), texts.split(len(NAMES)), strict=True))
    loss = torch.stack([ClipLoss()(i, t, scale) for i, t in groups]).mean()
    with torch.no_grad():
        right = torch.cat([(i @ t.T).argmax(dim=1) == torch.arange(len(i)) for i, t in groups])
    return loss, right.float().mean().item()


class Trainer:
    """One run: model, optimiser, pools and the position in the recipe."""

    def __init__(self, recipe: Schedule, out: Path) -> None:
        self.recipe, self.out = recipe, out
        torch.manual_seed(recipe.seed)
        self.model = create(None).train()
        flat = [p for p in self.model.parameters() if p.ndim < 2]
        deep = [p for p in self.model.parameters() if p.ndim >= 2]
        groups = [{"params": deep, "weight_decay": recipe.weight_decay}, {"params": flat, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True)
        self.captions = Captions()
        self.step, self.level, self.seconds = 0, 0, 0.0
        self.recent: list[float] = []  # in-batch accuracy of the last 50 steps
        self.position = recipe.pool  # of the picture stream; every pool reads the same indices at its own size
        self.pools: dict[int, Pool] = {}

    def pool(self, size: int) -> Pool:
        """The pool of pictures of this size at the present level, filled when first used."""
        if size not in self.pools:
            hardness = self.recipe.hardness[self.level]
            self.pools[size] = Pool(
                seed=CLIP_PARTS["pretrain"].seed,
                size=size,
                count=self.recipe.pool,
                hardness=hardness,
                position=self.position,
            )
        return self.pools[size]

    def picture_loss(self, rng: np.random.Generator, size: int, groups: int) -> tuple[Tensor, float]:
        """Image-caption contrast on one batch of single pictures."""
        pictures, names = self.pool(size).draw(rng, groups)
        cls_token, _ = encode_images(self.model, torch.from_numpy(pictures))
        texts = self.captions.encode(self.model, names, rng)
        return contrast(F.normalize(cls_token, dim=-1), texts, self.model.logit_scale.exp())

    def mosaic_loss(self, rng: np.random.Generator, side: int, groups: int) -> tuple[Tensor, float]:
        """Contrast of a tile's caption with a few of its patch tokens, on mosaics of side^2 pictures at 96 pixels."""
        tiles, names = self.pool(96 // side).draw(rng, groups)
        _, tokens = encode_images(self.model, torch.from_numpy(mosaic(tiles, side)))
        reach = tokens.shape[1] // side
        tokens = tokens.unflatten(2, (side, reach)).unflatten(1, (side, reach))  # (M, side, reach, side, reach, D)
        tokens = F.normalize(tokens.transpose(2, 3).flatten(3, 4).flatten(0, 2), dim=-1)  # (tiles, reach^2, D)
        some = np.argsort(rng.random(tokens.shape[:2]), axis=1)[:, : self.recipe.patches]
        chosen = tokens[torch.arange(len(tokens))[:, None], torch.from_numpy(some)].mean(dim=1)
        texts = self.captions.encode(self.model, names, rng)
        return contrast(F.normalize(chosen, dim=-1), texts, self.model.logit_scale.exp())

    def rate(self) -> float:
        """Learning rate of the present step."""
        r = self.recipe
        if self.step >= r.steps:
            return r.mosaic_rate
        fall = min(1.0, 2 * (1 - self.step / r.steps))
        return min(1.0, (self.step + 1) / r.warmup) * (r.final_rate + (r.learning_rate - r.final_rate) * fall)

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, float]:
        """Loss and in-batch accuracy of the present step."""
        r = self.recipe
        last = self.level == len(r.hardness) - 1
        if self.step < r.steps:
            wide = last and self.step % r.wide_every == 0
            return self.picture_loss(rng, 64 if wide else 48, r.groups - 2 if wide else r.groups)
        loss, accuracy = self.picture_loss(rng, 64, r.groups - 2)
        side, groups = ((2, 3), (3, 9))[self.step % 2]
        return loss + self.mosaic_loss(rng, side, groups)[0], accuracy

    def advance(self) -> float:
        """One optimisation step; returns its loss."""
        started = time.process_time()
        rng = np.random.Generator(np.random.Philox(key=[self.recipe.seed, self.step]))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        loss, accuracy = self.loss(rng)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        self.recent = [*self.recent[-49:], accuracy]
        self.step += 1
        self._refresh()
        self.seconds += time.process_time() - started
        return loss.item()

    def _refresh(self) -> None:
        """Moves the picture stream on, and the curriculum when the batch accuracy allows."""
        r = self.recipe
        easy = len(self.recent) == 50 and sum(self.recent) / 50 > r.promote
        if self.level < len(r.hardness) - 1 and easy:
            self.level, self.recent = self.level + 1, []
            self.position += r.pool
            self.pools.clear()
            return
        self.position += r.refresh
        for pool in self.pools.values():
            pool.advance(r.refresh)

    def gate(self) -> dict[str, float]:
        """Zero-shot top-1 and dense mIoU at 64 pixels on the gate scenes."""
        part = CLIP_PARTS["gate"]
        self.model.eval()
        result = {"top1": zero_shot_top1(self.model, part), "miou": dense_miou(self.model, part)}
        self.model.train()
        return result

    def save(self) -> None:
        """Writes a checkpoint to go on from, whole or not at all."""
        state = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": [self.step, self.level, self.position, self.seconds, self.recent],
        }
        torch.save(state, self.out / "checkpoint.tmp")
        os.replace(self.out / "checkpoint.tmp", self.out / "checkpoint.pt")

    def resume(self) -> None:
        """Goes on from the checkpoint, if there is one. Raises ValueError when it was written under another recipe."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise ValueError(
                f"{path} holds {state['recipe']}, this run wants {asdict(self.recipe)}: give another --out"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.level, self.position, self.seconds, self.recent = state["progress"]

    def export(self) -> None:
        """Writes the weights in half precision, as the benchmark ships them."""
        half = {name: value.half().contiguous() for name, value in self.model.state_dict().items()}
        save_file(half, self.out / "weights.safetensors")

    def run(self) -> dict[str, float]:
        """Trains to the end of the recipe and exports; returns the last gate measurement."""
        r, measured = self.recipe, {}
        while self.step < r.steps + r.mosaic_steps:
            loss = self.advance()
            mosaics = self.step > r.steps
            if self.step % (r.gate_every if mosaics else 250) == 0:
                measured = self.gate()
                log.info(
                    "step %d level %d loss %.3f accuracy %.3f top1 %.4f miou %.4f seconds %.0f",
                    self.step,
                    self.level,
                    loss,
                    sum(self.recent) / max(len(self.recent), 1),
                    measured["top1"],
                    measured["miou"],
                    self.seconds,
                )
                self.save()
                self.export()
                if mosaics and measured["miou"] >= r.stop_miou and measured["top1"] >= r.stop_top1:
                    break
        return measured


def main() -> None:
    """Trains the tiny CLIP, or goes on where a run into the same folder stopped."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=Schedule.seed)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if (arguments.out / "weights.json").exists():
        log.info("%s holds a finished run; give another --out to train again", arguments.out)
        return
    trainer = Trainer(Schedule(seed=arguments.seed), arguments.out)
    trainer.resume()
    run = {"gate": trainer.run(), "steps": trainer.step, "core_seconds": round(trainer.seconds)}
    log.info("wrote %s", write_card(arguments.out / "weights.safetensors", {**run, "recipe": asdict(trainer.recipe)}))


if __name__ == "__main__":
    main()
