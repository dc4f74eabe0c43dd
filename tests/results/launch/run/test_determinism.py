"""`check-determinism`: says same of what is the same bit for bit, and what differs where something does."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import harness  # noqa: E402
from results.launch.run import determinism  # noqa: E402

SHORT = ("check-determinism", "--device", "cpu", "--limit", "4", "--resume-every", "2")


def test_the_ways_of_a_trained_method(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a way is left out, a run of today differs from itself, or the exit code is not 0 then."""
    code = harness.main([*SHORT, "--method", "zegclip", "--worker-counts", "--set", "recipe.batch=2"])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    ways = ("again", "resumed at every 2. step", "checkpoint of step 2 again")
    assert len(lines) == len(ways)
    for line, way in zip(lines, ways, strict=True):
        assert line.startswith(f"zegclip shapes-5i fold 0 seed 0: {way}: the same, ")


def test_a_difference_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when runs that differ pass for the same, or the exit code hides it."""
    leaves = iter({"weights a": torch.tensor([0.1]), "loss 1 ce": n} for n in (1.0, 1.0, 2.0, 3.0, 3.0))
    monkeypatch.setattr(determinism, "made", lambda *_: next(leaves))
    monkeypatch.setattr(determinism, "halfway", lambda *_: next(leaves))
    assert harness.main([*SHORT, "--method", "constant", "--worker-counts"]) == 1
    same, different, checkpoint = capsys.readouterr().out.splitlines()
    assert "again: the same" in same
    assert "DIFFERENT in loss 1 ce of 2 values" in different
    assert "the same" in checkpoint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.tensor([0.0]), torch.tensor([-0.0])),
        (torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64)),
        (torch.ones(2, 1), torch.ones(1, 2)),
        (np.array([1]), np.array([1.0])),
        (1, 1.0),
        (torch.tensor([1.0]), torch.tensor([1.0 + 2**-23])),
    ],
)
def test_one_bit_is_a_difference(one, other) -> None:
    """Fails when values that differ in a bit, a type or a shape are called the same."""
    assert determinism.different({"x": one}, {"x": other}) == ["x"]
    assert determinism.different({"x": one}, {"x": one}) == []
    assert determinism.different({"x": one}, {}) == ["x"]
    assert determinism.different({}, {"x": one}) == ["x"]


def test_nan_is_itself() -> None:
    """Fails when a NaN that came out twice counts as a difference."""
    assert determinism.different({"x": torch.tensor([float("nan")])}, {"x": torch.tensor([float("nan")])}) == []
