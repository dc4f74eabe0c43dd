"""The copy of the code that cluster jobs run."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from results.launch.execute.frozen_code import freeze
from results.store.files import disk_words
from results.store.provenance import git_state, sources_sha256

ASK = """
import json
from results.store import provenance
from results.launch.execute import cluster_job, frozen_code
from methods.registry import METHODS
found = [provenance.git_state(), provenance.code_sha256(), provenance.sources_sha256("zegclip"), frozen_code.__file__]
print(json.dumps(found))
"""


def test_a_copy_is_the_code_and_says_what_of(tmp_path: Path) -> None:
    """Fails when a copy is of other code, does not stand alone, or takes the state of a checkout around it."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit, digest, copy = freeze(tmp_path / "jobs")
    command = [sys.executable, "-P", "-c", ASK]
    environment = {"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=True)
    state, code, sources, file = json.loads(done.stdout)
    assert (tuple(state), commit) == (git_state(), git_state()[0])
    assert (code, sources) == (digest, sources_sha256("zegclip"))
    assert Path(file).is_relative_to(tmp_path)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    """Fails when the same code has two digests or two copies, or stored results are copied with it."""
    commit, digest, copy = freeze(tmp_path)
    assert freeze(tmp_path) == (commit, digest, copy)
    assert list(tmp_path.iterdir()) == [copy]
    assert (copy / "results" / "store" / "record.py").is_file()
    assert not {"reference", "sensitivity", "runs"} & {path.name for path in (copy / "results").iterdir()}
    assert not list(copy.rglob("__pycache__"))


@pytest.mark.parametrize("harm", ["deleted", "changed", "closed"])
def test_a_copy_is_looked_at_before_it_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """Fails when jobs get a copy of which a disk has deleted what is old, that a colleague has changed, or may not be
    read by who submits.
    """
    _, digest, old = freeze(tmp_path)
    file = old / "results" / "store" / "record.py"
    if harm == "deleted":
        file.unlink()
    elif harm == "changed":
        file.write_text("")
    else:
        read = Path.read_bytes

        def closed(self: Path) -> bytes:
            if old in self.parents:
                raise PermissionError(errno.EACCES, "Permission denied", str(self))
            return read(self)

        monkeypatch.setattr(Path, "read_bytes", closed)
    new = freeze(tmp_path)
    assert new[1] == digest
    assert new[2] != old
    assert (new[2] / "results" / "store" / "record.py").read_text()
    assert freeze(tmp_path) == new
    assert set(tmp_path.iterdir()) == {old, new[2]}


def test_a_full_disk_has_a_number_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a disk that fills while code is copied ends in an error that nobody can put into one line."""

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space") as error:
        freeze(tmp_path)
    assert disk_words(error.value)
    assert list(tmp_path.iterdir()) == []
