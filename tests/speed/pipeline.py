"""The training pipeline on photos, from file to sample, beside mmsegmentation's own."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data.datasets import open_reader
from benchmarks.labels import apply, training_table
from benchmarks.training.augmentation import PHOTOS
from benchmarks.training.transforms import TrainPipeline
from splits.loader import load_split
from tests.speed.compare import Row, alternate

IMAGES = 24


def rows(repeats: int, data_root: Path) -> Iterator[Row]:
    """One call is 24 images. data_root: where VOC lies; a subset of it will do."""
    split = load_split("pascal-5i")
    reader = open_reader(split, "train", data_root=data_root, subset=True)
    table = training_table(split, split.fold(3), setting="inductive")
    pipeline, steps = TrainPipeline(PHOTOS), _steps()
    samples = [reader.read(index) for index in range(IMAGES)]

    def transformed(index: int) -> tuple:
        return pipeline(samples[index].image, apply(table, samples[index].mask), None, index)

    def mmsegmentation(index: int) -> dict[str, Any]:
        labels = apply(table, samples[index].mask)
        decision = np.where(labels >= 253, np.uint8(255), labels)
        return _applied(steps, samples[index].image, {"gt_seg_map": decision, "labels": labels}, index)

    for index in range(IMAGES):
        image, labels, (height, width) = transformed(index)
        theirs = mmsegmentation(index)
        assert np.array_equal(image[:, :height, :width].transpose(1, 2, 0), theirs["img"][..., ::-1])
        assert np.array_equal(labels[:height, :width], theirs["labels"])
    times = alternate(_over_all(transformed), _over_all(mmsegmentation), repeats)
    yield Row("training transforms, 24 photos", "mmsegmentation's transforms", *times, target=1.5, note=_rate(times[0]))

    def read(index: int) -> tuple:
        sample = reader.read(index)
        return pipeline(sample.image, apply(table, sample.mask), None, index)

    loaders, folder = _loaders(), _voc(data_root)

    def loaded(index: int) -> object:
        id_ = reader.ids[index]
        results: dict[str, Any] = {
            "img_path": str(folder / "JPEGImages" / f"{id_}.jpg"),
            "seg_map_path": str(folder / "SegmentationClassAug" / f"{id_}.png"),
            "reduce_zero_label": False,
            "label_map": None,
            "seg_fields": [],
        }
        np.random.seed(index)
        for step in (*loaders, *steps):
            results = step(results)
        return results

    times = alternate(_over_all(read), _over_all(loaded), repeats)
    yield Row("files to samples, 24 photos", "mmsegmentation's pipeline", *times, target=1.5, note=_rate(times[0]))


def _rate(timing: Any) -> str:
    return f"ours {IMAGES / timing.processor:.0f} images/s per core"


def _over_all(one: Callable[[int], object]) -> Callable[[], None]:
    def run() -> None:
        for index in range(IMAGES):
            one(index)

    return run


def _applied(steps: list, image: np.ndarray, maps: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
    results: dict[str, Any] = {"img": np.ascontiguousarray(image[:, :, ::-1]), "img_shape": image.shape[:2], **maps}
    results["seg_fields"] = list(maps)
    np.random.seed([seed, 0])  # as `benchmarks.training.transforms` does for small seeds
    for step in steps:
        results = step(results)
    return results


def _steps() -> list:
    with contextlib.redirect_stdout(io.StringIO()):
        from mmcv.transforms import RandomResize
        from mmseg.datasets.transforms import PhotoMetricDistortion, RandomCrop, RandomFlip, Resize
    assert PHOTOS.resize is not None
    assert PHOTOS.crop is not None
    return [
        RandomResize(PHOTOS.resize, PHOTOS.resize_ratio, resize_type=Resize, keep_ratio=True),
        RandomCrop(PHOTOS.crop, PHOTOS.cat_max_ratio, ignore_index=255),
        RandomFlip(prob=PHOTOS.flip),
        PhotoMetricDistortion(),
    ]


def _loaders() -> list:
    with contextlib.redirect_stdout(io.StringIO()):
        from mmcv.transforms import LoadImageFromFile
        from mmseg.datasets.transforms import LoadAnnotations
    return [LoadImageFromFile(), LoadAnnotations()]


def _voc(data_root: Path) -> Path:
    return next(path.parent for path in sorted(data_root.rglob("JPEGImages")))
