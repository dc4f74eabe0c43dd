"""Following a grid, and what it is expected to take."""

from __future__ import annotations

from pathlib import Path

import pytest

from results.launch.execute import follow
from results.launch.plan import estimates
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.run.status import Status
from tests.results import factory


@pytest.fixture
def runs() -> list[Run]:
    return plan(Request(("random", "clip"), ("shapes-5i",), folds=(0,)))


def test_every_change_is_printed_once_until_nothing_is_at_work(
    runs: list[Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when following ends while a run waits or runs, never ends, or repeats itself in a log."""
    waits = []
    monkeypatch.setattr(follow.time, "sleep", waits.append)
    states = iter([("done", "queued"), ("done", "running"), ("done", "running"), ("done", "failed"), ("done", "done")])

    def look() -> follow.Rows:
        return [(run, Status(state)) for run, state in zip(runs, next(states), strict=True)]

    rows = follow.follow(look, interval=7)
    assert [seen.state for _, seen in rows] == ["done", "failed"]
    assert waits == [7, 7, 7]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["done", "queued", "running", "failed"]


def test_hours_are_those_of_runs_of_the_same_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when hours are taken from another method or recipe, or a grid without measurements gets a number."""
    measured = factory.record("alpha")
    recipe = measured.result.train.recipe
    costs = measured.costs.model_copy(update={"train_images_per_second": 2.0, "eval_seconds": 100.0})
    measured = measured.model_copy(update={"costs": costs})
    monkeypatch.setattr(estimates, "find_records", lambda _: [measured])
    same = Run(*factory.specs("alpha", fold=1, seed=5))
    other = Run(*factory.specs("zeta"))
    hours = 2 * (recipe.iterations * recipe.batch / 2 + 100) / 3600
    assert estimates.expected([same, same, other], tmp_path) == (
        f"hours to expect: {hours:.2f} for 2 runs, as measured on cpu; 1 more was never measured"
    )
    assert "unknown" in estimates.expected([other], tmp_path)
