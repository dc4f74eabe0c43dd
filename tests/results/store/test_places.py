"""Where results lie by default."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from results.store.places import PROJECT, distinct, results_folder, runs_folder
from tests.results.factory import store


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


def test_one_folder_by_several_names_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails when records of a folder that is named twice, or linked, count twice, and one of them is to be deleted."""
    first, second, link = (tmp_path / name for name in ("first", "second", "link"))
    second.mkdir()
    link.symlink_to(first)
    store(first, method="alpha")
    monkeypatch.chdir(tmp_path)
    named = [link, first, Path("first"), second]
    assert distinct(named) == (link, second)
    assert harness.main(["results", "verify", "--from", *map(str, named)]) == 0
    assert "1 records, 0 problems" in capsys.readouterr().out
    assert len(harness.records(named)) == 1
