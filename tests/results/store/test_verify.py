"""`results verify`: every number of a record is the one its matrices give, or a line says which is not."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import harness
from results.store.folders import find_stored
from results.store.metrics import measured
from results.store.verify import problems
from tests.results import factory


def lay(root: Path, **changes) -> Path:
    """A record as a run would write it. Returns its path."""
    return factory.store(root, **changes)[0]


def said(*roots: Path) -> list[str]:
    return list(problems([item for root in roots for item in find_stored(root)]))


def edit(path: Path, change) -> None:
    data = json.loads(path.read_text())
    change(data["result"])
    path.write_text(json.dumps(data))


def test_a_sound_folder_has_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a record as runs write it is called wrong, or the exit code or the count is."""
    lay(tmp_path)
    lay(tmp_path, fold=1)
    assert said(tmp_path) == []
    assert harness.main(["results", "verify", "--from", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 records, 0 problems\n"


EDITS = {
    "own.hiou is": lambda result: result["own"].update(hiou=0.99),
    "own.miou_unseen is": lambda result: result["own"].update(miou_unseen=result["own"]["miou_unseen"] + 1e-9),
    "own.miou is": lambda result: result["own"].update(miou=0.99),
    "best.miou is": lambda result: result["best"].update(miou=result["best"]["miou"] - 1e-9),
    "own.miou_foreground is": lambda result: result["own"].update(miou_foreground=0.5),
    "own.fb_iou is": lambda result: result["own"].update(fb_iou=0.5),
    "unshifted.pacc is": lambda result: result["unshifted"].update(pacc=None),
    "best.shift is": lambda result: result["best"].update(shift=-0.1),
    "classes bee.tp is": lambda result: result["classes"][1].update(tp=result["classes"][1]["tp"] + 1),
    "classes ant.seen is": lambda result: result["classes"][0].update(seen=True),
    "classes has 3 entries": lambda result: result["classes"].pop(),
    "labelled_pixels is": lambda result: result.update(labelled_pixels=7),
    "lies in another folder": lambda result: result["train"].update(seed=7),
}


@pytest.mark.parametrize("words", EDITS)
def test_an_edited_number_is_found(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when somebody can change a number of a record, or whose it is, and nothing says so."""
    path = lay(tmp_path)
    edit(path, EDITS[words])
    lines = said(tmp_path)
    assert any(words in line and str(path) in line and "\n" not in line for line in lines), lines
    assert harness.main(["results", "verify", "--from", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines() == lines
    assert captured.err == f"1 records, {len(lines)} problem{'s' * (len(lines) > 1)}\n"


def test_other_matrices_are_found(tmp_path: Path) -> None:
    """Fails when matrices can be replaced together with their sha256 in the record."""
    path = lay(tmp_path)
    other = path.with_name("confusion.npz")
    counts = factory.counts(factory.specs(seed=1)[0])
    with open(other, "wb") as file:
        np.savez(file, **counts)
    edit(path, lambda result: result.update(confusion_sha256=hashlib.sha256(other.read_bytes()).hexdigest()))
    assert any("its matrices give" in line for line in said(tmp_path))


def _resealed(path: Path, content: bytes) -> None:
    path.with_name("confusion.npz").write_bytes(content)
    edit(path, lambda result: result.update(confusion_sha256=hashlib.sha256(content).hexdigest()))


def _torn() -> bytes:
    """A packed file of matrices with some of its packed bytes overwritten."""
    file = io.BytesIO()
    np.savez_compressed(file, **factory.counts(factory.specs()[0]))
    content = bytearray(file.getvalue())
    content[70:100] = b"\xff" * 30
    return bytes(content)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk", _torn()], ids=["empty", "junk", "zip", "torn"])
def test_matrices_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    """Fails when a file of matrices that is none ends in a stack trace."""
    path = lay(tmp_path)
    _resealed(path, content)
    (line,) = said(tmp_path)
    assert "does not hold the matrices of this record" in line


BOUNDARIES = {
    "more pixels are counted near boundaries than there are": lambda total: total + np.eye(4, dtype=np.int64),
    "or fewer than none": lambda total: -total,
    "counts near boundaries of shape (4,)": lambda total: total[0],
    "counts near boundaries of shape (1, 4, 4)": lambda total: total[None],
}


@pytest.mark.parametrize("words", BOUNDARIES)
def test_counts_near_boundaries_must_be_possible(words: str, tmp_path: Path) -> None:
    """Fails when counts near boundaries that cannot be pass for sound, or end in a stack trace."""
    path = lay(tmp_path)
    counts = factory.counts(factory.specs()[0])
    with open(path.with_name("confusion.npz"), "wb") as file:
        np.savez(file, **counts | {"boundary": BOUNDARIES[words](counts["matrices"][1])})
    _resealed(path, path.with_name("confusion.npz").read_bytes())
    (line,) = said(tmp_path)
    assert words in line


class Trap:
    """Makes a folder when unpickled."""

    def __init__(self, target: str):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_a_pickle_among_the_matrices_does_nothing(tmp_path: Path) -> None:
    """Fails when reading matrices runs what somebody pickled into their file."""
    path, target = lay(tmp_path), tmp_path / "trapped"
    counts = factory.counts(factory.specs()[0]) | {"matrices": np.array([Trap(str(target))], dtype=object)}
    with open(path.with_name("confusion.npz"), "wb") as file:
        np.savez(file, **counts)
    _resealed(path, path.with_name("confusion.npz").read_bytes())
    (line,) = said(tmp_path)
    assert "does not hold the matrices" in line
    path.with_name("confusion.npz").write_bytes(pickle.dumps(Trap(str(target))))
    _resealed(path, path.with_name("confusion.npz").read_bytes())
    assert len(said(tmp_path)) == 1
    assert not target.exists()


@pytest.mark.parametrize("content", ["", "{", '{"schema_version": 99}', "[" * 100_000])
def test_corrupt_and_truncated_records(tmp_path: Path, content: str) -> None:
    """Fails when a record that cannot be read is passed over, or ends in a stack trace."""
    path = lay(tmp_path)
    path.write_text(content)
    (line,) = said(tmp_path)
    assert str(path) in line


def test_copies_and_conflicts(tmp_path: Path) -> None:
    """Fails when a record that lies there twice, or another result of the same run, is passed over."""
    lay(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (line,) = said(tmp_path / "a", tmp_path / "b")
    assert "the same record lies in 2 folders" in line
    (path,) = (tmp_path / "b").rglob("record.json")
    edit(path, lambda result: result.update(ignored_pixels=1))
    (line,) = said(tmp_path / "a", tmp_path / "b")
    assert "2 records with different results" in line


def test_the_files_beside_a_record_are_of_the_same_run(tmp_path: Path) -> None:
    """Fails when specs or weights of another run beside a record go unnoticed."""
    path = lay(tmp_path)
    run = path.parents[2]
    (run / "spec.json").write_text(factory.specs(seed=3)[0].model_dump_json())
    (run / "model.json").write_text(json.dumps({"weights_sha256": "0" * 64}))
    lines = said(tmp_path)
    assert any("spec.json" in line and "another spec" in line for line in lines)
    assert any("are not the ones that were scored" in line for line in lines)


def test_no_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a folder that is not there passes for one without problems."""
    assert harness.main(["results", "verify", "--from", str(tmp_path / "none")]) == 2
    assert "is no folder of runs" in capsys.readouterr().err


def test_the_reference_records_are_sound() -> None:
    """Fails when a committed record holds a number that its matrices do not give."""
    root = Path(__file__).resolve().parents[3] / "results" / "reference"
    found = list(find_stored(root))
    assert len(found) > 50
    assert list(problems(found)) == []


def test_infinite_shifts_are_no_choice(tmp_path):
    """Fails if all-seen or all-unseen is taken for the best shift, which no record could hold as JSON."""
    side = factory.record().result.evaluation.side
    matrices = np.stack([np.diag([9, 9, 9, 9]), np.full((4, 4), 3), np.full((4, 4), 2), np.diag([9, 9, 9, 9])])
    found = measured(side, np.array([-np.inf, 0.0, 0.5, np.inf]), 1, matrices)
    assert found["best"].shift in (0.0, 0.5)
    assert found["own"] == measured(side, np.array([0.0, 0.5]), 0, matrices[1:3])["own"]
