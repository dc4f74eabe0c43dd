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

from results.files import sha256_of, write_atomically


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


def test_killed_before_the_rename(tmp_path):
    """Fails if the file is written in place: a kill then leaves half of it."""
    target = tmp_path / "file"
    write_atomically(target, b"old")
    code = (
        "import os, signal, sys; from pathlib import Path; from results.files import write_atomically\n"
        "kill = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(Path(sys.argv[1]), b'new' * 100000, before_rename=kill)"
    )
    root = Path(__file__).parents[2]
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
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"abc" * 1000).hexdigest()
