"""Training batches: a deterministic, endless order of images, the same whatever the number of workers or restarts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.choices import CropDecision
from benchmarks.data.mask_file import Mask
from benchmarks.data.reader import Reader
from benchmarks.labels import Table, apply
from benchmarks.training.augmentation import Augmentation, sample_seed
from benchmarks.training.transforms import TrainPipeline
from benchmarks.values import derive_seed
from methods.method import Images
from splits.errors import UserError

Draw = tuple[int, int]  # epoch, image index
Item = tuple[np.ndarray, np.ndarray, tuple[int, int]]  # picture, labels, real size


def order(count: int, *, seed: int, batch: int, start: int) -> Iterator[list[Draw]]:
    """Batches of draws from step `start` on: shuffled epochs one after the other, batches reaching over their ends."""
    epoch, position = divmod(start * batch, count)
    shuffled = _permutation(count, seed, epoch)
    while True:
        draws: list[Draw] = []
        while len(draws) < batch:
            if position == count:
                epoch, position = epoch + 1, 0
                shuffled = _permutation(count, seed, epoch)
            draws.append((epoch, int(shuffled[position])))
            position += 1
        yield draws


def share_of(draws: list[Draw], rank: int, ranks: int) -> list[Draw]:
    """One rank's draws of a batch: equal shares, in the order of ranks, which together are the batch."""
    size = len(draws) // ranks
    return draws[rank * size : (rank + 1) * size]


class TrainSet(Dataset):
    """Images of a reader with the labels a method may see, augmented; a draw decides everything random about it."""

    def __init__(
        self,
        reader: Reader,
        table: np.ndarray,
        augmentation: Augmentation,
        *,
        full_table: np.ndarray,
        crop_decision: CropDecision,
        seed: int,
    ):
        self._reader, self._table, self._seed = reader, table, seed
        self._full_table = full_table if crop_decision == "full" else None  # else no unseen label gets past here
        self._pipeline = TrainPipeline(augmentation, crop_decision=crop_decision)

    def __getitem__(self, draw: Draw) -> Item | UserError:
        """A sample, or the error why there is none: one raised in a worker would come with its trace."""
        epoch, index = draw
        try:
            sample = self._reader.read(index)
            labels = _bytes(self._table, sample.mask)
            full = None if self._full_table is None else _bytes(self._full_table, sample.mask)
        except UserError as error:
            return error
        return self._pipeline(sample.image, labels, full, sample_seed(self._seed, epoch, index))


def _bytes(table: Table, mask: Mask) -> NDArray[np.uint8]:
    """Labels to train on, which are bytes: `training_table` refuses more classes than they hold."""
    assert table.dtype == np.uint8
    return cast(NDArray[np.uint8], apply(table, mask))


def batches(
    dataset: TrainSet,
    count: int,
    *,
    seed: int,
    batch: int,
    start: int,
    workers: int,
    rank: int = 0,
    ranks: int = 1,
    pinned: bool = False,
) -> Iterator[tuple[Images, Tensor]]:
    """Endless `(Images, labels (B, H, W) uint8)` from step `start` on. Raises UserError where a sample is broken.

    batch: of all ranks together, a multiple of `ranks`; B is one rank's share of it. pinned: in memory from which a
    GPU copies by itself (needs one).
    """
    drawn = (share_of(draws, rank, ranks) for draws in order(count, seed=seed, batch=batch, start=start))
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=drawn,  # type: ignore[arg-type]
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_collate,
        pin_memory=pinned,
        generator=torch.Generator(),  # otherwise the loader draws from the global one and shifts every later draw
        worker_init_fn=_one_thread,
    )
    for batch_or_error in loader:
        if isinstance(batch_or_error, UserError):
            raise batch_or_error
        pixels, sizes, labels = batch_or_error
        yield Images(pixels, sizes), labels


def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(derive_seed("order", seed, epoch))).permutation(count)


def _collate(drawn: list[Item | UserError]) -> tuple[Tensor, Tensor | None, Tensor] | UserError:
    """Pixels, sizes and labels: of a plain tuple the loader pins each tensor."""
    items: list[Item] = []
    for item in drawn:
        if isinstance(item, UserError):
            return item
        items.append(item)
    pixels = torch.from_numpy(np.stack([image for image, _, _ in items]))  # (B, 3, H, W)
    labels = torch.from_numpy(np.stack([labels for _, labels, _ in items]))  # (B, H, W)
    sizes = torch.tensor([size for _, _, size in items], dtype=torch.int64)
    padded = bool((sizes != torch.tensor(pixels.shape[-2:])).any())
    return pixels, sizes if padded else None, labels


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
