"""The class of every pixel of one image: what `benchmarks.scoring.evaluate` counts, as a map."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.choices import Precision
from benchmarks.labels import Labels
from benchmarks.protocol import Inference
from benchmarks.scoring.decision import Decision
from benchmarks.scoring.evaluate import PLAIN, Best, best_classes
from methods.method import FIRST_CODE, Method, Vocabulary
from splits.errors import UserError


@torch.inference_mode()
def predicted(
    method: Method,
    image: NDArray[np.uint8],
    vocabulary: Vocabulary,
    inference: Inference,
    size: tuple[int, ...],
    *,
    decision: Decision = PLAIN,
    background_below: float | None = None,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
) -> Labels:
    """Class indices `(H, W)` of an image `(H, W, 3)` at a size; ties go to the lower class.

    Of bytes, or of 16 bits where bytes have no room for them beside the codes of labels. decision: what classes the
    vocabulary's names stand for. background_below: a best activated score below it says background, one index past the
    classes. Raises UserError where that is no finite number.
    """
    if background_below is not None and not math.isfinite(background_below):
        raise UserError(f"background below {background_below}: expected a finite score")
    count, most = decision.classes(len(vocabulary)), FIRST_CODE - (background_below is not None)
    said = best_classes(method, image, vocabulary, inference, size, device, precision=precision, decision=decision)
    best = winner(*said)
    scores, classes = best
    if background_below is not None:
        classes = torch.where(scores.double() >= background_below, classes, count)
    if count <= most:
        return classes.to(torch.uint8).cpu().numpy()
    return classes.to(torch.int32).cpu().numpy().astype(np.uint16)


def winner(seen: Best | None, unseen: Best | None) -> Best:
    """The better of the best seen and the best unseen class of every pixel, ties to the lower class."""
    if seen is None or unseen is None:
        only = seen or unseen
        assert only is not None, "a vocabulary has at least one class"
        return only
    first = (seen[0] > unseen[0]) | ((seen[0] == unseen[0]) & (seen[1] < unseen[1]))
    return torch.where(first, seen[0], unseen[0]), torch.where(first, seen[1], unseen[1])
