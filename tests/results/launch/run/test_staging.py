"""Data copied to a node's disk."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from benchmarks.catalogue import Data
from results.launch.run import staging as stage
from results.launch.run.staging import staged
from splits.errors import UserError
from tests.benchmarks.data.test_archives import HOSTILE, hostile


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


def test_linked_folders_are_copied(source: Path, tmp_path: Path) -> None:
    """Fails when a data set that a link leads to is missing from the copy."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/c.png").write_bytes(b"c")
    (source / "linked").symlink_to(tmp_path / "disk")
    copied = Path(staged(Data(str(source)), str(tmp_path / "scratch")).root or "")
    assert (copied / "linked/c.png").read_bytes() == b"c"


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
        job.join(timeout=120)
    assert sorted(copies) == ["a.jpg", "b.png"]


def test_a_copy_is_its_users_alone(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a job reads what another user of the node has put, or could put, where its copy is expected."""
    home = Path(staged(Data(str(source)), str(tmp_path / "scratch")).root or "").parent
    assert not home.stat().st_mode & 0o077
    home.chmod(0o770)
    with pytest.raises(UserError, match="not yours alone"):
        staged(Data(str(source)), str(tmp_path / "scratch"))
    home.rename(tmp_path / "elsewhere")
    home.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="not yours alone"):
        staged(Data(str(source)), str(tmp_path / "scratch"))
    home.unlink()
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    with pytest.raises(UserError, match="not yours alone"):  # made as who this process really is
        staged(Data(str(source)), str(tmp_path / "scratch"))
    assert not home.exists()


def test_what_is_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a folder that is not there is made, or a disk is filled."""
    for wrong in ("$NO_SUCH_VARIABLE_HERE", str(tmp_path / "nothing")):
        with pytest.raises(UserError, match="no folder on this node"):
            staged(Data(str(source)), wrong)
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 50}))
    with pytest.raises(UserError, match="has room for"):
        staged(Data(str(source)), str(tmp_path / "scratch"))


def packed(path: Path, files: dict[str, bytes]) -> Path:
    """A tar or zip of these files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive_tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive_tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("suffix", ["tar", "tgz", "zip"])
def test_archives_are_unpacked_where_they_lie(source: Path, tmp_path: Path, suffix: str) -> None:
    """Fails when an archive is left packed, unpacked elsewhere, kept beside its content, or unpacked again by the next
    job; or when one whose content lies beside it is.
    """
    packed(source / "coco" / f"train.{suffix}", {"train/1.jpg": b"one", "train/2.jpg": b"two", "seen.txt": b"packed"})
    (source / "coco" / "seen.txt").write_bytes(b"beside")
    packed(source / f"done.{suffix}", {"never.jpg": b""})
    (source / f"done.{suffix}.unpacked").touch()
    copied = Path(staged(Data(str(source)), str(tmp_path / "scratch")).root or "")
    found = {str(p.relative_to(copied)): p.read_bytes() for p in copied.rglob("*") if p.is_file()}
    assert found.pop(f"done.{suffix}.unpacked") == b""
    assert found == {
        "a.jpg": b"a" * 100,
        "deep/b.png": b"b",
        "coco/train/1.jpg": b"one",
        "coco/train/2.jpg": b"two",
        "coco/seen.txt": b"beside",
    }
    assert not list(copied.parent.glob(f"packed/**/*.{suffix}"))
    (copied / "coco/train/1.jpg").write_bytes(b"read from here")
    again = Path(staged(Data(str(source)), str(tmp_path / "scratch")).root or "")
    assert (again / "coco/train/1.jpg").read_bytes() == b"read from here"


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "deep/../../out.txt"])
@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_archives_write_nowhere_else(source: Path, tmp_path: Path, suffix: str, name: str) -> None:
    """Fails when a name in an archive leads out of the folder it is unpacked to."""
    packed(source / f"evil.{suffix}", {name: b"x"})
    before = set(tmp_path.rglob("out.txt"))
    with pytest.raises(UserError, match="outside"):
        staged(Data(str(source)), str(tmp_path / "scratch"))
    assert set(tmp_path.rglob("out.txt")) == before
    assert not Path("/out.txt").exists()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive(source: Path, tmp_path: Path, kind: str) -> None:
    """Fails when a link, a device or a way out in a data root's archive is unpacked on the node."""
    hostile(source / "evil.tar", kind)
    with pytest.raises(UserError, match="not unpacked") as error:
        staged(Data(str(source)), str(tmp_path / "scratch"))
    assert "\n" not in str(error.value)
    left = [path for path in (tmp_path / "scratch").rglob("*") if path.is_file() and "claims" not in path.parts]
    assert [path.name for path in left] == ["evil.tar"]  # the copy that was looked into
    assert not list(tmp_path.glob(f"scratch/*/{stage.WHOLE}"))


@pytest.mark.parametrize("suffix", ["tar", "tgz", "zip"])
def test_a_broken_archive_is_one_line(source: Path, tmp_path: Path, suffix: str) -> None:
    """Fails when a truncated archive ends in a trace, or counts as whole."""
    path = packed(source / f"half.{suffix}", {"1.jpg": b"1" * 5000})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="copy it again"):
        staged(Data(str(source)), str(tmp_path / "scratch"))
    assert not list(tmp_path.glob(f"scratch/*/{stage.WHOLE}"))


def test_an_unpacking_that_was_cut_short(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a job that is queued again takes half of an archive for all of it."""
    packed(source / "half.tar", {"1.jpg": b"1" * 5000, "2.jpg": b"2"})
    unpack = stage.unpack

    def cut_short(archive: Path, target: Path) -> None:
        unpack(archive, target)
        (target / "1.jpg").write_bytes(b"1")
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "unpack", cut_short)
    with pytest.raises(KeyboardInterrupt):
        staged(Data(str(source)), str(tmp_path / "scratch"))
    monkeypatch.setattr(stage, "unpack", unpack)
    copied = Path(staged(Data(str(source)), str(tmp_path / "scratch")).root or "")
    assert (copied / "1.jpg").read_bytes() == b"1" * 5000
