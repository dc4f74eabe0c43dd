"""Counting pixels, against a loop that anyone can read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

torch = pytest.importorskip("torch")
from benchmarks.scoring.confusion import count  # noqa: E402


def slow(truth: np.ndarray, prediction: np.ndarray, classes: int, ignore: int) -> np.ndarray:
    matrix = np.zeros((classes, classes), dtype=np.int64)
    for t, p in zip(truth.ravel(), prediction.ravel(), strict=True):
        if t != ignore:
            matrix[t, p] += 1
    return matrix


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(0, 8), st.integers(0, 8))
def test_equal_to_the_loop(data: st.DataObject, classes: int, height: int, width: int) -> None:
    """Fails when a pixel is counted elsewhere, twice or not, or an ignored one is."""
    shape = (height, width)
    truth = data.draw(arrays.arrays(np.uint8, shape, elements=st.sampled_from([*range(classes), 255])))
    prediction = data.draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, classes - 1)))
    counts = count(torch.from_numpy(truth), torch.from_numpy(prediction).long(), classes)
    assert counts.dtype == torch.int64
    np.testing.assert_array_equal(counts.numpy(), slow(truth, prediction, classes, 255))


@pytest.mark.parametrize("classes", [1, 171, 256, 257, 300])
def test_every_way_to_count_is_the_loop(monkeypatch: pytest.MonkeyPatch, classes: int) -> None:
    """Fails when maps that fit into bytes, maps that do not, or pieces of a large one are counted otherwise."""
    rng, ignore = np.random.default_rng(classes), 1000 if classes > 256 else 255
    truth, prediction = rng.integers(0, classes, (2, 13, 17))
    truth[rng.random(truth.shape) < 0.2] = ignore
    expected = slow(truth, prediction, classes, ignore)
    for piece in (7, 221, 1 << 24):
        monkeypatch.setattr("benchmarks.scoring.confusion.PIECE", piece)
        found = count(torch.from_numpy(truth), torch.from_numpy(prediction), classes, ignore)
        np.testing.assert_array_equal(found.numpy(), expected)


def test_exact_beyond_float32() -> None:
    """Fails when counts pass through float32, which stops at 2^24."""
    truth = torch.zeros(2**24 + 3, dtype=torch.uint8)
    assert count(truth, torch.zeros_like(truth), 2)[0, 0] == 2**24 + 3


def test_other_ignore_value() -> None:
    """Fails when 255 is built in."""
    truth = torch.tensor([0, 7, 1])
    assert count(truth, torch.tensor([0, 1, 0]), 2, ignore=7).tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize(("truth", "prediction"), [([2], [0]), ([3], [0]), ([0], [2]), ([0], [-1]), ([255], [2])])
def test_classes_outside_are_refused(truth: list[int], prediction: list[int]) -> None:
    """Fails when a stray class is filed under a wrong one or under the ignored row."""
    with pytest.raises(ValueError, match="expected truths"):
        count(torch.tensor(truth), torch.tensor(prediction), 2)


def test_shapes_must_agree() -> None:
    """Fails when maps of different size are counted pixel by pixel anyway."""
    with pytest.raises(ValueError, match="equal shapes"):
        count(torch.zeros(2, 3), torch.zeros(3, 2), 2)
