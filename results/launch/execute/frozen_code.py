"""A copy of the project's code as it is now: a job that starts tomorrow runs what was submitted today."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
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
    """A copy of the packages below a folder, shared by all submissions of equal code. The copy appears whole.

    Returns the commit they are of (empty: none), the sha256 of the copy, and where it is: never where files are gone
    (a disk that deletes what is old), changed, or closed to this user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".code-", dir=folder))
    try:
        digest = _digest(PROJECT, copy_to=draft)
        commit, dirty = git_state()
        content = {"commit": commit, "dirty": dirty, "code_sha256": digest}
        (draft / FROZEN).write_text(canonical_json(content), encoding="utf-8")
        draft.chmod(0o755)  # colleagues' jobs read it too, as far as their group may
        name = f"code-{digest[:16]}-{commit[:8] or 'none'}{'-dirty' if dirty else ''}"
        names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        code = next(folder / one for one in names if _in_place(draft, folder / one, digest))
        return commit, digest, code
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _in_place(draft: Path, code: Path, digest: str) -> bool:
    """Is a copy there, this one or another submission's, that is what it was, and may this user read all of it?"""
    with contextlib.suppress(OSError):  # there is one already
        draft.rename(code)
    if not code.is_dir():
        raise OSError(errno.EIO, "the copy of the code could not be put into place", str(code))
    try:
        return bool((code / FROZEN).read_bytes()) and _digest(code) == digest
    except OSError:
        return False


def _digest(source: Path, *, copy_to: Path | None = None) -> str:
    """The sha256 over the packages below a folder; copied file by file, so that an error has its number."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for place, folders, names in os.walk(source / package):
            left_out = _ignored([*folders, *names], of_results=Path(place) == source / "results")
            folders[:] = sorted(set(folders) - left_out)
            inner = Path(place).relative_to(source)
            if copy_to:
                (copy_to / inner).mkdir(parents=True, exist_ok=True)
            for name in sorted(set(names) - left_out):
                content = Path(place, name).read_bytes()
                if copy_to:
                    (copy_to / inner / name).write_bytes(content)
                digest.update(f"{(inner / name).as_posix()}\0".encode())
                digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _ignored(names: list[str], *, of_results: bool) -> set[str]:
    ignored = {name for name in names if name == "__pycache__" or name.endswith((".pyc", ".tmp"))}
    return ignored | set(DATA_OF_RESULTS if of_results else ())
