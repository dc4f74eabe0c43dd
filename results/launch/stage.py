"""Data sets copied to a node's own disk, once for all jobs that run there, compared with their source by sha256."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.catalogue import Data
from benchmarks.data.catalogue import data_roots
from benchmarks.values import digest
from results.claim import Claims
from results.files import sha256_of
from splits.errors import UserError

WHOLE = "whole"  # a file beside the copy that says that all of it is there
POLL_SECONDS = 0.5


def staged(data: Data, scratch: str) -> Data:
    """The same data read from below `scratch`, copied there unless a whole copy lies there already.

    scratch: a folder of this node; its environment's variables are filled in. Raises UserError where it is none, or
    has no room, or where a copy differs from its source.
    """
    folder = Path(os.path.expandvars(scratch))
    if "$" in str(folder) or not folder.is_dir():
        raise UserError(f"--stage-data {scratch}: {folder} is no folder on this node; give one that every node has")
    return replace(data, root=os.pathsep.join(str(_copy(root, folder)) for root in data_roots(data.root)))


def _copy(root: Path, scratch: Path) -> Path:
    """One data root below the scratch folder; its name follows from what files there are, so a change is another."""
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    sizes = [(root / name).stat() for name in files]
    content = [[str(name), stat.st_size, stat.st_mtime_ns] for name, stat in zip(files, sizes, strict=True)]
    home = scratch / f"zss-data-{digest([str(root.resolve()), content])[:16]}"
    claims = Claims(home)
    while not (home / WHOLE).exists():
        claim = claims.claim()
        if claim is None:  # another job of this node is copying
            time.sleep(POLL_SECONDS)
            continue
        with claim:
            if (home / WHOLE).exists():
                break
            _check_room(root, scratch, sum(stat.st_size for stat in sizes))
            for name in files:
                _copy_file(root / name, home / "data" / name)
            (home / WHOLE).touch()
    return home / "data"


def _copy_file(source: Path, target: Path) -> None:
    if target.exists() and target.stat().st_size == source.stat().st_size and sha256_of(target) == sha256_of(source):
        return  # from an earlier attempt
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    if sha256_of(target) != sha256_of(source):
        raise UserError(f"--stage-data: the copy {target} differs from {source}; look after that disk")


def _check_room(root: Path, scratch: Path, size: int) -> None:
    if size > (free := shutil.disk_usage(scratch).free):
        raise UserError(
            f"--stage-data: {root} has {size / 2**30:.1f} GiB, {scratch} on this node has room for "
            f"{free / 2**30:.1f}; give a data root with fewer data sets, or another folder"
        )
