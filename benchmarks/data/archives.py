"""Archives of data: what is in them, put where they lie, and nowhere else."""

from __future__ import annotations

import errno
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from methods.downloads import first_line
from splits.errors import UserError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
UNPACKED = ".unpacked"  # `data prepare --download` leaves a file of that ending beside an archive it has unpacked


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(SUFFIXES)


# what a broken archive, a password, a kind of compression that Python does not know, or a spoilt name may raise
UNREADABLE = (
    *(zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, struct.error),
    *(RuntimeError, LookupError, ValueError, OSError),
)
NO_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)  # what a disk says of a name that no file there can have


def unpacked_size(archive: Path) -> int:
    """Bytes of all files in an archive. Raises UserError where it cannot be read."""
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as packed:
                return sum(member.file_size for member in packed.infolist())
        with tarfile.open(archive) as packed_tar:
            return sum(_size(member) for member in packed_tar)
    except UNREADABLE as error:
        raise _broken(archive, error) from None


def unpack(archive: Path, target: Path) -> None:
    """Every file of an archive below `target`, as plain files and folders. Raises UserError where it is broken, or
    holds what would lead elsewhere (links, devices, names with `..`), or more than there is room for.

    Links are refused whole: filters of tarfile have let chains of them write outside (CVE-2025-4517).
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as packed:  # compares each file's CRC
                for member in packed.infolist():
                    kind = member.external_attr >> 16
                    _check(archive, member.filename, plain=not stat.S_IFMT(kind) or _is_plain(kind))
                _check_room(archive, target, sum(member.file_size for member in packed.infolist()))
                for member in packed.infolist():
                    _write(archive, target, member.filename, None if member.is_dir() else packed.open(member))
            return
        with tarfile.open(archive) as packed_tar:
            size = 0
            for entry in packed_tar:  # read twice: nothing is written before all of it is known to be harmless
                _check(archive, entry.name, plain=entry.isfile() or entry.isdir())
                size += _size(entry)
            _check_room(archive, target, size)
            for entry in packed_tar:
                _write(archive, target, entry.name, packed_tar.extractfile(entry))
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a place before its start
            raise  # a full disk, say: not the archive's fault
        raise _broken(archive, error) from None


def _size(member: tarfile.TarInfo) -> int:
    """Its bytes. A negative number would hide others in a sum, or lead tarfile back to where it was (CVE-2025-8194)."""
    if member.size < 0:
        raise tarfile.ReadError(f"{member.name!r} has a negative size")
    return member.size


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _check(archive: Path, name: str, *, plain: bool) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if not plain:
        raise UserError(
            f"{archive}: {name!r} is a link or a device; an archive of data has neither: it is not unpacked"
        )
    if path.is_absolute() or ".." in path.parts or "\0" in name or re.match(r"[A-Za-z]:", name):
        raise UserError(f"{archive}: {name!r} would be outside the folder it is unpacked to; it is not unpacked")


def _check_room(archive: Path, target: Path, size: int) -> None:
    if size > (free := shutil.disk_usage(target).free):
        raise UserError(
            f"{archive}: what is in it takes {size / 2**30:.1f} GiB, {target} has room for {free / 2**30:.1f}; "
            "it is not unpacked"
        )


def _write(archive: Path, target: Path, name: str, content: IO[bytes] | None) -> None:
    """One member, with this process's own permissions; content: None for a folder."""
    path = target / PurePosixPath(name.replace("\\", "/"))
    try:
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, open(path, "wb") as file:
            shutil.copyfileobj(content, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise UserError(f"{archive}: {name!r} is a file and a folder at once; it is not unpacked whole") from None
    except OSError as error:
        if error.errno not in NO_NAME:
            raise
        raise UserError(f"{archive}: no file of {target} can be called {name!r} ({error.strerror})") from None


def _broken(archive: Path, error: BaseException) -> UserError:
    if isinstance(error, RuntimeError) and "password" in str(error):
        return UserError(f"{archive} is encrypted; unpack it yourself and give the folder")
    if isinstance(error, NotImplementedError):
        return UserError(f"{archive}: {error}; pack it with a compression that Python reads (deflate)")
    return UserError(f"{archive} cannot be unpacked ({first_line(error)}); copy it again")
