"""Batches in micro-batches: gradients, losses and weights of the whole batch, whatever its losses are averaged over."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from results.launch.plan.request import Request  # noqa: E402
from results.launch.plan.runs import plan  # noqa: E402
from results.launch.run.job import Job  # noqa: E402
from tests.results.launch.in_process import Gradients, record_of, watched  # noqa: E402

WITHOUT_DROPOUT = ("prompt_dropout=0.0", "decoder_dropout=0.0")


def job_of(root: Path, method: str, accumulate: int, *, steps: int = 2, count: int = 1, seed: int = 0) -> Job:
    """A method on 24 scenes for some steps of batch 16, without dropout: micro-batches draw it otherwise."""
    overrides = (*(f"{method}.{setting}" for setting in WITHOUT_DROPOUT), f"recipe.iterations={steps}")
    request = Request(
        (method,), ("shapes-5i",), (0,), (seed,), overrides=overrides, limit=24, ranks=count, accumulate=accumulate
    )
    (run,) = plan(request)
    return Job(run=run, root=root)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Job, Gradients]]:
    """Runs whose batches are whole: losses divided by numbers of masks, and of labelled pixels."""
    jobs = {name: job_of(tmp_path_factory.mktemp(name), name, 1) for name in ("zegclip", "zegclip-baseline")}
    return {name: (job, watched(job)) for name, job in jobs.items()}


# on several ranks the cross-entropy of the baseline is the mean of theirs, whether or not micro-batches are cut
@pytest.mark.parametrize(
    ("method", "accumulate", "count"),
    [("zegclip", 2, 1), ("zegclip", 4, 1), ("zegclip", 2, 2), ("zegclip-baseline", 2, 1), ("zegclip-baseline", 4, 1)],
)
def test_gradients_are_those_of_the_whole_batch(
    whole: dict[str, tuple[Job, Gradients]], method: str, accumulate: int, count: int, tmp_path: Path
) -> None:
    """Fails when micro-batches count equally whatever is labelled in them, gradients of one are lost or are not added
    up over ranks, or losses are told of one alone. Float32: gradients of the first step within 1e-6 of the largest
    entry of each parameter's (1e-7 of the largest of all is rounding), losses of both within 1e-6 of themselves.
    """
    job, expected = whole[method]
    other = job_of(tmp_path, method, accumulate, count=count)
    found = watched(other)
    assert len(found) == len(expected) == 2
    assert sum(g is not None for g in expected[0]) > 10
    rounding = 1e-7 * max(float(g.abs().max()) for g in expected[0] if g is not None)
    worst = 0.0
    for one, parts in zip(expected[0], found[0], strict=True):
        assert (one is None) == (parts is None)
        if one is not None:
            worst = max(worst, (float((one - parts).abs().max()) - rounding) / float(one.abs().max()))
    assert worst <= 1e-6
    curves = [record_of(each).result.losses for each in (job, other)]
    for a, b in zip(*curves, strict=True):
        assert b.losses == pytest.approx(a.losses, rel=1e-6)
    assert record_of(other).costs.micro_batch == 16 // (accumulate * count)
    assert record_of(other).result.train.recipe.accumulate == accumulate
