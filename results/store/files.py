"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DRAFT = ".*.tmp"
REMEDIES = {  # what a person can do about the disk; any other error may be a fault of ours
    errno.ENOSPC: "free space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "raise the largest size that a file may have (`ulimit -f`, or the file system's)",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EROFS: "name a folder that can be written to",
    errno.EACCES: "name a folder that can be written to",
    errno.EPERM: "name a folder that can be written to",
    errno.ENOENT: "put the folder back (was it moved, deleted or unmounted?)",
    errno.ENOTDIR: "name a folder, not a file",
    errno.EEXIST: "name a folder, not a file",  # of a folder that is to be made
    errno.EISDIR: "name a file, not a folder",
    errno.EIO: "look after that disk",
    errno.ESTALE: "mount the file system again",
    errno.ENOTCONN: "mount the file system again",
}


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to and rename from, which no other writer has; what is left there at the end goes.

    An error of the disk names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.tmp")  # of a long name the draft's is too long
    try:
        yield draft
    except OSError as error:
        if error.filename in (None, str(draft)):  # None: as `write` and `fsync` leave it
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_atomically(
    path: Path, data: bytes, *, durable: bool = True, before_rename: Callable[[], None] = lambda: None
) -> None:
    """Write to a temporary name beside `path`, sync, rename. `before_rename` may raise to call the write off.

    It is called again where the draft is gone (`sweep`): a writer that paused between check and rename lost it there.
    """
    with drafted(path) as draft:
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        before_rename()
        try:
            os.replace(draft, path)
        except FileNotFoundError:
            before_rename()
            raise
        if durable:
            _sync_folder(path.parent)


def disk_words(error: OSError) -> str:
    """What the disk refused, where, and what to do, in one line; "" for an error that no disk explains."""
    if error.errno not in REMEDIES:
        return ""
    named = error.filename2 or error.filename  # of a rename: what was to be written, not its draft
    where = f"{named}: " if named else ""
    return f"{where}{os.strerror(error.errno or 0)}; {REMEDIES[error.errno]}, then run the same again"


def refusal(folder: Path) -> str:
    """Why the disk takes no file in a folder, as `disk_words`; empty where it does. Leaves nothing."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(folder)
        return disk_words(error)
    return ""


def sweep(folder: Path, *, besides: str = "") -> None:
    """Delete the drafts below a folder, of writers that died or lost it; not those in folders named `besides`.

    A new owner calls it after its claim and before its first write. That closes the gap between an old owner's last
    look at the claims and its rename: a draft made before the claim is gone, one made after it is never renamed.
    """
    for draft in folder.rglob(DRAFT):
        if besides not in draft.relative_to(folder).parts:
            draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse to sync a folder; the rename itself is done
    finally:
        os.close(descriptor)
