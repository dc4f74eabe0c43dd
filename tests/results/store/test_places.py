"""Where results lie by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from results.store.places import PROJECT, results_folder, runs_folder


def test_in_a_checkout() -> None:
    """Fails when runs of a checkout move with the folder that a command is called from."""
    assert Path(__file__).is_relative_to(PROJECT)
    assert results_folder() == PROJECT / "results"
    assert runs_folder({}) == PROJECT / "results" / "runs"


def test_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when an installed copy would write beside its packages."""
    monkeypatch.chdir(tmp_path)
    assert runs_folder({}, project=tmp_path / "site-packages") == tmp_path / "results" / "runs"


def test_the_variable_wins(tmp_path: Path) -> None:
    """Fails when ZSS_RUNS is read in one of the two cases alone, or a home folder in it is taken by the letter."""
    for project in (PROJECT, tmp_path):
        assert runs_folder({"ZSS_RUNS": "~/runs"}, project=project) == Path.home() / "runs"
