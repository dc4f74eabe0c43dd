"""What the tiny CLIP knows: zero-shot top-1 on pictures, and training-free dense mIoU from its plain projected tokens.

`python -m benchmarks.shapes.clip.measure` prints both for the weights that come with the benchmark.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from torch import Tensor

from benchmarks.scoring.metrics import iou_per_class
from benchmarks.shapes.clip.tower import WEIGHTS, create, encode_images, prototypes
from benchmarks.shapes.world import CLIP_PARTS, NAMES, Part, render_picture, render_scene

_BATCH = 50


def _batches(count: int) -> Iterator[range]:
    return (range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH))


def _stack(images: Iterable[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(list(images)))


@torch.inference_mode()
def zero_shot_top1(model: CLIP, part: Part = CLIP_PARTS["check"], *, size: int = 64) -> float:
    """Share of single-object pictures whose CLS token is nearest to its own name's text, in [0, 1]."""
    texts, right = prototypes(model, NAMES), 0
    for batch in _batches(part.count):
        pictures = [render_picture(part.seed, index, size=size) for index in batch]
        cls_token, _ = encode_images(model, _stack(p.image for p in pictures))
        best = (F.normalize(cls_token, dim=-1) @ texts.T).argmax(dim=1).tolist()
        right += sum(NAMES[b] in p.names for b, p in zip(best, pictures, strict=True))
    return right / part.count


@torch.inference_mode()
def dense_miou(model: CLIP, part: Part = CLIP_PARTS["check"], *, size: int = 64) -> float:
    """Mean IoU in [0, 1] of labelling each pixel by its nearest name, over the 20 classes, background pixels ignored.

    Cosines of the plain projected tokens are upsampled bilinearly to the picture before the best name is taken.
    """
    texts = prototypes(model, NAMES)
    confusion = np.zeros((len(NAMES), len(NAMES)), dtype=np.int64)  # true, said
    for batch in _batches(part.count):
        scenes = [render_scene(part.seed, index, size=size) for index in batch]
        _, tokens = encode_images(model, _stack(s.image for s in scenes))
        scores = (F.normalize(tokens, dim=-1) @ texts.T).permute(0, 3, 1, 2)  # (B, 20, h, w)
        scores = F.interpolate(scores, size=(size, size), mode="bilinear", align_corners=False)
        said = scores.argmax(dim=1).numpy()
        true = np.stack([s.mask for s in scenes]).astype(np.int64) - 1
        pairs = true[true >= 0] * len(NAMES) + said[true >= 0]
        confusion += np.bincount(pairs, minlength=confusion.size).reshape(confusion.shape)
    return float(iou_per_class(confusion).mean())


def figures(model: CLIP, part: Part = CLIP_PARTS["check"]) -> dict[str, float]:
    """The figures that the weights' card records."""
    return {
        "top1_64": zero_shot_top1(model, part),
        "dense_miou_64": dense_miou(model, part),
        "dense_miou_96": dense_miou(model, part, size=96),
    }


def main() -> None:
    """Prints the figures of a weights file as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    print(json.dumps(figures(create(parser.parse_args().weights)), indent=2))


if __name__ == "__main__":
    main()
