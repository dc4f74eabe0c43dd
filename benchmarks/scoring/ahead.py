"""What scoring an image needs from its files, made while earlier images are scored: picture, truth, boundaries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.labels import Labels, class_indices, code
from benchmarks.protocol import Inference
from benchmarks.scoring.boundary import near_boundary
from benchmarks.scoring.windows import resized
from methods.label_codes import FIRST_CODE

READERS: Final = 4  # threads that read for a device that is not the CPU; beside a CPU's own scoring one is enough

T = TypeVar("T")


@dataclass(frozen=True)
class Truth:
    """The labels of one image, and which pixels lie near a boundary of them."""

    planes: Tensor  # (2, H, W) uint8, int32 of labels of 16 bits: labels, and 1 near a boundary
    ignored: int  # pixels without a class
    first_code: int = FIRST_CODE  # labels below it are class indices

    @property
    def size(self) -> tuple[int, int]:
        """`(H, W)`."""
        return self.planes.shape[1], self.planes.shape[2]

    @staticmethod
    def of(labels: Labels, classes: int) -> Truth:
        """Raises ValueError for a label that is neither a class nor a code."""
        labelled, first = class_indices(labels), code(FIRST_CODE, labels.dtype)
        highest = int(labels.max(where=labelled, initial=0))
        if highest >= classes:
            raise ValueError(f"truth {highest}: expected classes in 0..{classes - 1}, or codes from {first} on")
        planes = np.stack([labels, near_boundary(labels)])
        known = planes if planes.dtype == np.uint8 else planes.astype(np.int32)  # torch counts 16 bits without a sign
        return Truth(torch.from_numpy(known), labels.size - int(np.count_nonzero(labelled)), first)


def in_order(read: Callable[[int], T], count: int, device: torch.device) -> Iterator[T]:
    """`read(0)`, `read(1)` and so on, each begun before it is needed."""
    readers = 1 if device.type == "cpu" else READERS
    with ThreadPoolExecutor(max_workers=readers) as pool:
        begun: deque[Future[T]] = deque()
        try:
            for index in range(count):
                while len(begun) <= readers and index + len(begun) < count:
                    begun.append(pool.submit(read, index + len(begun)))
                yield begun.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def at_short_side(image: NDArray[np.uint8], inference: Inference) -> NDArray[np.uint8]:
    """A picture `(H, W, 3)` at the size that is scored, bilinear; one that has it already is left as it is."""
    height, width = resized(image.shape[0], image.shape[1], inference.short_side, inference.long_side)
    if (height, width) == image.shape[:2]:
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; to a GPU from pinned memory, so that nobody waits for the copy."""
    if device.type == "cpu":
        return tensor
    pinned = tensor.pin_memory() if torch.cuda.is_available() else tensor
    return pinned.to(device, non_blocking=True)
