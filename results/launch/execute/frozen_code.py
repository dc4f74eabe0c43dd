"""A copy of the project's code as it is now: a job that starts tomorrow runs what was submitted today."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.values import canonical_json
from results.store.places import PROJECT
from results.store.provenance import FROZEN, git_state

PACKAGES = ("benchmarks", "methods", "splits", "results")
DATA_OF_RESULTS = (
    "runs",
    "reference",
    "published",
    "figures",
    "sensitivity",
    "tuning",
    "reliability",
)  # no job reads them


def freeze(folder: Path) -> tuple[str, str, Path]:
    """A copy of the packages below a folder, shared by all submissions of equal code.

    Returns the commit they are of (empty: none), the sha256 of the copy, and where it is. The copy appears whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".code-", dir=folder))
    try:
        digest = _copied(draft)
        commit, dirty = git_state()
        content = {"commit": commit, "dirty": dirty, "code_sha256": digest}
        (draft / FROZEN).write_text(canonical_json(content), encoding="utf-8")
        draft.chmod(0o755)  # colleagues' jobs read it too, as far as their group may
        code = folder / f"code-{digest[:16]}-{commit[:8] or 'none'}{'-dirty' if dirty else ''}"
        with contextlib.suppress(OSError):  # it is there already: another submission's
            draft.rename(code)
        if not (code / FROZEN).is_file():
            raise OSError(errno.EIO, "the copy of the code could not be put into place", str(code))
        return commit, digest, code
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copied(folder: Path) -> str:
    """Copy the packages file by file, so that an error has its number; returns the sha256 over all of them."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for place, folders, names in os.walk(PROJECT / package):
            left_out = _ignored(place, [*folders, *names])
            folders[:] = sorted(set(folders) - left_out)
            target = folder / Path(place).relative_to(PROJECT)
            target.mkdir(parents=True, exist_ok=True)
            for name in sorted(set(names) - left_out):
                content = Path(place, name).read_bytes()
                (target / name).write_bytes(content)
                digest.update(f"{(target / name).relative_to(folder).as_posix()}\0".encode())
                digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _ignored(folder: str, names: list[str]) -> set[str]:
    ignored = {name for name in names if name == "__pycache__" or name.endswith((".pyc", ".tmp"))}
    if Path(folder) == PROJECT / "results":
        ignored |= {name for name in names if name in DATA_OF_RESULTS}
    return ignored
