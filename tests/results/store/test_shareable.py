"""What stands against records in a shared table."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from benchmarks.catalogue import BENCHMARKS, benchmark
from results.store.folders import find_stored
from results.store.shareable import refusals

PROJECT = Path(__file__).resolve().parents[3]
REFERENCE = PROJECT / "results" / "reference" / "shapes-5i" / "constant"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Every fold of one seed of a method that trains nothing, scored at a clean commit."""
    for fold in range(4):
        (run,) = REFERENCE.glob(f"fold{fold}-seed0-*")
        shutil.copytree(run, tmp_path / "shapes-5i" / "constant" / run.name)
    return tmp_path


def reasons(root: Path) -> list[str]:
    return [line for line in refusals(list(find_stored(root))) if "was not kept" not in line]


def test_a_whole_sound_grid_passes(whole: Path) -> None:
    """Fails when records that anybody could make again are refused."""
    assert reasons(whole) == []


def test_a_missing_fold_is_named(whole: Path) -> None:
    """Fails when a mean over three of four folds would stand among results."""
    shutil.rmtree(next((whole / "shapes-5i" / "constant").glob("fold2-*")))
    assert reasons(whole) == ["constant on shapes-5i, seed 0: fold 2 is missing"]


def test_an_edited_number_is_named(whole: Path) -> None:
    """Fails when a record passes whose number is not that of its matrix."""
    path = next(whole.rglob("record.json"))
    path.write_text(path.read_text().replace('"hiou": 0.0', '"hiou": 0.9', 1))
    assert reasons(whole)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"dirty": false', '"dirty": true', "ran with changed files on top of commit"),
        ('"contamination": ""', '"contamination": "unknown"', "contamination: unknown"),
    ],
)
def test_what_a_reader_must_not_meet_is_named(whole: Path, old: str, new: str, reason: str) -> None:
    """Fails when contaminated rows or changed code get into a shared table."""
    for path in whole.rglob("record.json"):
        text = path.read_text()
        path.write_text(text.replace(old, new) if old in text else text.replace('"result": {', f'"result": {{ {new},'))
    assert any(reason in line for line in reasons(whole))


def test_a_trial_run_is_named(tmp_path: Path) -> None:
    """Fails when a run of four images stands among results."""
    harness.run(["constant"], folds=[0], limit=4, root=tmp_path, device="cpu")
    assert any("part of the data" in line for line in reasons(tmp_path))


def test_the_command_says_no_with_1(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a pull request with a hole would pass its check, or a folder without records passes."""
    shutil.rmtree(next((whole / "shapes-5i" / "constant").glob("fold2-*")))
    assert harness.main(["submit", "--from", str(whole)]) == 1
    assert "fold 2 is missing" in capsys.readouterr().out
    (whole / "empty").mkdir()
    assert harness.main(["submit", "--from", str(whole / "empty")]) == 2


def test_a_data_set_of_ones_own_is_named(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a data set that came in a TOML passes because reading its records has made its name known."""
    own = replace(benchmark("shapes-5i"), custom=True)
    monkeypatch.setitem(BENCHMARKS, "shapes-5i", own)
    assert any("shapes-5i is a data set of your own" in line for line in reasons(whole))


def test_stale_records_are_named(whole: Path) -> None:
    """Fails when numbers of sources that are not the method's any more get into a shared table."""
    path = next(whole.rglob("record.json"))
    path.write_text(re.sub(r'("sources_sha256": ")[0-9a-f]{64}', rf"\g<1>{'0' * 64}", path.read_text()))
    (reason,) = reasons(whole)
    assert "stale: the method's sources have changed since; `run --stale` makes it again" in reason
