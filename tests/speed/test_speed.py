"""The measuring of speed: its arithmetic, and that what it compares is equal. No test fails on a time."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from methods.check_subject import SEEN, small_clip, words  # noqa: E402
from methods.method import UNLABELLED, VOID, Images  # noqa: E402
from methods.registry import build_method, config_class  # noqa: E402
from tests.speed import __main__ as speed  # noqa: E402
from tests.speed import (  # noqa: E402
    command_times,
    compare,
    peak_memory,
    process,
    released_way,
    scoring,
    student_step,
    textbook,
)
from tests.speed.step import ours_loss  # noqa: E402


def test_ratio_is_theirs_over_ours() -> None:
    """Fails when a ratio is upside down, a median that of the other, or a busy moment counts as processor time."""
    ours, theirs = compare.summary([(1, 1), (9, 2), (2, 3)]), compare.summary([(8, 8), (8, 9), (7, 7)])
    row = compare.Row("a", "b", ours, theirs)
    assert (row.ratio, row.wall_ratio) == (7, 4)
    assert row.as_dict()["ours"]["wall"] == 2


def test_turns_alternate() -> None:
    """Fails when one of the two runs more often, or in a row."""
    calls: list[str] = []
    compare.alternate(lambda: calls.append("ours"), lambda: calls.append("theirs"), 3)
    assert calls == ["ours", "theirs"] * 4
    calls.clear()
    compare.turns([lambda name=name: calls.append(name) for name in "abc"], 2)
    assert "".join(calls) == "abc" * 3


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_exponent(power: float) -> None:
    """Fails when the exponent of a known law of growth is another."""
    assert speed._exponent({size: 3 * size**power for size in (10, 20, 40, 80)}) == pytest.approx(power)


def test_peak_memory_is_seen_and_forgotten() -> None:
    """Fails when a call's memory is not seen, or that of an earlier call is."""
    big = peak_memory.peak_mib(lambda: np.ones(16 << 20).sum())
    if np.isnan(big):
        pytest.skip("the system does not tell")
    assert big > 100
    assert peak_memory.peak_mib(lambda: None) < 20


@pytest.mark.parametrize("classes", [4, 20])
def test_what_is_timed_is_what_evaluation_does(classes: int) -> None:
    """Fails when the timed ways to a matrix count other pixels than the truth has labelled."""
    grid = scoring._grid(classes)
    whole = scoring._ours(grid, scoring.TRUTH, scoring.CANVAS)()
    matrix = scoring._to_matrix(grid, scoring._truth(classes))()
    assert torch.equal(whole, matrix)
    assert int(matrix.sum()) == int((scoring._truth(classes) != 255).sum())


def test_every_image_is_evaluated() -> None:
    """Fails when the evaluation that is timed against images scores others than it is told."""
    found = scoring._evaluation(3)()
    assert found.images == 3
    assert found.matrices[0].sum() == 3 * int((scoring._truth(20) != 255).sum())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("peer", [textbook.loss, released_way.loss], ids=["textbook", "released way"])
def test_what_the_step_is_timed_beside_is_zegclips_step(seed: int, peer) -> None:
    """Fails when what ours is timed beside has another loss or gradient: then the ratio means nothing."""
    torch.manual_seed(seed)
    config = config_class("zegclip")(prompt_tokens=3, decoder_heads=2)
    method = build_method("zegclip", clip=small_clip(), vocabulary=words(SEEN), config=config).train()
    images = Images(torch.randint(0, 256, (2, 3, 48, 64), dtype=torch.uint8))
    labels = torch.randint(0, len(SEEN), (2, 6, 8)).repeat_interleave(8, 1).repeat_interleave(8, 2).byte()
    labels[0, :9], labels[1, :, 40:] = UNLABELLED, VOID
    found = []
    for way in (ours_loss, peer):
        torch.manual_seed(5)
        method.zero_grad(set_to_none=True)
        loss = way(method, images, labels)
        loss.backward()
        found.append((loss.detach(), torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])))
    (ours, gradient), (plain, expected) = found
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=0)
    assert (gradient - expected).norm() < 1e-4 * expected.norm()


def test_a_call_is_timed_and_weighed() -> None:
    """Fails when a command's output is lost, its memory is that of the process that calls it, or its failure passes."""
    held = np.ones(64 << 20, dtype=np.uint8)
    call = process.called("--help")
    assert "harness.py" in call.words
    assert 0 < call.processor < 60
    assert np.isnan(weighed := process.peak_mib("--help")) or 5 < weighed < 60
    del held
    with pytest.raises(RuntimeError, match="ended with 2"):
        process.called("no-such-command")


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ("a  done\n3 runs: 3 done\n", 3),
        ("a  done\n3 runs: 2 done, 1 planned\n", 0),
        ("3 runs: 3 stale\n", 0),
        ("10 runs: 1 done\n", 0),
    ],
)
def test_only_finished_runs_are_asked_for_again(words: str, runs: int) -> None:
    """Fails when a command that is to be timed over finished runs would make some."""
    assert command_times._all_done(process.Call(0, 0, words)) == runs


@pytest.mark.parametrize("name", student_step.STUDENTS)
def test_every_student_can_be_timed(name: str) -> None:
    """Fails when a student's step is measured no more: its recipe may name weights that nothing here has."""
    clip, images, _ = student_step.scenes()
    student = student_step.built(name, "shapes-5i", clip)
    student_step.bare(student, images)
    assert any(parameter.grad is not None for parameter in student.parameters())
