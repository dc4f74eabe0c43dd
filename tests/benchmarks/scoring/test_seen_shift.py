"""hIoU at every shift from one pass, against taking the argmax again for each shift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

torch = pytest.importorskip("torch")
from benchmarks.scoring.seen_shift import SWEEP, ShiftSweep, shift_grid  # noqa: E402

EIGHTH = 0.125


def direct(raw: np.ndarray, truth: np.ndarray, seen: np.ndarray, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """The prediction at a shift by a plain argmax (ties to the lowest class), and its confusion matrix by a loop."""
    if np.isinf(shift) and seen.any() and not seen.all():  # all pixels get their best seen, or their best unseen class
        members = np.flatnonzero(seen if shift < 0 else ~seen)
        prediction = members[raw[members].argmax(axis=0)]
    else:
        prediction = (raw - (shift if np.isfinite(shift) else 0) * seen[:, None]).argmax(axis=0)
    matrix = np.zeros((len(raw), len(raw)), dtype=np.int64)
    for t, p in zip(truth, prediction, strict=True):
        matrix[t, p] += 1
    return prediction, matrix


def best(activated: np.ndarray, members: np.ndarray) -> tuple[torch.Tensor, torch.Tensor] | None:
    if not len(members):
        return None
    where = activated[members].argmax(axis=0)
    return torch.from_numpy(activated[members].max(axis=0)), torch.from_numpy(members[where])


def swept(raw: np.ndarray, truths: list[np.ndarray], seen: np.ndarray, shifts: np.ndarray, own: float):
    """The sweep fed image by image, and the predictions it gave."""
    sweep = ShiftSweep(len(raw), shifts, own)
    activated = raw - own * seen[:, None]
    parts = np.array_split(np.arange(raw.shape[1]), len(truths))
    predictions = [
        sweep.add(
            torch.from_numpy(truth),
            best(activated[:, part], np.flatnonzero(seen)),
            best(activated[:, part], np.flatnonzero(~seen)),
        )
        for truth, part in zip(truths, parts, strict=True)
    ]
    return sweep, np.concatenate([p.numpy() for p in predictions])


@settings(max_examples=120, deadline=None)
@given(data=st.data(), classes=st.integers(1, 6), pixels=st.integers(0, 12), images=st.integers(1, 3))
def test_every_shift_is_a_plain_argmax(data: st.DataObject, classes: int, pixels: int, images: int) -> None:
    """Fails when a pixel is counted for the wrong class at any shift, ties exactly at a shift included.

    All numbers are eighths, so that ties are exact and frequent.
    """
    eighths = st.integers(-10, 10).map(lambda n: n * EIGHTH)
    raw = data.draw(arrays.arrays(np.float64, (classes, pixels), elements=eighths))
    truth = data.draw(arrays.arrays(np.int64, pixels, elements=st.integers(0, classes - 1)))
    seen = data.draw(arrays.arrays(np.bool_, classes))
    own = data.draw(eighths)
    ends = data.draw(st.sampled_from([(), (-np.inf, np.inf)]))  # records from before had none
    shifts = np.array(sorted({own, 0.0, *ends, *data.draw(st.lists(eighths, max_size=6))}))
    sweep, prediction = swept(raw, np.array_split(truth, images), seen, shifts, own)
    matrices = sweep.matrices()
    assert matrices.shape == (len(shifts), classes, classes)
    assert matrices.dtype == np.int64
    for shift, matrix in zip(shifts, matrices, strict=True):
        np.testing.assert_array_equal(matrix, direct(raw, truth, seen, shift)[1])
    assert shifts[sweep.own_index] == own
    np.testing.assert_array_equal(prediction, direct(raw, truth, seen, own)[0])


@pytest.mark.parametrize("own", [0.0, 0.1, 0.3, -0.25, 3.0])
def test_the_real_grid(own: float) -> None:
    """Fails when the grid in use, whose steps are no exact binary numbers, counts otherwise than a plain argmax."""
    rng = np.random.default_rng(0)
    seen = np.array([True, False, True, True, False])
    raw, truth = rng.random((5, 400)), rng.integers(0, 5, 400)
    shifts = shift_grid(own, 1.0)
    sweep, prediction = swept(raw, [truth], seen, shifts, own)
    for shift, matrix in zip(shifts, sweep.matrices(), strict=True):
        np.testing.assert_array_equal(matrix, direct(raw, truth, seen, shift)[1])
    np.testing.assert_array_equal(prediction, direct(raw, truth, seen, own)[0])


@given(own=st.floats(-3, 3), span=st.floats(0, 50))
def test_grid_holds_zero_and_own(own: float, span: float) -> None:
    """Fails when the method's own shift, or none, is only approximated by the grid, or the grid is not sorted."""
    shifts = shift_grid(own, span)
    assert (np.diff(shifts) > 0).all()
    assert 0.0 in shifts
    assert own in shifts
    assert len(shifts) <= SWEEP + 4
    assert (shifts[0], shifts[-1]) == (-np.inf, np.inf)
    sweep = ShiftSweep(2, shifts, own)
    assert shifts[sweep.own_index] == own


