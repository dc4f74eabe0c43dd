"""The measuring of speed: its arithmetic, and that what it compares is equal. No test fails on a time."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from benchmarks.speed import __main__ as speed  # noqa: E402
from benchmarks.speed import compare, memory, scoring  # noqa: E402


def test_ratio_is_theirs_over_ours() -> None:
    """Fails when a ratio is upside down, or a median that of the other."""
    ours, theirs = compare.summary([(1, 1), (9, 2), (2, 3)]), compare.summary([(8, 8), (8, 9), (7, 7)])
    row = compare.Row("a", "b", ours, theirs)
    assert (row.ratio, row.wall_ratio) == (4, 4)
    assert row.as_dict()["ours"]["wall"] == 2


def test_turns_alternate() -> None:
    """Fails when one of the two runs more often, or in a row."""
    calls: list[str] = []
    compare.alternate(lambda: calls.append("ours"), lambda: calls.append("theirs"), 3)
    assert calls == ["ours", "theirs"] * 4


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_exponent(power: float) -> None:
    """Fails when the exponent of a known law of growth is another."""
    assert speed._exponent({size: 3 * size**power for size in (10, 20, 40, 80)}) == pytest.approx(power)


def test_peak_memory_is_seen_and_forgotten() -> None:
    """Fails when a call's memory is not seen, or that of an earlier call is."""
    big = memory.peak_mib(lambda: np.ones(16 << 20).sum())
    if np.isnan(big):
        pytest.skip("the system does not tell")
    assert big > 100
    assert memory.peak_mib(lambda: None) < 20


@pytest.mark.parametrize("classes", [4, 20])
def test_what_is_timed_is_what_evaluation_does(classes: int) -> None:
    """Fails when the timed ways to a matrix count other pixels than the truth has labelled."""
    grid = scoring._grid(classes)
    whole = scoring._ours(grid, scoring.TRUTH, scoring.CANVAS)()
    matrix = scoring._to_matrix(grid, scoring._truth(classes))()
    assert torch.equal(whole, matrix)
    assert int(matrix.sum()) == int((scoring._truth(classes) != 255).sum())
