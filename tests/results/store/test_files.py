"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from results.store.files import disk_words, sweep, write_atomically
from splits.hashing import file_sha256


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_writes_and_replaces(tmp_path):
    """Fails if a second write appends, or if drafts stay beside the file."""
    target = tmp_path / "new" / "file.json"
    write_atomically(target, b"one")
    write_atomically(target, b"two", durable=False)
    assert target.read_bytes() == b"two"
    assert listing(target.parent) == ["file.json"]


def test_called_off_before_the_rename(tmp_path):
    """Fails if the fencing check comes after the rename, or if calling off leaves the draft."""
    target = tmp_path / "file"
    write_atomically(target, b"old")

    def refuse() -> None:
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        write_atomically(target, b"new", before_rename=refuse)
    assert target.read_bytes() == b"old"
    assert listing(tmp_path) == ["file"]


def test_a_folder_for_a_file_and_a_file_for_a_folder(tmp_path):
    """Fails if either ends in a stack trace, names the draft, or says the wrong one of the two."""
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_bytes(b"")
    folder.mkdir()
    with pytest.raises(OSError, match="directory") as error:
        write_atomically(folder, b"new")
    assert disk_words(error.value).startswith(f"{folder}: ")
    assert "name a file, not a folder" in disk_words(error.value)
    with pytest.raises(OSError, match="exists") as error:
        write_atomically(file / "one", b"new")
    assert disk_words(error.value).startswith(f"{file}: ")
    assert "name a folder, not a file" in disk_words(error.value)


def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    """Fails if what is said of it names the draft, a name that nobody has given."""

    def refuse(path: object, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PermissionError) as error:
        write_atomically(tmp_path / "page.html", b"new")
    assert disk_words(error.value).startswith(f"{tmp_path / 'page.html'}: Permission denied; ")


def test_killed_before_the_rename(tmp_path):
    """Fails if the file is written in place: a kill then leaves half of it."""
    target = tmp_path / "file"
    write_atomically(target, b"old")
    code = (
        "import os, signal, sys; from pathlib import Path; from results.store.files import write_atomically\n"
        "kill = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(Path(sys.argv[1]), b'new' * 100000, before_rename=kill)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code, str(target)], cwd=root)
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("existing", [True, False])
def test_a_failing_disk_leaves_nothing_behind(tmp_path, monkeypatch, failing, existing):
    """Fails if an error of the disk is swallowed, leaves a draft, or harms the file that was there."""
    target = tmp_path / "file"
    if existing:
        target.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, b"new")
    assert listing(tmp_path) == (["file"] if existing else [])
    assert not existing or target.read_bytes() == b"old"


def test_a_disk_that_fails_while_writing(tmp_path, monkeypatch):
    """Fails if only fsync's errors are cleaned up after, not those of the write itself."""
    target = tmp_path / "file"
    target.write_bytes(b"old")
    real = open

    class Full:
        def __init__(self, *arguments):
            self.file = real(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("builtins.open", Full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, b"new content")
    monkeypatch.undo()
    assert listing(tmp_path) == ["file"]
    assert target.read_bytes() == b"old"


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch):
    """Fails if a network file system that refuses to sync folders ends a run whose file is in place."""
    real = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "no folders")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_atomically(tmp_path / "file", b"x")
    assert (tmp_path / "file").read_bytes() == b"x"


def test_sha256(tmp_path):
    """Fails if the digest is not that of the bytes."""
    (tmp_path / "file").write_bytes(b"abc" * 1000)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_a_sweep_takes_drafts_alone(tmp_path):
    """Fails if a sweep leaves a dead writer's draft, or takes a file of anybody else or of the claims."""
    kept = ["record.json", "notes.tmp", "claims/.000001.json.0a1b2c3d4e5f.tmp"]
    swept = [".record.json.0a1b2c3d4e5f.tmp", "evals/abc/.confusion.npz.0a1b2c3d4e5f.tmp"]
    for name in kept + swept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    sweep(tmp_path, besides="claims")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)


def test_an_owner_that_slept_before_its_rename_learns_of_it(tmp_path):
    """Fails if a writer that was replaced between its check and its rename still renames, or ends in another error."""
    asked = []

    def check() -> None:
        asked.append(1)
        if len(asked) == 1:
            sweep(tmp_path)  # it sleeps here; the next owner claims and sweeps
        else:
            raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        write_atomically(tmp_path / "record.json", b"late", before_rename=check)
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "free space there"), (errno.EROFS, "can be written"), (errno.EFBIG, "ulimit"), (errno.EINVAL, "")],
)
def test_what_is_said_of_a_disk(tmp_path, monkeypatch, code, words):
    """Fails if a disk's refusal does not name the file and what to do, or another error passes for one."""

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(code)) as error:
        write_atomically(tmp_path / "file", b"new")
    said = disk_words(error.value)
    assert words in said
    assert bool(said) is bool(words)
    if said:
        assert str(tmp_path / "file") in said
        assert "\n" not in said
