"""Archives of data: what is in them, put where they lie, and nowhere else."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from splits.errors import UserError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
UNPACKED = ".unpacked"  # `data prepare --download` leaves a file of that ending beside an archive it has unpacked


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(SUFFIXES)


def unpacked_size(archive: Path) -> int:
    """Bytes of all files in an archive. Raises UserError where it cannot be read."""
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as packed:
                return sum(member.file_size for member in packed.infolist())
        with tarfile.open(archive) as packed_tar:
            return sum(member.size for member in packed_tar)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise _broken(archive, error) from None


def unpack(archive: Path, target: Path) -> None:
    """Everything in an archive below `target`. Raises UserError where it is broken or would write elsewhere."""
    target.mkdir(parents=True, exist_ok=True)
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as packed:  # compares each file's CRC
                for name in packed.namelist():
                    _check_inside(archive, name)
                packed.extractall(target)
            return
        with tarfile.open(archive) as packed_tar:
            packed_tar.extractall(target, filter="data")  # refuses links and names that lead out, and devices
    except tarfile.FilterError as error:
        raise UserError(f"{archive}: {error}; it is not unpacked") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise _broken(archive, error) from None


def _check_inside(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{archive}: {name!r} would be outside the folder it is unpacked to; it is not unpacked")


def _broken(archive: Path, error: BaseException) -> UserError:
    return UserError(f"{archive} cannot be unpacked ({error}); copy it again")
