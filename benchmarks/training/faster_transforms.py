"""mmsegmentation's random crop and photometric distortion, their slow parts done faster: same draws, same bytes.

Imported where a pipeline is built, not before: mmsegmentation takes seconds and torch.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmseg.datasets.transforms import PhotoMetricDistortion, RandomCrop
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]


class Crop(RandomCrop):
    """The crop decision counts labels in one pass over a byte map instead of sorting them."""

    def crop_bbox(self, results: dict[str, Any]) -> tuple[int, int, int, int]:
        """Top, bottom, left, right of the crop: up to ten tries for one in which no class has too much."""
        height, width = results["img"].shape[:2]
        box = self._drawn(height, width)
        if self.cat_max_ratio < 1:
            for _ in range(10):
                counts = _histogram(self.crop(results["gt_seg_map"], box))
                counts[self.ignore_index] = 0
                if np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio:
                    break
                box = self._drawn(height, width)
        return box

    def _drawn(self, height: int, width: int) -> tuple[int, int, int, int]:
        top = np.random.randint(0, max(height - self.crop_size[0], 0) + 1)
        left = np.random.randint(0, max(width - self.crop_size[1], 0) + 1)
        return top, top + self.crop_size[0], left, left + self.crop_size[1]


def _histogram(labels: UInt8) -> NDArray[np.int64]:
    """How often each of the 256 labels stands in a map."""
    if labels.size >= 1 << 24:  # OpenCV counts in float32
        return np.bincount(labels.ravel(), minlength=256)
    return cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel().astype(np.int64)


class Distortion(PhotoMetricDistortion):
    """What becomes of a byte is worked out once for each of the 256, then looked up."""

    def convert(self, img: UInt8, alpha: float = 1, beta: float = 0) -> UInt8:
        """`img * alpha + beta`, clipped to bytes."""
        return _looked_up(img, super().convert(np.arange(256, dtype=np.uint8), alpha, beta))

    def hue(self, img: UInt8) -> UInt8:
        """The hue moved round its circle of 180, for every other picture."""
        if np.random.randint(2):
            hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
            moved = (np.arange(256) + np.random.randint(-self.hue_delta, self.hue_delta)) % 180
            hsv[:, :, 0] = _looked_up(hsv[:, :, 0].astype(np.uint8), moved.astype(np.uint8))
            return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), dtype=np.uint8)
        return img


def to_bgr(results: dict[str, Any]) -> dict[str, Any]:
    """Channels reversed (and back): mmsegmentation's colour transforms expect blue first."""
    results["img"] = cv2.cvtColor(results["img"], cv2.COLOR_RGB2BGR)
    return results


def _looked_up(bytes_: UInt8, table: UInt8) -> UInt8:
    return np.asarray(cv2.LUT(np.ascontiguousarray(bytes_), table), dtype=np.uint8)
