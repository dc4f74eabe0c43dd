"""VOC 15/5 and fold 3 of pascal-5i are one benchmark under two names."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.spec import protocol_of
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.plan.twins import done_as_twins, twin
from results.store.folders import RECORD, RunFolder


@pytest.fixture(autouse=True)
def no_data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZSS_DATA_ROOT", raising=False)


def run(benchmark: str, fold: int) -> Run:
    (found,) = plan(Request(methods=("zegclip",), benchmarks=(benchmark,), folds=(fold,)))
    return found


def test_a_twin_is_the_very_run_that_is_planned_there() -> None:
    """Fails when the two names come to differ in classes, images, recipe or protocol: then they are no twins."""
    for one, other in ((("voc-15-5", 0), ("pascal-5i", 3)), (("pascal-5i", 3), ("voc-15-5", 0))):
        found, expected = twin(run(*one)), run(*other)
        assert found is not None
        assert found.train.digest() == expected.train.digest()
        assert found.evaluation.digest() == expected.evaluation.digest()
        mine = run(*one)
        assert protocol_of(mine.train, mine.evaluation).hash == protocol_of(found.train, found.evaluation).hash
    assert twin(run("pascal-5i", 2)) is None


def test_what_is_done_under_the_other_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when somebody trains 20,000 iterations for a row that is there already, without a word."""
    done = run("pascal-5i", 3).train.folder
    monkeypatch.setattr(RunFolder, "read_record", lambda self, _: "a record" if str(self.path).endswith(done) else None)
    (line,) = done_as_twins([run("voc-15-5", 0), run("pascal-5i", 3), run("pascal-5i", 0)], tmp_path)
    assert "zegclip voc-15-5 fold 0 seed 0 is the same training" in line
    assert "--benchmarks pascal-5i --folds 3 shows it" in line


def test_a_broken_record_is_left_to_the_state_of_its_run(tmp_path: Path) -> None:
    """Fails when a record that cannot be read ends a command that would name it, or make it again."""
    runs = [run("voc-15-5", 0), run("pascal-5i", 3)]
    for one in runs:
        folder = one.folder(tmp_path).evaluation(one.evaluation)
        folder.mkdir(parents=True)
        (folder / RECORD).write_text("{")
    assert list(done_as_twins(runs, tmp_path)) == []
