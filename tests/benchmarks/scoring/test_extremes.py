"""Images and vocabularies at the edges of what is possible: the right answer, or one clear line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from benchmarks.labels import evaluation_table, training_table  # noqa: E402
from benchmarks.protocol import Inference  # noqa: E402
from benchmarks.scoring.evaluate import best_classes, evaluate  # noqa: E402
from benchmarks.scoring.metrics import summary  # noqa: E402
from benchmarks.training.augmentation import Augmentation  # noqa: E402
from benchmarks.training.batches import TrainSet, batches  # noqa: E402
from methods.method import FIRST_CODE, Images, Method, Vocabulary  # noqa: E402
from splits.errors import DataError  # noqa: E402
from splits.loader import load_split  # noqa: E402

SHAPES = load_split("shapes-5i")
SIZES = [(1, 1), (1, 7), (7, 1), (3, 200), (200, 3)]


class Loudest(Method):
    """Class c scores by how near the mean colour of the picture is to c."""

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        mean = images.pixels.float().mean(dim=(1, 2, 3))  # (B,)
        near = -(mean[:, None] - torch.arange(len(vocabulary), dtype=torch.float32)).abs()
        return near[:, :, None, None].expand(-1, -1, *images.pixels.shape[-2:])

    def activate(self, scores: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        return scores


def words(count: int, seen: int) -> Vocabulary:
    names = tuple(f"c{index}" for index in range(count))
    return Vocabulary(names, tuple(index < seen for index in range(count)), names, ("a {}",))


def plain(colour: int, id_: int, size: tuple[int, int]):
    return np.full((*size, 3), colour, np.uint8), np.full(size, id_, np.uint8)


def scored(make_reader, pairs, inference: Inference):
    fold = SHAPES.fold(0)
    table = evaluation_table(SHAPES, fold)
    return evaluate(Loudest(), make_reader(pairs), words(20, 15), inference, table)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", [None, 16])
def test_tiny_and_thin_images_are_scored(make_reader, size: tuple[int, int], window: int | None) -> None:
    """Fails when an image of one pixel, or one far thinner than a window, is refused or scored at other pixels."""
    inference = Inference(short_side=16, window=window, stride=window)
    found = scored(make_reader, [plain(3, 4, size)], inference)  # id 4 is class 3
    expected = np.zeros((20, 20), np.int64)
    expected[3, 3] = size[0] * size[1]
    assert np.array_equal(found.matrices[found.own_index], expected)


@pytest.mark.parametrize("size", SIZES)
def test_images_smaller_than_the_crop_are_padded(make_reader, size: tuple[int, int]) -> None:
    """Fails when an image smaller than the crop is refused, stretched, or its padding is learned from."""
    augmentation = Augmentation(resize=None, crop=32, cat_max_ratio=1.0, photometric=False, flip=0.0)
    fold = SHAPES.fold(3)
    items = TrainSet(
        make_reader([plain(9, 4, size)]),
        training_table(SHAPES, fold, setting="inductive"),
        augmentation,
        full_table=evaluation_table(SHAPES, fold),
        crop_decision="masked",
        seed=0,
    )
    images, labels = next(batches(items, 1, seed=0, batch=2, start=0, workers=0))
    assert images.pixels.shape == (2, 3, 32, 32) == (*images.pixels.shape[:2], *labels.shape[1:])
    learned = labels < FIRST_CODE
    assert int(learned[0].sum()) == min(size[0], 32) * min(size[1], 32)
    assert labels[learned].unique().tolist() == [3]


def test_an_empty_val_set_has_no_score(make_reader) -> None:
    """Fails when scoring nothing raises, or gives 0 instead of nothing."""
    found = scored(make_reader, [], Inference(short_side=16))
    assert found.images == 0
    assert found.matrices.sum() == 0
    metrics = summary(found.matrices[found.own_index], words(20, 15).seen)
    assert all(np.isnan(value) for value in (metrics.pacc, metrics.miou_seen, metrics.miou_unseen, metrics.hiou))


def test_a_class_without_pixels_is_not_averaged(make_reader) -> None:
    """Fails when a class that is nowhere counts as 0, or as whatever nan makes of the mean."""
    found = scored(make_reader, [plain(3, 4, (8, 8)), plain(17, 18, (8, 8))], Inference(short_side=8))
    metrics = summary(found.matrices[found.own_index], words(20, 15).seen)
    assert (metrics.miou_seen, metrics.miou_unseen, metrics.hiou) == (1.0, 1.0, 1.0)
    assert sum(np.isnan(metrics.iou)) == 18


@pytest.mark.parametrize("colour", [0, 15, 16, 200])
def test_a_thousand_classes_are_told_apart(colour: int) -> None:
    """Fails when the chunks of a long vocabulary, or class numbers above 255, give another class than all at once."""
    vocabulary = words(1000, 500)
    image = np.full((6, 9, 3), colour, np.uint8)
    seen, unseen = best_classes(Loudest(), image, vocabulary, Inference(short_side=6), (6, 9))
    assert seen is not None
    assert unseen is not None
    assert (seen[1] == colour).all()
    assert (unseen[1] == 500).all()


def test_more_classes_than_a_mask_can_hold_is_one_line() -> None:
    """Fails when a benchmark of more classes than a 16-bit mask can hold is scored with wrapped ids."""
    names = tuple(f"c{index}" for index in range(70_000))
    with pytest.raises(DataError, match=r"mask values must be distinct and within 0\.\.65535") as error:
        dataclasses.replace(SHAPES, classes=names, ids=tuple(range(70_000)))
    assert "\n" not in str(error.value)
