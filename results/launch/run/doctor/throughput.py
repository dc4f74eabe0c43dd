"""Steps a second and memory of each method at batch 16, images scored a second, and the hours of the whole grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.catalogue import benchmark, builtin_clip
from benchmarks.data.datasets import expected_images
from benchmarks.data.reader import Reader, Sample
from benchmarks.recipes import recipe_for
from benchmarks.scoring.evaluate import evaluate
from benchmarks.spec import ClipId, Recipe
from benchmarks.training import acceleration, costs
from benchmarks.training.ranks import ALONE
from methods.clip import Clip, load_clip
from methods.method import UNLABELLED, Images, Method
from methods.precision import float32_products
from methods.registry import METHODS, build_method, entry
from results.launch.plan.body_weights import without_weights
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.plan.settings import config_of
from results.launch.run.build import clip_of, scored_vocabulary, training_vocabulary
from results.launch.run.doctor.sections import Bench, LeftOut, Row, words_of
from results.launch.run.out_of_memory import memory_words
from results.launch.run.training import fabric_of

WARM, STEPS, SEEDS = 2, 5, 3
MEASURED_ON = "voc-15-5"  # sizes and classes of the measured steps
GRID = ("voc-15-5", "pascal-5i", "coco-20i", "context-49-10", "coco-stuff-156-15")
PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed"}
BATCH = 16


@dataclass(frozen=True)
class Subject:
    """A method at the papers' sizes with random weights (what a pass costs does not depend on them)."""

    run: Run
    clip: Clip | None

    def build(self) -> Method:
        """As training begins."""
        train = self.run.train
        torch.manual_seed(0)
        config = without_weights(config_of(train))
        return build_method(train.method, clip=self.clip, vocabulary=training_vocabulary(train.side), config=config)


def subjects(bench: Bench) -> Iterator[Subject]:
    """Every method that trains and is no ablation, and CLIP itself."""
    clip_id = builtin_clip() if bench.small else ClipId(model="ViT-B-16", pretrained="openai")
    names = [
        name for name, e in METHODS.items() if (e.trained and not e.group.startswith("ablation")) or name == "clip"
    ]
    where = "shapes-5i" if bench.small else MEASURED_ON
    clip = clip_of(clip_id) if bench.small else load_clip(clip_id.model, None)
    for name in names:
        (run,) = plan(Request(methods=(name,), benchmarks=(where,), folds=(0,), clip=clip_id))
        yield Subject(run, None if entry(name).needs == "nothing" else clip)


def throughput(bench: Bench) -> tuple[str, list[Row]]:
    """A row for each method and precision; where 16 images do not fit, the fewest micro-batches that do."""
    rows: list[Row] = []
    for subject in subjects(bench):
        for precision in PRECISIONS:
            row: Row = {"method": subject.run.train.method, "precision": precision}
            try:
                row |= _scored(bench, subject, precision)
                if subject.run.train.recipe.iterations:
                    row |= _steps(bench, subject, precision)
            except Exception as error:  # one method's fault is no other's
                row["wrong"] = words_of(error)
            rows.append(row)
    size = "the built-in world's sizes, batch 4" if bench.small else f"{MEASURED_ON}'s sizes, batch {BATCH}"
    return f"{size}; random weights, images in memory; the loader is not measured", rows


