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

from benchmarks.scoring.boundary import near_boundary
from benchmarks.scoring.windows import resized
from methods.label_codes import FIRST_CODE

READERS: Final = 4  # threads that read for a device that is not the CPU; beside a CPU's own scoring one is enough

T = TypeVar("T")


@dataclass(frozen=True)
class Truth:
    """The labels of one image, and which pixels lie near a boundary of them."""

    planes: Tensor  # (2, H, W) uint8: labels, and 1 near a boundary
    ignored: int  # pixels without a class

    @property
    def size(self) -> tuple[int, int]:
        """`(H, W)`."""
        return self.planes.shape[1], self.planes.shape[2]

    @staticmethod
    def of(labels: NDArray[np.uint8], classes: int) -> Truth:
        """Raises ValueError for a label that is neither a class nor a code."""
        labelled = labels < FIRST_CODE
        highest = int(labels.max(where=labelled, initial=0))
        if highest >= classes:
            raise ValueError(f"truth {highest}: expected classes in 0..{classes - 1}, or codes from {FIRST_CODE} on")
        planes = torch.from_numpy(np.stack([labels, near_boundary(labels)]))
        return Truth(planes, labels.size - int(np.count_nonzero(labelled)))


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


def at_short_side(image: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """A picture `(H, W, 3)` resized to the short side, bilinear; one that has it already is left as it is."""
    height, width = resized(image.shape[0], image.shape[1], short_side)
    if (height, width) == image.shape[:2]:
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; to a GPU from pinned memory, so that nobody waits for the copy."""
    if device.type == "cpu":
        return tensor
    pinned = tensor.pin_memory() if torch.cuda.is_available() else tensor
    return pinned.to(device, non_blocking=True)
