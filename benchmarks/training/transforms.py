"""The training pipeline: mmsegmentation's transforms (they are the papers'), reproducible and blind to unseen labels.

ZegCLIP, configs/_base_/datasets: Resize to (2048, 512) times U[0.5, 2] keeping the ratio, RandomCrop 512 with
cat_max_ratio 0.75, flip, PhotoMetricDistortion, pad. Bytes out: every part of a method normalises for itself. What a
sample becomes depends on its seed alone, not on worker, order or what was drawn before.
"""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.choices import CropDecision
from benchmarks.training.augmentation import Augmentation
from methods.label_codes import UNLABELLED, UNSEEN_EXTENT, VOID

UInt8 = NDArray[np.uint8]


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """numpy's and random's global states seeded within and as before afterwards: mmsegmentation draws from them."""
    state, state_of_random = np.random.get_state(), random.getstate()
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF])
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
        random.setstate(state_of_random)


def _transforms(config: Augmentation) -> list[Callable[[dict[str, Any]], dict[str, Any] | None]]:
    """mmsegmentation's transforms for this configuration, imported here because that takes seconds and torch."""
    with contextlib.redirect_stdout(io.StringIO()):  # mmseg's import prints a line about an optional extra
        from mmcv.transforms import RandomResize
        from mmseg.datasets.transforms import RandomFlip, Resize

        from benchmarks.training.faster_transforms import Crop, Distortion, to_bgr
    steps: list[Callable[[dict[str, Any]], dict[str, Any] | None]] = []
    if config.resize is not None:  # mmcv's own Resize would leave all label maps but one as they are
        steps.append(RandomResize(config.resize, config.resize_ratio, resize_type=Resize, keep_ratio=True))
    if config.crop is not None:
        steps.append(Crop(config.crop, config.cat_max_ratio, ignore_index=UNLABELLED))
    if config.flip > 0:
        steps.append(RandomFlip(prob=config.flip))
    if config.photometric:
        steps += [to_bgr, Distortion(), to_bgr]
    return steps


def _padded(array: UInt8, side: int, value: int) -> UInt8:
    """Rows below and columns to the right filled with `value` up to `side`."""
    below, right = max(side - array.shape[0], 0), max(side - array.shape[1], 0)
    return np.pad(array, ((0, below), (0, right), *[(0, 0)] * (array.ndim - 2)), constant_values=value)


class TrainPipeline:
    """Augments one sample.

    crop_decision: which labels RandomCrop's cat_max_ratio looks at. "masked": the training labels, all codes
    (unlabelled, void, unseen) ignored, so that nothing about unseen objects decides a crop. "full": all classes, as the
    released ZegCLIP does, which leaks where unseen objects end.

    Not for use by several threads at once: it borrows the global random states.
    """

    def __init__(self, augmentation: Augmentation, *, crop_decision: CropDecision = "masked") -> None:
        if crop_decision not in get_args(CropDecision):
            raise ValueError(f"unknown crop decision {crop_decision!r}; there are: {', '.join(get_args(CropDecision))}")
        self.augmentation, self.crop_decision = augmentation, crop_decision

    @cached_property
    def _steps(self) -> list[Callable[[dict[str, Any]], dict[str, Any] | None]]:
        return _transforms(self.augmentation)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_steps"}  # built again where it is used

    def __call__(
        self, image: UInt8, labels: UInt8, full_labels: UInt8 | None, rng_seed: int
    ) -> tuple[UInt8, UInt8, tuple[int, int]]:
        """One augmented sample.

        image: `(H, W, 3)` RGB. labels: `(H, W)` training labels with the codes of `benchmarks.labels`. full_labels:
        `(H, W)` classes of all kinds with 255 ignored (`evaluation_table`), looked at by crop_decision "full" alone,
        else None will do. rng_seed: see `sample_seed`.

        Returns `(3, h, w)` and `(h, w)` contiguous arrays and the `(height, width)` of the real picture within them:
        below and right of it labels are 254 and pixels 0. Raises ValueError for other shapes or types.
        """
        decision = self._decision(image, labels, full_labels)
        results: dict[str, Any] = {
            "img": image,
            "img_shape": image.shape[:2],
            "gt_seg_map": decision,  # the map RandomCrop decides by
            "labels": labels,
            "seg_fields": ["gt_seg_map", "labels"],
        }
        with _seeded(rng_seed):
            for step in self._steps:
                results = step(results) or results
        image, labels = results["img"], results["labels"]
        height, width = labels.shape
        if self.augmentation.crop is not None:
            image, labels = _padded(image, self.augmentation.crop, 0), _padded(labels, self.augmentation.crop, VOID)
        return np.ascontiguousarray(image.transpose(2, 0, 1)), np.array(labels, order="C"), (height, width)

    def _decision(self, image: UInt8, labels: UInt8, full_labels: UInt8 | None) -> UInt8:
        """The label map that decides crops; 255 counts for no class there."""
        maps = [labels] if full_labels is None else [labels, full_labels]
        if image.ndim != 3 or image.shape[2] != 3 or any(m.shape != image.shape[:2] for m in maps):
            raise ValueError(
                f"image {image.shape} with labels {[m.shape for m in maps]}; expected (H, W, 3) and (H, W)"
            )
        if any(array.dtype != np.uint8 for array in (image, *maps)):
            raise ValueError(f"image and labels must be uint8, got {[array.dtype for array in (image, *maps)]}")
        if self.crop_decision == "masked":
            return np.where(labels >= UNSEEN_EXTENT, np.uint8(UNLABELLED), labels)
        if full_labels is None:
            raise ValueError("crop decision 'full' needs the full labels")
        return full_labels
