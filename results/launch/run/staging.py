"""Data sets copied to a node's own disk, once for all jobs that run there, compared with their source by sha256.

An archive (tar, zip) in a data root stands for what is in it: it is unpacked on the node, where it lies in the root.
A node's disk is other people's too (/tmp): each user has copies of their own, which nobody else may enter.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from benchmarks.catalogue import Data
from benchmarks.data.archives import UNPACKED, is_archive, unpack, unpacked_size
from benchmarks.data.datasets import data_roots
from benchmarks.data.listing import files_below
from benchmarks.values import digest
from results.store.claim import Claims
from splits.errors import UserError
from splits.hashing import file_sha256

WHOLE = "whole"  # a file beside the copy that says that all of it is there
POLL_SECONDS = 0.5


def staged(data: Data, scratch: str) -> Data:
    """The same data read from below `scratch`, copied there unless a whole copy lies there already.

    scratch: a folder of this node; its environment's variables are filled in. Raises UserError where it is none, or
    has no room, where a copy differs from its source, or where an archive is broken or unsafe.
    """
    folder = Path(os.path.expandvars(scratch))
    if "$" in str(folder) or not folder.is_dir():
        raise UserError(f"--stage-data {scratch}: {folder} is no folder on this node; give one that every node has")
    return replace(data, root=os.pathsep.join(str(_copy(root, folder)) for root in data_roots(data.root)))


def _copy(root: Path, scratch: Path) -> Path:
    """One data root below the scratch folder; its name follows from whose it is and what files there are, so a change
    is another.
    """
    files = [
        name for name in sorted(p.relative_to(root) for p in files_below(root) if p.is_file()) if _wanted(root, name)
    ]
    stats = [(root / name).stat() for name in files]
    content = [[str(name), seen.st_size, seen.st_mtime_ns] for name, seen in zip(files, stats, strict=True)]
    home = scratch / f"zss-data-{digest([str(root.resolve()), content, os.getuid()])[:16]}"
    _own(home)
    claims = Claims(home)
    while not (home / WHOLE).exists():
        claim = claims.claim()
        if claim is None:  # another job of this node is copying
            time.sleep(POLL_SECONDS)
            continue
        with claim:
            if (home / WHOLE).exists():
                break
            packed = [name for name in files if is_archive(name)]
            sizes = {name: seen.st_size for name, seen in zip(files, stats, strict=True)}
            largest = max((sizes.pop(name) for name in packed), default=0)  # one at a time lies there packed too
            content_size = sum(unpacked_size(root / name) for name in packed)
            _check_room(root, scratch, sum(sizes.values()) + content_size + largest)
            for name in packed:
                _unpack_copy(root / name, home / "packed" / name, (home / "data" / name).parent)
            for name in files:  # a file beside an archive counts for more than one in it
                if not is_archive(name):
                    _copy_file(root / name, home / "data" / name)
            (home / WHOLE).touch()
    return home / "data"


def _own(folder: Path) -> None:
    """Make it, for this user alone; refuse one that somebody else has made, or may write to."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    seen = folder.lstat()
    if seen.st_uid != os.getuid() or not stat.S_ISDIR(seen.st_mode) or seen.st_mode & 0o077:
        raise UserError(
            f"--stage-data: {folder} is not yours alone, so what is in it may be anybody's; delete it, or give another "
            "folder"
        )


def _wanted(root: Path, name: Path) -> bool:
    """Not an archive whose content lies beside it."""
    return not (is_archive(name) and (root / name).with_name(name.name + UNPACKED).exists())


def _unpack_copy(source: Path, packed: Path, target: Path) -> None:
    """An archive's content on this disk, from a copy that was compared with its source: a tar has no checksums."""
    _copy_file(source, packed)
    unpack(packed, target)
    packed.unlink()


def _copy_file(source: Path, target: Path) -> None:
    if (
        target.exists()
        and target.stat().st_size == source.stat().st_size
        and file_sha256(target) == file_sha256(source)
    ):
        return  # from an earlier attempt
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    if file_sha256(target) != file_sha256(source):
        raise UserError(f"--stage-data: the copy {target} differs from {source}; look after that disk")


def _check_room(root: Path, scratch: Path, size: int) -> None:
    if size > (free := shutil.disk_usage(scratch).free):
        raise UserError(
            f"--stage-data: {root} has {size / 2**30:.1f} GiB, its archives unpacked, {scratch} on this node has room "
            f"for {free / 2**30:.1f}; give a data root with fewer data sets, or another folder"
        )
