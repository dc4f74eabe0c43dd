"""A copy of the project's code as it is now: a job that starts tomorrow runs what was submitted today."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from benchmarks.values import canonical_json
from results.store.places import PROJECT
from results.store.provenance import FROZEN, git_state

PACKAGES = ("benchmarks", "methods", "splits", "results")
DATA_OF_RESULTS = ("runs", "reference", "published", "figures")  # what jobs do not read, some of it large


def freeze(folder: Path) -> tuple[str, str]:
    """Copy the packages into a new folder; returns the commit they are of (empty: none) and the sha256 of the copy."""
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, folder / package, ignore=_ignored)
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    commit, dirty = git_state()
    content = {"commit": commit, "dirty": dirty, "code_sha256": digest.hexdigest()}
    (folder / FROZEN).write_text(canonical_json(content), encoding="utf-8")
    return commit, digest.hexdigest()


def _ignored(folder: str, names: list[str]) -> set[str]:
    ignored = {name for name in names if name == "__pycache__" or name.endswith((".pyc", ".tmp"))}
    if Path(folder) == PROJECT / "results":
        ignored |= {name for name in names if name in DATA_OF_RESULTS}
    return ignored