def test_grid_of_zegclip() -> None:
    """Fails when the sweep has another extent or step than 41 even ones, or twice the same shift."""
    shifts = shift_grid(0.1, 1.0)
    assert (len(shifts), SWEEP) == (43, 41)
    np.testing.assert_allclose(shifts[1:-1], np.arange(-20, 21) * 0.05, atol=1e-12)
    assert len(shift_grid(0.07, 1.0)) == 44


def test_float32_scores_tie_at_the_own_shift() -> None:
    """Fails when the own shift is subtracted a second time with rounding: equal float32 scores must stay a tie."""
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    sweep = ShiftSweep(3, shift_grid(0.1, 1.0), 0.1)
    truth = torch.zeros(1000, dtype=torch.int64)
    low, high = torch.zeros(1000, dtype=torch.int64), torch.full((1000,), 2)
    assert (sweep.add(truth, (values, low), (values, high)) == 0).all()
    assert (sweep.add(truth, (values, high), (values, low)) == 0).all()


def test_counts_are_exact_and_add_up() -> None:
    """Fails when pixels are lost between shifts, or counts pass through floats."""
    rng = np.random.default_rng(1)
    seen = np.array([True, True, False])
    raw, truth = rng.random((3, 1000)), rng.integers(0, 3, 1000)
    sweep, _ = swept(raw, list(np.array_split(truth, 7)), seen, shift_grid(0.2, 1.0), 0.2)
    matrices = sweep.matrices()
    assert (matrices.sum(axis=(1, 2)) == 1000).all()
    assert (matrices.sum(axis=2) == np.bincount(truth)).all()
    unseen_share = matrices[:, :, 2].sum(axis=1)
    assert (np.diff(unseen_share) >= 0).all()  # the more is taken off, the more pixels go to unseen classes


def test_it_does_not_matter_how_many_pixels_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when pixels are lost or counted twice where the notes are full, or too small for one image."""
    rng = np.random.default_rng(2)
    seen, shifts = np.array([True, True, False]), shift_grid(0.2, 1.0)
    raw, truth = rng.random((3, 1000)), rng.integers(0, 3, 1000)
    parts = list(np.array_split(truth, 7))
    expected = swept(raw, parts, seen, shifts, 0.2)[0].matrices()
    for noted in (1, 100, 150, 300):
        monkeypatch.setattr("benchmarks.scoring.counts.PENDING", noted)
        assert np.array_equal(swept(raw, parts, seen, shifts, 0.2)[0].matrices(), expected)


def test_no_pixels() -> None:
    """Fails when an image without a labelled pixel breaks the sweep."""
    sweep = ShiftSweep(2, shift_grid(0.0, 1.0), 0.0)
    none = torch.zeros(0, dtype=torch.int64)
    assert len(sweep.add(none, (torch.zeros(0), none), (torch.zeros(0), none))) == 0
    assert sweep.matrices().sum() == 0
