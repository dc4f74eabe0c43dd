"""Pixels near a boundary: against a search pixel by pixel, a distance transform, and what must hold by symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

torch = pytest.importorskip("torch")
from benchmarks.protocol import Inference  # noqa: E402
from benchmarks.scoring.boundary import BoundaryCount, near_boundary  # noqa: E402
from benchmarks.scoring.evaluate import evaluate  # noqa: E402
from benchmarks.scoring.metrics import REACH  # noqa: E402
from methods.method import Images, Method, Vocabulary  # noqa: E402

IGNORED = 255


def truth(height: int, width: int, seed: int, block: int = 1) -> np.ndarray:
    """Blocks of few labels, some of them ignored."""
    rng = np.random.default_rng(seed)
    small = rng.choice([0, 1, 2, 19, IGNORED], size=(-(-height // block), -(-width // block)))
    return np.kron(small, np.ones((block, block)))[:height, :width].astype(np.uint8)


def slow(labels: np.ndarray) -> np.ndarray:
    """A look from every pixel at every other one."""
    near = np.zeros(labels.shape, dtype=bool)
    rows, columns = np.indices(labels.shape)
    for y, x in np.ndindex(labels.shape):
        close = (rows - y) ** 2 + (columns - x) ** 2 <= REACH**2
        near[y, x] = (labels[close] != labels[y, x]).any()
    return near


truths = st.builds(truth, st.integers(1, 30), st.integers(1, 30), st.integers(0, 10**6), st.integers(1, 14))


@settings(max_examples=60, deadline=None)
@given(labels=truths)
def test_equal_to_the_slow_one(labels: np.ndarray) -> None:
    """Fails when the reach is another, when the distance is not Euclidean, or when an edge or a label is left out."""
    np.testing.assert_array_equal(near_boundary(labels), slow(labels))


def test_equal_to_a_distance_transform() -> None:
    """Fails when a picture of real size is told otherwise than by scipy's distance to what has another label."""
    labels = truth(375, 500, seed=3, block=37)
    near = np.zeros(labels.shape, dtype=bool)
    for label in np.unique(labels):
        inside = labels == label
        near |= inside & (distance_transform_edt(inside) <= REACH)
    assert 0.1 < near.mean() < 0.9
    np.testing.assert_array_equal(near_boundary(labels), near)


def test_exactly_five_pixels() -> None:
    """Fails when the distance at which a pixel is near is not 5, along an axis or at a slant (3, 4)."""
    labels = np.zeros((13, 13), dtype=np.uint8)
    labels[6, 6] = 7
    near = near_boundary(labels)
    assert all(near[place] for place in [(6, 1), (6, 11), (3, 2), (2, 9)])
    assert not any(near[place] for place in [(6, 0), (6, 12), (2, 2), (3, 1)])


@settings(max_examples=60, deadline=None)
@given(labels=truths)
def test_turned_and_mirrored(labels: np.ndarray) -> None:
    """Fails when a side is favoured: the band of a mirrored or turned picture is the band mirrored or turned."""
    near = near_boundary(labels)
    for change in (np.fliplr, np.flipud, np.transpose, np.rot90):
        np.testing.assert_array_equal(near_boundary(np.ascontiguousarray(change(labels))), change(near))


@settings(max_examples=30, deadline=None)
@given(labels=truths, seed=st.integers(0, 99))
def test_names_do_not_matter(labels: np.ndarray, seed: int) -> None:
    """Fails when another numbering of the labels, that of ignored pixels included, gives another band."""
    renamed = np.random.default_rng(seed).permutation(256).astype(np.uint8)[labels]
    np.testing.assert_array_equal(near_boundary(renamed), near_boundary(labels))


@pytest.mark.parametrize("size", [(1, 1), (1, 20), (20, 1), (40, 30)])
@pytest.mark.parametrize("label", [0, 3, IGNORED])
def test_one_label_has_no_boundary(size: tuple[int, int], label: int) -> None:
    """Fails when the edge of a picture counts as a boundary."""
    assert not near_boundary(np.full(size, label, dtype=np.uint8)).any()


def test_ignored_pixels_make_a_boundary_and_are_not_counted() -> None:
    """Fails when an outline against what is ignored is none, or when a pixel without a truth is counted."""
    labels = np.full((30, 30), IGNORED, dtype=np.uint8)
    labels[:, 15:] = 1
    counted = BoundaryCount(2)
    labelled = labels != IGNORED
    predicted = np.zeros((30, 30), dtype=np.int64)
    predicted[:10] = 1
    counted.add(labels, torch.from_numpy(labels[labelled]).long(), torch.from_numpy(predicted[labelled]))
    assert counted.matrix.tolist() == [[0, 0], [20 * REACH, 10 * REACH]]


@settings(max_examples=30, deadline=None)
@given(pictures=st.lists(st.tuples(truths, st.integers(0, 99)), min_size=1, max_size=4))
def test_counts_of_several_images(pictures: list[tuple[np.ndarray, int]]) -> None:
    """Fails when the matrix is not the pixel by pixel sum over the images of what is near and labelled."""
    counted, expected = BoundaryCount(20), np.zeros((20, 20), dtype=np.int64)
    for labels, seed in pictures:
        predicted = np.random.default_rng(seed).integers(0, 20, labels.shape)
        labelled = labels != IGNORED
        counted.add(labels, torch.from_numpy(labels[labelled]).long(), torch.from_numpy(predicted[labelled]))
        for t, p, near in zip(labels.ravel(), predicted.ravel(), slow(labels).ravel(), strict=True):
            if near and t != IGNORED:
                expected[t, p] += 1
    np.testing.assert_array_equal(counted.matrix, expected)


class Brightest(Method):
    """Class 0 where the picture is red, 1 where it is green, 2 where it is blue; the own shift is taken off seen 0."""

    seen_shift = 0.25

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        return images.pixels.double() / 255

    def activate(self, scores: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        return scores - self.seen_shift * seen.to(scores)[:, None, None]


def test_the_evaluation_counts_at_the_own_shift(make_reader) -> None:
    """Fails when the evaluation counts another prediction than that at the method's own shift, or other pixels."""
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 256, (26, 31, 3), dtype=np.uint8), truth(26, 31, i, 12) % 3) for i in range(3)]
    for _, mask in pairs:
        mask[:4] = IGNORED
    table = np.full(256, 252, dtype=np.uint8)
    table[[0, 1, 2, IGNORED]] = 0, 1, 2, IGNORED
    words = Vocabulary(("a", "b", "c"), (True, False, False), ("a", "b", "c"), ("a {}",))
    found = evaluate(Brightest(), make_reader(pairs), words, Inference(short_side=26), table)
    expected = np.zeros((3, 3), dtype=np.int64)
    for image, mask in pairs:
        said = (image / 255 - [0.25, 0, 0]).argmax(axis=2)
        counted = slow(mask) & (mask != IGNORED)
        np.add.at(expected, (mask[counted], said[counted]), 1)
    np.testing.assert_array_equal(found.boundary, expected)
    assert 0 < expected.sum() < found.matrices[found.own_index].sum()
