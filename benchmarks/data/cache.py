"""Where the harness keeps what it made of a data set: never inside the data set, whose folders stay untouched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock

from splits.errors import UserError

VARIABLE: Final = "ZSS_CACHE"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The variable ZSS_CACHE, else `zero-shot-segmentation` in XDG_CACHE_HOME or ~/.cache."""
    if given := environment.get(VARIABLE):
        return Path(given).expanduser()
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "zero-shot-segmentation"


@contextmanager
def only_one(target: Path) -> Iterator[None]:
    """While one process makes `target`, others wait here. The lock ends with its process, however that ends.

    Raises UserError where the folder cannot be written to, or where every user could change what is prepared in it.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent.stat().st_mode & stat.S_IWOTH:
            raise UserError(
                f"{target.parent} can be written by every user of this machine; `chmod o-w` it, or set {VARIABLE} to a "
                "folder of yours"
            )
        lock = FileLock(target.with_name(f"{target.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise UserError(
            f"{target.parent} cannot be written to ({error.strerror}); set {VARIABLE} to a folder for prepared data"
        ) from None
    try:
        yield
    finally:
        lock.release()
