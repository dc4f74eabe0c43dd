"""What a student's training step costs beside its bare body, and that of CLIP-to-Seg part by part.

    python -m tests.speed.student_step [--photos] [--repeats N]

By default on shapes-5i as `make run` trains it (batch 16, 64 pixels, built-in CLIP). --photos: the paper's sizes (512
pixels, SegNeXt-T, ViT-B/16 at 512 and 224) with weights drawn at random, on one image of drawn regions: a pass costs
the same whatever its weights are, but how many regions are mined does depend on them, so their number is printed.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.catalogue import Data, benchmark, builtin_clip
from benchmarks.labels import training_table
from benchmarks.recipes import recipe_for
from methods.clip import Clip, load_clip
from methods.contrast import Regions
from methods.distillation.teacher import local_tokens
from methods.method import UNLABELLED, Images, Vocabulary
from methods.registry import build_method, config_class
from results.launch.run.build import clip_of
from tests.speed.compare import alternate

METHOD = "clip-to-seg"  # shown part by part
STUDENTS = ("clipteacher", METHOD, "chimera-seg")


def main() -> None:
    """Time each part by itself, and the whole step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--photos", action="store_true", help="at the paper's sizes, weights drawn at random")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    shown(options.repeats, photos=options.photos)


def shown(repeats: int, *, photos: bool = False) -> dict[str, Any]:
    """Print and return seconds of a processor: of CLIP-to-Seg's parts, and of each student's step and its bare body."""
    torch.manual_seed(0)
    clip, images, labels = photo() if photos else scenes()
    name = "voc-15-5" if photos else "shapes-5i"
    students = {method: built(method, name, clip) for method in STUDENTS}
    times, regions = parts(students[METHOD], images, labels, repeats)
    whole = times["whole step"]
    print(f"batch {len(labels)} at {labels.shape[-1]} px, {regions} regions, {torch.get_num_threads()} threads")
    for part, seconds in sorted(times.items(), key=lambda item: -item[1] if item[0] != "whole step" else math.inf):
        print(f"{METHOD}, {part:<37} {seconds * 1e3:9.1f} ms  {seconds / whole:6.1%}", flush=True)
    beside = {}
    for method, student in students.items():
        step, body = alternate(
            lambda s=student: whole_step(s, images, labels), lambda s=student: bare(s, images), repeats
        )
        beside[method] = {"step": step.processor, "bare body": body.processor}
        each = ", ".join(f"{what} {seconds * 1e3:.1f} ms" for what, seconds in beside[method].items())
        print(f"{method}: {each}, {step.processor / body.processor:.2f}x the bare body", flush=True)
    size = {"batch": len(labels), "side": labels.shape[-1]}
    return {"seconds": times, "regions": regions, "beside the bare body": beside, **size}


def built(name: str, benchmark: str, clip: Clip) -> Any:
    """A student as its recipe has it, ready to train on 15 classes."""
    _, config = recipe_for(name, benchmark, "native")
    names = tuple(f"class {number}" for number in range(15))
    words = Vocabulary(names, (True,) * 15, names, ("a photo of a {}",))
    config = config_class(name)(**{**config, "body_weights": "none"})  # time is the same from any weights
    return build_method(name, clip=clip, vocabulary=words, config=config).train()


def whole_step(method: Any, images: Images, labels: Tensor) -> None:
    """All losses, forward and backward."""
    torch.stack(tuple(method.losses(images, labels, progress=0.5).values())).sum().backward()


def bare(method: Any, images: Images) -> None:
    """The body alone, forward and backward."""
    body = method.body if hasattr(method, "body") else method.student
    body(images.normalised(body.mean, body.std)).sum().backward()


def parts(method: Any, images: Images, labels: Tensor, repeats: int) -> tuple[dict[str, float], int]:
    """Seconds of each part and of the whole step, and how many regions the local pass has."""
    tokens = method.teach(images)
    pseudo = method.pseudo_labels(tokens.dense, labels)
    regions = Regions(pseudo, len(method.text) + method.config.most_latent)
    side, fill = method.config.local_side, method.config.local_fill

    def student() -> None:
        method.features(images).sum().backward()

    times = {
        "student, forward and backward": timed(student, repeats),
        "global: CLIP's tokens of the picture": timed(lambda: method.teach(images), repeats),
        "mining": timed(lambda: method.pseudo_labels(tokens.dense, labels), repeats),
        "local: CLIP on masked pictures": timed(
            lambda: local_tokens(method.clip, images, regions, side=side, fill=fill), repeats
        ),
        "whole step": timed(lambda: whole_step(method, images, labels), repeats),
    }
    return times, len(regions)


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median processor seconds of a call, after one that is not counted; other work on the machine counts little."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return median(taken)


def scenes() -> tuple[Clip, Images, Tensor]:
    """The built-in CLIP and the first 16 training scenes of fold 0."""
    bench = benchmark("shapes-5i")
    reader = Data().open(bench, "train")
    samples = [reader.read(number) for number in range(16)]
    table = training_table(bench.split, bench.split.fold(0), setting="inductive", border="void")
    pixels = np.stack([sample.image for sample in samples]).transpose(0, 3, 1, 2).copy()
    labels = np.stack([table[sample.mask] for sample in samples])
    clip = clip_of(builtin_clip())
    assert clip is not None
    return clip, Images(torch.from_numpy(pixels)), torch.from_numpy(labels)


def photo() -> tuple[Clip, Images, Tensor]:
    """ViT-B/16 without trained weights, and one noise picture of 512 pixels: three seen blocks, the rest unlabelled."""
    pixels = torch.randint(0, 256, (1, 3, 512, 512), dtype=torch.uint8)
    labels = torch.full((1, 512, 512), UNLABELLED, dtype=torch.uint8)
    for number, (top, left) in enumerate([(0, 0), (0, 300), (256, 128)]):
        labels[:, top : top + 160, left : left + 160] = number
        pixels[:, :, top : top + 160, left : left + 160] //= number + 2
    return load_clip("ViT-B-16", None), Images(pixels), labels


if __name__ == "__main__":
    main()
