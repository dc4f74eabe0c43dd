"""`results verify` in several processes says what one process says."""

from __future__ import annotations

from pathlib import Path

import pytest

from results.store import verify_many
from results.store.folders import find_stored
from results.store.verify import problems
from results.store.verify_many import problems_below
from tests.results.store.test_verify import EDITS, edit, lay


def broken(root: Path, copies: int = 8) -> None:
    """Records of which some are wrong, cut, there twice, or not what another record of the run is."""
    for number, words in enumerate(EDITS):
        edit(lay(root, seed=number), EDITS[words])
    for number in range(copies):
        lay(root, seed=100 + number)
    lay(root, seed=200).write_text("{")
    other = root.with_name("other")
    for number in (100, 101, 102):
        lay(other, seed=number)
    edit(next(other.rglob("*seed101*/evals/*/record.json")), lambda result: result.update(ignored_pixels=1))


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_same_lines_in_the_same_order(jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a problem is lost or told otherwise by several processes, or the records are counted otherwise."""
    monkeypatch.setattr("benchmarks.data.parallel.FEW", 4)
    roots = [tmp_path / "runs", tmp_path / "other"]
    broken(roots[0])
    *lines, count = problems_below(roots, jobs)
    found = [item for root in roots for item in find_stored(root)]
    assert count == len(found)
    assert lines == list(problems(found))
    assert any("the same record lies in 2 folders" in str(line) for line in lines)
    assert any("2 records with different results" in str(line) for line in lines)


def test_only_records_that_share_a_run_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if looking for copies reads, and keeps, every record once more."""
    for seed in range(3):
        lay(tmp_path / "a", seed=seed)
    lay(tmp_path / "c", seed=1)
    read: list[Path] = []
    original = verify_many.load_stored
    monkeypatch.setattr(verify_many, "load_stored", lambda path: read.append(path) or original(path))
    list(problems_below([tmp_path / "a", tmp_path / "c"], 1))
    assert len(read) == 4 + 2
