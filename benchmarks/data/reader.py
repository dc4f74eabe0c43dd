"""What a data set is to the harness: ordered ids, and for each a picture with its mask.

A new data set is one subclass of `Reader` and one line in `benchmarks.data.datasets`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.mask_file import Mask
from benchmarks.data.photo_file import Turn, read_image
from splits.errors import DataError
from splits.loader import ids_sha256

Watch = Callable[[int, int], None]  # called with how many are done, of how many


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture with its truth."""

    id: str
    image: NDArray[np.uint8]  # (H, W, 3) RGB
    mask: Mask  # (H, W), the data set's own ids


class Reader(ABC):
    """One part of a data set. Reading never depends on what was read before."""

    ids: tuple[str, ...]  # in the order of the list
    partial: bool  # True where listed ids are left out because their files are not there
    mask_rule: str  # how the masks came to be; part of the protocol
    year: str = ""  # the edition, where a data set has several; part of the protocol

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def read(self, index: int) -> Sample:
        """The sample `ids[index]`. Raises DataError (one line) where a file is missing, broken or of the wrong kind."""

    def mask(self, index: int) -> Mask:
        """The mask of `ids[index]` alone, `(H, W)`: readers of files need not decode the picture for it."""
        return self.read(index).mask

    def prepare(self, watch: Watch = lambda done, total: None, jobs: int = 1) -> None:  # noqa: B027
        """Make once what reading needs and the data set has not; `watch` follows it. Safe to call again."""

    def files(self) -> tuple[Reader, Sequence[int]]:
        """The reader whose files are read, and which of its indices are: not itself where it takes from another."""
        return self, range(len(self))

    def content_sha256(self) -> str:
        """sha256 (hex) of the ids used, one a line, in order: that of the list's file where nothing is left out."""
        return ids_sha256(self.ids)


def paired(id_: str, photo: Path, mask: Mask, undecided: Turn = "refuse") -> Sample:
    """A mask with its photo, which is turned as the mask is; raises DataError where they differ in size."""
    image = read_image(photo, (mask.shape[1], mask.shape[0]), undecided)
    if image.shape[:2] != mask.shape:
        raise DataError(
            f"{id_}: the image is {image.shape[1]}x{image.shape[0]} and its mask {mask.shape[1]}x{mask.shape[0]} "
            "pixels (width x height); they must be equal: one of the two files is resized or belongs to another picture"
        )
    return Sample(id_, image, mask)
