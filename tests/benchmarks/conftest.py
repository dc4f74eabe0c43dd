"""What the tests of the measuring core share: readers made of arrays, small specs and recipes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.data.reader import Reader, Sample
from benchmarks.protocol import DataSource, EvalSide, Inference, Protocol, Queries, TrainSide
from benchmarks.spec import ClipId, EvalSpec, Recipe, TrainSpec
from benchmarks.training.augmentation import Augmentation

NAMES = ("cat", "dog", "cow", "bus")


class ArrayReader(Reader):
    """A data set made of `(image, mask)` pairs."""

    mask_rule = "given"
    partial = False

    def __init__(self, pairs):
        self.pairs = list(pairs)
        self.ids = tuple(f"picture-{index}" for index in range(len(self.pairs)))

    def read(self, index):
        image, mask = self.pairs[index]
        return Sample(self.ids[index], image.copy(), mask.copy())


@pytest.fixture(scope="session")
def make_reader():
    """`make_reader([(image, mask), ...])`."""
    return ArrayReader


@pytest.fixture(scope="session")
def random_reader():
    """`random_reader(5, 8, 12)`: noise with random masks of ids 0..4 and 255."""

    def make(count, height, width, seed=0, ids=(0, 1, 2, 3, 4, 255)):
        rng = np.random.default_rng(seed)
        return ArrayReader(
            (
                rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
                rng.choice(np.array(ids, dtype=np.uint8), (height, width)),
            )
            for _ in range(count)
        )

    return make


@pytest.fixture(scope="session")
def make_recipe():
    """`make_recipe(iterations=7)`: a small recipe."""

    def make(**changes):
        base = {"name": "test", "iterations": 10, "batch": 2, "augmentation": Augmentation(), "lr": 1e-2}
        return Recipe(**(base | changes))

    return make


@pytest.fixture(scope="session")
def example():
    """One value of every kind, written out: the hashes of these are pinned."""
    queries = Queries(texts=NAMES, templates=("a photo of a {}",))
    train_data = DataSource(dataset="voc2012", ids_sha256="11" * 32, mask_rule="SegmentationClassAug")
    val_data = DataSource(dataset="voc2012", ids_sha256="22" * 32, mask_rule="SegmentationClassAug")
    train = TrainSide(classes=NAMES, seen=("cat", "dog", "bus"), queries=queries, data=train_data)
    evaluation = EvalSide(
        classes=NAMES,
        seen=("cat", "dog", "bus"),
        queries=queries,
        data=val_data,
        inference=Inference(short_side=512, window=512, stride=426),
    )
    recipe = Recipe(name="paper", iterations=20_000, batch=16, augmentation=Augmentation(), lr=2e-4)
    return {
        "protocol": Protocol(train=train, evaluation=evaluation),
        "train": TrainSpec(
            method="zegclip",
            config={"prompt_tokens": 100},
            benchmark="pascal-5i",
            fold=3,
            seed=0,
            side=train,
            clip=ClipId(model="ViT-B-16", pretrained="openai"),
            recipe=recipe,
        ),
        "evaluation": EvalSpec(benchmark="pascal-5i", fold=3, side=evaluation),
    }
