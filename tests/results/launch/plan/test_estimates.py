"""What a grid will cost, before anything is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.catalogue import Data
from results.launch.plan import estimates
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.store.places import shipped_records


def test_iterations_and_images_are_those_of_the_plan() -> None:
    """Fails when the cost of a grid leaves out a method, a fold, or what a limit cuts off."""
    runs = plan(Request(methods=("zegclip", "clip"), benchmarks=("shapes-5i",)))
    assert list(estimates.work(runs, Data())) == [
        "to train: zegclip: 4 runs x 300 iterations of 16 images",
        "nothing to train: clip",
        "to score: 4,000 images in 8 runs",
    ]
    short = plan(Request(methods=("zegclip",), benchmarks=("shapes-5i",), folds=(0,), limit=8))
    assert list(estimates.work(short, Data())) == [
        "to train: zegclip: 1 run x 8 iterations of 16 images",
        "to score: 8 images in 1 run",
    ]


def test_official_sets_need_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when the images of VOC are not counted before anybody has downloaded it."""
    monkeypatch.delenv("ZSS_DATA_ROOT", raising=False)
    runs = plan(Request(methods=("zegclip",), benchmarks=("voc-15-5",)))
    assert "to score: 1,449 images in 1 run" in list(estimates.work(runs, Data()))


def test_what_runs_share_is_counted_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails when each run of a grid has the folders of a data set looked through again."""
    looked, count = [], estimates.images
    monkeypatch.setattr(estimates, "images", lambda scored, data: looked.append(scored.fold) or count(scored, data))
    runs = plan(Request(methods=("zegclip", "clip"), benchmarks=("shapes-5i",), seeds=(0, 1, 2)))
    assert "to score: 12,000 images in 24 runs" in list(estimates.work(runs, Data()))
    assert sorted(looked) == [0, 1, 2, 3]
    estimates.expected(runs, tmp_path, Data(), shipped_records())
    assert max(map(looked.count, range(4))) <= 2


def test_hours_of_another_length_are_scaled_from_the_step(tmp_path: Path) -> None:
    """Fails when ten times the iterations do not take ten times as long, or a guess passes for a measurement."""
    request = Request(methods=("zegclip",), benchmarks=("shapes-5i",), folds=(0,))
    shipped = shipped_records()
    assert shipped is not None
    once = estimates.expected(plan(request), tmp_path, Data(), shipped)
    assert "as measured on cpu (shipped records)" in once

    def hours(iterations: int) -> float:
        longer = plan(replace(request, overrides=(f"recipe.iterations={iterations}",)))
        line = estimates.expected(longer, tmp_path, Data(), shipped)
        assert "1 run, scaled from steps measured on cpu (shipped records)" in line
        return float(line.split()[3])

    assert hours(30_000) - hours(15_000) == pytest.approx(hours(45_000) - hours(30_000), abs=0.02)
    assert hours(45_000) > 2.5 * hours(15_000)
    other = plan(replace(request, overrides=("recipe.batch=8",)))
    assert "unknown" in estimates.expected(other, tmp_path, Data(), shipped)
