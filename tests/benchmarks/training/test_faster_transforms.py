"""The faster transforms against mmsegmentation's own: the same draws and the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("mmseg")
from mmcv.transforms import RandomResize
from mmseg.datasets.transforms import PhotoMetricDistortion, RandomCrop, RandomFlip, Resize

from benchmarks.labels import UNLABELLED, VOID
from benchmarks.training.augmentation import PHOTOS
from benchmarks.training.faster_transforms import Crop, Distortion
from benchmarks.training.transforms import TrainPipeline


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 10_000))
def test_distortion(height: int, width: int, seed: int) -> None:
    """Fails when a byte comes out otherwise, or a number is drawn more or less than by mmsegmentation."""
    image, left = noise(height, width, seed), []
    for transform in (Distortion(), PhotoMetricDistortion()):
        np.random.seed(seed)
        left.append((transform({"img": image.copy()})["img"], np.random.random()))
    np.testing.assert_array_equal(left[0][0], left[1][0])
    assert left[0][1] == left[1][1]


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    side=st.integers(1, 24),
    ids=st.sampled_from([(0,), (255,), (0, 255), (0, 1), (0, 1, 2, 255), (7, 254)]),
    ratio=st.sampled_from([0.3, 0.5, 0.75, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_crop(height: int, width: int, side: int, ids: tuple[int, ...], ratio: float, seed: int) -> None:
    """Fails when another crop is taken, or a number is drawn more or less: one label, none, ties at the ratio."""
    labels = np.random.default_rng(seed).choice(np.array(ids, dtype=np.uint8), (height, width))
    found = []
    for kind in (Crop, RandomCrop):
        np.random.seed(seed)
        transform = kind(side, ratio, ignore_index=255)
        box = transform.crop_bbox({"img": labels, "gt_seg_map": labels})
        found.append((tuple(map(int, box)), np.random.random()))
    assert found[0] == found[1]


@pytest.mark.parametrize("seed", range(12))
def test_whole_pipeline(seed: int) -> None:
    """Fails when the papers' pipeline gives another sample than mmsegmentation's own transforms in their order."""
    config = PHOTOS.model_copy(update={"resize": (256, 64), "crop": 64})
    image = noise(75, 100, seed)
    labels = np.kron(
        np.random.default_rng(seed).choice(np.array([0, 3, 255], dtype=np.uint8), (3, 4)), np.ones((25, 25), np.uint8)
    )
    found, cut, (h, w) = TrainPipeline(config)(image, labels, None, seed)
    assert config.resize is not None
    assert config.crop is not None
    steps = [
        RandomResize(config.resize, config.resize_ratio, resize_type=Resize, keep_ratio=True),
        RandomCrop(config.crop, config.cat_max_ratio, ignore_index=UNLABELLED),
        RandomFlip(prob=config.flip),
    ]
    results = {"img": image, "img_shape": image.shape[:2], "gt_seg_map": labels, "seg_fields": ["gt_seg_map"]}
    np.random.seed([seed, 0])
    for step in steps:
        results = step(results)
    results["img"] = np.ascontiguousarray(results["img"][:, :, ::-1])
    expected = PhotoMetricDistortion()(results)["img"][:, :, ::-1]
    np.testing.assert_array_equal(found[:, :h, :w].transpose(1, 2, 0), expected)
    np.testing.assert_array_equal(cut[:h, :w], results["gt_seg_map"])
    assert (found[:, h:] == 0).all()
    assert (cut[h:] == VOID).all()