def _steps(bench: Bench, subject: Subject, precision: str) -> Row:
    """Steps a second of whole batches, and the allocator's peak."""
    batch = 4 if bench.small else BATCH
    for accumulate in (1, 2, 4, 8, 16):
        if batch % accumulate:
            break
        try:
            rate, peak = _timed(bench, subject, precision, batch // accumulate)
        except (RuntimeError, MemoryError) as error:
            if not memory_words(error, subject.run, trained=False):
                raise
            continue
        return {"steps_per_second": rate / accumulate, "peak_mib": peak, "accumulate": accumulate}
    return {"wrong": "one image at a time does not fit"}


def _timed(bench: Bench, subject: Subject, precision: str, batch: int) -> tuple[float, float]:
    bench.freed()
    costs.forget_peak(bench.device)
    recipe = subject.run.train.recipe.model_copy(update={"precision": PRECISIONS[precision]})
    fabric = fabric_of(bench.kind, recipe.precision, ALONE)  # type: ignore[arg-type]
    method = acceleration.placed(subject.build(), fabric.device, recipe).train()
    groups = [{name: v for name, v in group.items() if name != "lr_scale"} for group in method.parameter_groups()]
    wrapped, optimizer = fabric.setup(method, acceleration.adamw(groups, recipe, fabric.device))
    wrapped.mark_forward_method("losses")
    images, labels = batch_of(subject.run, batch)
    if bench.kind == "cuda":  # as the loader hands them over: else each copy waits for the step before
        images, labels = Images(images.pixels.pin_memory()), labels.pin_memory()
    start = 0.0
    with float32_products():
        for step in range(WARM + STEPS):
            if step == WARM:
                start = bench.settled()
            optimizer.zero_grad(set_to_none=True)
            with fabric.autocast():
                losses = wrapped.losses(*acceleration.moved(images, labels, fabric.device), progress=0.5)
            fabric.backward(torch.stack(tuple(losses.values())).sum())
            optimizer.step()
    return STEPS / (bench.settled() - start), costs.peak_memory_mib(fabric.device)


def batch_of(run: Run, batch: int) -> tuple[Images, Tensor]:
    """Noise, labelled in blocks with every seen class."""
    side = run.train.recipe.augmentation.crop or 64
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (batch, 3, side, side), generator=generator, dtype=torch.uint8)
    cells = torch.randint(0, len(run.train.side.seen), (batch, 4, 4), generator=generator, dtype=torch.uint8)
    labels = cells.repeat_interleave(side // 4, 1).repeat_interleave(side // 4, 2).contiguous()
    labels[:, : side // 4] = UNLABELLED
    return Images(pixels), labels


class Noise(Reader):
    """Pictures of VOC's usual size, in memory."""

    mask_rule, partial = "drawn", False

    def __init__(self, count: int, size: tuple[int, int], classes: int):
        rng = np.random.default_rng(0)
        self.ids = tuple(map(str, range(count)))
        self._image: NDArray[np.uint8] = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        self._mask: NDArray[np.uint8] = np.broadcast_to(np.arange(size[1]) % classes, size).astype(np.uint8)

    def read(self, index: int) -> Sample:
        """The same for every index."""
        return Sample(self.ids[index], self._image, self._mask)


def _scored(bench: Bench, subject: Subject, precision: str) -> Row:
    """Images scored a second."""
    bench.freed()
    costs.forget_peak(bench.device)
    evaluation = subject.run.evaluation
    words = scored_vocabulary(evaluation)
    reader = Noise(*((3, (64, 64)) if bench.small else (17, (375, 500))), len(words))
    method, table = subject.build().to(bench.device), np.arange(256, dtype=np.uint8)
    done = evaluate(
        method,
        reader,
        words,
        evaluation.side.inference,
        table,
        device=bench.device,
        precision=precision,  # type: ignore[arg-type]
    )
    return {"images_per_second": done.images_per_second, "scoring_peak_mib": costs.peak_memory_mib(bench.device)}


def hours(rows: list[Row]) -> tuple[str, list[Row]]:
    """Hours of every fold and three seeds of each benchmark, from the measured rates, by precision."""
    if all(row.get("wrong") for row in rows):
        raise LeftOut("no rate is known")
    found: list[Row] = []
    for precision in PRECISIONS:
        for name in GRID:
            bench = benchmark(name)
            runs, total = SEEDS * len(bench.split.folds), 0.0
            for row in (r for r in rows if r["precision"] == precision and not r.get("wrong")):
                total += runs * (_training(row, name) + _scoring(row, name)) / 3600
            found.append({"benchmark": name, "precision": precision, "runs of a method": runs, "hours": total})
    sums = {p: sum(row["hours"] for row in found if row["precision"] == p) for p in PRECISIONS}
    words = ", ".join(f"{p} {value:.1f} h{_without(rows, p)}" for p, value in sums.items())
    return (
        f"one GPU, {SEEDS} seeds, all folds: {words}; steps as measured on {MEASURED_ON}, whatever the benchmark; "
        "images in memory: a run reads and augments about 100 a second with each of its --workers",
        found,
    )


def _without(rows: list[Row], precision: str) -> str:
    """Which methods the hours leave out."""
    names = ", ".join(row["method"] for row in rows if row["precision"] == precision and row.get("wrong"))
    return f" without {names}, of which no rate is known" if names else ""


def _training(row: Row, bench: str) -> float:
    if "steps_per_second" not in row:
        return 0.0
    recipe: Recipe = recipe_for(row["method"], bench, "native")[0]
    return recipe.iterations / row["steps_per_second"] * recipe.batch / BATCH


def _scoring(row: Row, bench: str) -> float:
    split = benchmark(bench).split
    return expected_images(split, "val") / row["images_per_second"]
