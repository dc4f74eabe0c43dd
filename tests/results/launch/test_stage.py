"""Data copied to a node's disk."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchmarks.catalogue import Data
from results.launch import stage
from results.launch.stage import staged
from splits.errors import UserError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "deep").mkdir(parents=True)
    (root / "a.jpg").write_bytes(b"a" * 100)
    (root / "deep" / "b.png").write_bytes(b"b")
    (tmp_path / "scratch").mkdir()
    return root


def test_a_copy_is_made_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a file is missing from the copy, or a second job copies again."""
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "scratch"))
    first = staged(Data(str(source), subset=True), "$NODE_DISK")
    assert first.subset
    copied = Path(first.root or "")
    assert copied.is_relative_to(tmp_path / "scratch")
    assert {p.relative_to(copied): p.read_bytes() for p in copied.rglob("*") if p.is_file()} == {
        Path("a.jpg"): b"a" * 100,
        Path("deep/b.png"): b"b",
    }
    before = (copied / "a.jpg").stat().st_mtime_ns
    assert staged(Data(str(source)), "$NODE_DISK").root == first.root
    assert (copied / "a.jpg").stat().st_mtime_ns == before


def test_changed_data_is_another_copy(source: Path, tmp_path: Path) -> None:
    """Fails when a job reads an old copy of data that has changed."""
    first = staged(Data(str(source)), str(tmp_path / "scratch"))
    (source / "a.jpg").write_bytes(b"c" * 100)
    second = staged(Data(str(source)), str(tmp_path / "scratch"))
    assert (Path(second.root or "") / "a.jpg").read_bytes() == b"c" * 100
    assert first.root != second.root


def test_a_broken_copy_is_mended(source: Path, tmp_path: Path) -> None:
    """Fails when what an attempt that was cut short left behind is taken for whole."""
    copied = Path(staged(Data(str(source)), str(tmp_path / "scratch")).root or "")
    (copied.parent / stage.WHOLE).unlink()
    (copied / "a.jpg").write_bytes(b"x" * 100)
    (copied / "deep" / "b.png").unlink()
    staged(Data(str(source)), str(tmp_path / "scratch"))
    assert (copied / "a.jpg").read_bytes() == b"a" * 100
    assert (copied / "deep" / "b.png").exists()


def test_jobs_of_one_node_share_a_copy(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when two jobs that start together copy the same files at the same time."""
    copies = []
    copy = stage._copy_file
    monkeypatch.setattr(stage, "_copy_file", lambda a, b: (copies.append(a.name), copy(a, b)))
    jobs = [threading.Thread(target=staged, args=(Data(str(source)), str(tmp_path / "scratch"))) for _ in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(timeout=20)
    assert sorted(copies) == ["a.jpg", "b.png"]


def test_what_is_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a folder that is not there is made, or a disk is filled."""
    for wrong in ("$NO_SUCH_VARIABLE_HERE", str(tmp_path / "nothing")):
        with pytest.raises(UserError, match="no folder on this node"):
            staged(Data(str(source)), wrong)
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 50}))
    with pytest.raises(UserError, match="has room for"):
        staged(Data(str(source)), str(tmp_path / "scratch"))
