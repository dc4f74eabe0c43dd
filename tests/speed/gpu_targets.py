"""Two ratios on a device: a training step beside the released way (3x), an evaluation beside mmsegmentation's (2x).

    python -m tests.speed.gpu_targets [--device cuda]

Prints one line of JSON. Wall time with the device settled, medians of turns; equal outputs first. Ours is as runs are
made: with deterministic algorithms, as far as there are some. What it is measured beside may take any. On a CPU it is
small: a trial of the program.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.protocol import Inference
from benchmarks.scoring.confusion import count
from benchmarks.scoring.evaluate import best_classes
from benchmarks.scoring.predict import winner
from methods.precision import float32_products
from results.launch.run.training import set_up
from tests.speed import released_way, step
from tests.speed.scoring import CANVAS, GRID, TRUTH, Given, _grid, _iou_metric, _truth, vocabulary

T = TypeVar("T")
LOSSES_WITHIN = 0.02  # relative: bf16 beside float32, and on a GPU other dropout masks of the same rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    device = parser.parse_args().device
    set_up(device, torch.get_num_threads(), half=True)
    with float32_products():
        rows = [*steps(device), *evaluations(device)]
    print(json.dumps(rows))


def steps(device: str) -> list[dict[str, Any]]:
    """`_steps` of the papers' batch, or of the largest half of it that fits."""
    side, batch = (64, 2) if device == "cpu" else (512, 16)
    while True:
        try:
            return _steps(device, side, batch)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        batch //= 2
        torch.cuda.empty_cache()


def _steps(device: str, side: int, batch: int) -> list[dict[str, Any]]:
    """A step of ours in float32 and in bf16, beside the tower called as the released code calls it, in float32."""
    method = step.zegclip(step.SEEN).to(device)
    ours, theirs = (
        step.step(method, side, batch, device=device),
        free(step.step(method, side, batch, way=released_way.loss, device=device)),
    )
    half = step.step(method, side, batch, bf16=True, device=device)
    expected = float(theirs())
    for one in (ours, half):
        assert abs(float(one()) - expected) <= LOSSES_WITHIN * abs(expected)
    times = turns([ours, half, theirs], device)
    what = f"ZegCLIP's training step, {side} px, batch {batch}"
    return [
        _row(f"{what}, float32", times[2] / times[0], 1.0),
        _row(f"{what}, bf16 beside float32", times[2] / times[1], 3.0),
    ]


@torch.inference_mode()
def evaluations(device: str) -> list[dict[str, Any]]:
    """From scores on the method's grid to the confusion matrix, beside mmsegmentation's resizes, argmax, count."""
    rows, metric = [], _iou_metric()
    for classes in (20, 171):
        grid, truth = _grid(classes).to(device), _truth(classes).to(device)
        method, words = Given(grid), vocabulary(classes)
        image, inference = np.zeros((*CANVAS, 3), np.uint8), Inference(short_side=min(CANVAS))

        def ours(method=method, words=words, image=image, inference=inference, truth=truth, c=classes) -> Tensor:
            best = winner(*best_classes(method, image, words, inference, TRUTH, device))
            return count(truth, best[1].long(), c)

        @free
        def theirs(grid=grid, truth=truth, c=classes) -> tuple:
            scores = interpolate(grid, size=CANVAS, mode="bilinear", align_corners=False)
            scores = interpolate(scores, size=TRUTH, mode="bilinear", align_corners=False)
            return metric(scores.argmax(dim=1)[0], truth, c, 255)

        assert torch.equal(ours().diagonal().double().cpu(), theirs()[0].double().cpu())
        times = turns([ours, theirs], device)
        what = f"{GRID[0]}x{GRID[1]} scores of {CANVAS[0]}x{CANVAS[1]} to the matrix, {classes} classes"
        rows.append(_row(what, times[1] / times[0], 2.0))
    return rows


def free(call: Callable[[], T]) -> Callable[[], T]:
    """A call in which torch may take any algorithm."""

    def freely() -> T:
        torch.use_deterministic_algorithms(False)
        try:
            return call()
        finally:
            torch.use_deterministic_algorithms(True, warn_only=True)

    return freely


def turns(calls: list[Callable[[], object]], device: str) -> list[float]:
    """Median seconds of each, called in turns."""
    settle = torch.cuda.synchronize if device == "cuda" else lambda: None
    taken: list[list[float]] = [[] for _ in calls]
    for turn in range(2 if device == "cpu" else 8):
        for call, into in zip(calls, taken, strict=True):
            settle()
            start = time.perf_counter()
            call()
            settle()
            into += [time.perf_counter() - start] if turn else []
    return [statistics.median(of) for of in taken]


def _row(what: str, ratio: float, target: float) -> dict[str, Any]:
    return {"what": what, "ratio": round(ratio, 2), "to reach": target, "reached": ratio >= target}


if __name__ == "__main__":
    main()
