"""Windows and sizes against recordings of mmsegmentation."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scoring.windows import Window, resized, windows

GOLDEN = Path(__file__).resolve().parents[2] / "golden/evaluation"
SLIDE = json.loads((GOLDEN / "slide_windows.json").read_text())
RESIZE = json.loads((GOLDEN / "resize_mmseg024.json").read_text())


@pytest.mark.parametrize("case", SLIDE["windows"], ids=lambda case: f"{case['image_h']}x{case['image_w']}")
def test_windows_are_those_of_mmsegmentation(case: dict) -> None:
    """Fails when a window is elsewhere, missing, extra or in another order."""
    found = windows(case["image_h"], case["image_w"], case["crop"][0], case["stride"][0])
    assert [list(window) for window in found] == case["windows_y1_x1_y2_x2"]


@pytest.mark.parametrize("row", RESIZE["rows"], ids=lambda row: f"{row['ori_h']}x{row['ori_w']}")
def test_sizes_are_those_of_the_official_pipeline(row: dict) -> None:
    """Fails when a size is rounded otherwise or the long side is capped."""
    assert list(resized(row["ori_h"], row["ori_w"], 512)) == row["out_hw"]


@pytest.mark.parametrize("row", SLIDE["resize"], ids=lambda row: f"{row['ori_h']}x{row['ori_w']}")
def test_sizes_of_the_second_recording(row: dict) -> None:
    """Fails like the test above, against rows recorded from another version."""
    assert list(resized(row["ori_h"], row["ori_w"], 512)) == row["short512_hw"]


@settings(deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(30, 200), st.data())
def test_windows_cover_and_stay_inside(height: int, width: int, window: int, data: st.DataObject) -> None:
    """Fails when a pixel is in no window or a window leaves the picture or has another size than the others."""
    stride = data.draw(st.integers(window // 3, window))
    found = windows(height, width, window, stride)
    rows, columns = {(w.top, w.bottom) for w in found}, {(w.left, w.right) for w in found}
    for spans, length in ((rows, height), (columns, width)):
        assert set().union(*(range(start, stop) for start, stop in spans)) == set(range(length))
        assert {stop - start for start, stop in spans} == {min(window, length)}
    assert len(found) == len(rows) * len(columns)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 1024))
def test_short_side_is_exact_and_long_side_rounded(height: int, width: int, short: int) -> None:
    """Fails when the short side misses its target or the ratio is off by more than a pixel."""
    new = resized(height, width, short)
    assert min(new) == short
    assert abs(max(new) - max(height, width) * short / min(height, width)) <= 0.5 + 1e-6
    assert resized(width, height, short) == new[::-1]


def test_whole_image() -> None:
    """Fails when the mode without windows cuts."""
    assert windows(64, 100, None) == (Window(0, 0, 64, 100),)


def test_bad_sizes() -> None:
    """Fails when a stride that leaves gaps, or nothing at all, is accepted."""
    for arguments in ((64, 64, 32), (64, 64, 32, 0), (64, 64, 32, 33), (0, 64, 32, 16), (64, 64, 0, 1)):
        with pytest.raises(ValueError, match="expected at"):
            windows(*arguments)
    with pytest.raises(ValueError, match="height is 0"):
        resized(0, 3, 512)
