"""Which file is of which image id: folders and links followed, any case of an ending, either Unicode form of a name.

Two files for one id are refused: which of them is meant nobody knows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from splits.errors import DataError
from splits.text import decoded, lines, one_form

PICTURES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".jfif", ".jpe", ".gif", ".ppm", ".pgm")
MASKS: Final = (".png", ".tif", ".tiff", ".bmp", ".gif")  # without loss; what else is there is refused by its name
ID: Final = "{id}"
SHOWN: Final = 3

Key = tuple[str, str]  # a file's name without its ending, in one form; its ending in small letters


@dataclass
class Place:
    """Where the files of a kind lie: a folder that holds `<id><ending>`, or a pattern with {id}.

    Each folder is listed once. Links to folders and to files are followed.
    """

    text: str
    endings: Sequence[str]
    _folders: dict[Path, dict[Key, list[Path]]] = field(default_factory=dict)
    taken: set[Path] = field(default_factory=set)  # files that were found for an id

    def find(self, ids: Iterable[str]) -> dict[str, Path]:
        """The file of each id that has one. Raises DataError where an id has two."""
        found = {}
        for id_ in ids:
            files = self._files(id_)
            if len(files) > 1:
                raise DataError(f"{files[0]} and {files[1]} are both of image {id_}; {self._advice(files)}")
            if files:
                found[id_] = files[0]
        self.taken |= set(found.values())
        return found

    def expected(self, id_: str) -> Path:
        """Where the file of an id should be."""
        return Path(self.text.replace(ID, id_)) if ID in self.text else Path(f"{self.text}/{id_}{self.endings[0]}")

    def others(self) -> list[Path]:
        """Files of the listed folders that are of no id which was looked for, sorted."""
        there = {path for folder in self._folders.values() for files in folder.values() for path in files}
        return sorted(there - self.taken)

    def stems(self) -> set[str]:
        """Names without endings of the files in the listed folders and in the uppermost one."""
        self._folder(Path(self.text.partition(ID)[0]) if ID in self.text else Path(self.text))
        return {name for folder in self._folders.values() for name, _ in folder}

    def near(self, id_: str) -> Path | None:
        """A file that may be meant for an id which has none: of another ending, or with more in its name."""
        path = self.expected(id_)
        stem = one_form(PurePosixPath(id_).name)
        names = sorted(file for (name, _), files in self._folder(path.parent).items() if stem in name for file in files)
        return names[0] if names else None

    def _advice(self, files: Sequence[Path]) -> str:
        first, second = (path.suffix.lower() for path in files[:2])
        if ID in self.text or first == second:
            return "leave one"
        return f'leave one, or name the ending that is meant in a pattern: "{Path(self.text).name}/{ID}{first}"'

    def _files(self, id_: str) -> list[Path]:
        path = self.expected(id_)
        folder = self._folder(path.parent)
        if ID in self.text:
            return folder.get(_key(path.name), [])
        name = one_form(PurePosixPath(id_).name)
        return [file for ending in self.endings for file in folder.get((name, ending), [])]

    def _folder(self, folder: Path) -> dict[Key, list[Path]]:
        if folder not in self._folders:
            self._folders[folder] = _listed(folder)
        return self._folders[folder]


def files(folder: Path, suffix: str, *, prefix: str = "") -> dict[str, Path]:
    """Id to file for everything in a folder that is named `<prefix><id><suffix>`; empty where there is no folder.

    The suffix is found in any case. Raises DataError where two files are of one id.
    """
    found: dict[str, Path] = {}
    for (name, ending), paths in _listed(folder).items():
        whole = name + ending
        if whole.startswith(prefix) and whole.endswith(suffix) and not name.startswith("._"):
            id_ = whole[len(prefix) : len(whole) - len(suffix)]
            if len(paths) > 1:
                raise DataError(f"{paths[0]} and {paths[1]} are both of image {id_}; leave one")
            found[id_] = paths[0]
    return found


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, links followed: those to folders too, but none that leads back above itself."""
    for place, folders, names in os.walk(folder, followlinks=True):
        above = {os.path.realpath(path) for path in (Path(place), *Path(place).parents)}
        folders[:] = sorted(name for name in folders if os.path.realpath(os.path.join(place, name)) not in above)
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("._"))


def read_ids(path: Path) -> tuple[str, ...]:
    """The lines of an image list, each a whole id; empty lines are passed over. `./a` and `a//b` are `a` and `a/b`.

    Raises DataError where the file cannot be read.
    """
    try:
        texts = [text for line in lines(decoded(path.read_bytes())) if (text := line.strip())]
        return tuple(PurePosixPath(one_form(text)).as_posix() for text in texts)
    except (OSError, ValueError) as error:  # not there; of another encoding
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"image list {path} cannot be read ({reason}); expected an image id a line, in UTF-8") from None


def no_id(line: str, stems: Collection[str]) -> bool:
    """Does a line that names no file hold the name of one of these with an ending, or among other words?"""
    words = [PurePosixPath(word).name for word in re.split(r"[\s,;]+", line)]
    keys = [_key(word) for word in words]
    if any(ending in PICTURES and stem in stems for stem, ending in keys):
        return True
    return len(words) > 1 and any(word in stems for word in words)


def some(paths: Sequence[Path]) -> str:
    """The names of the first few."""
    return ", ".join(path.name for path in paths[:SHOWN]) + (", ..." if len(paths) > SHOWN else "")


def _listed(folder: Path) -> dict[Key, list[Path]]:
    """The files of a folder, links included; none where there is no such folder in either Unicode form."""
    found: dict[Key, list[Path]] = {}
    for form in [folder] if folder.as_posix().isascii() else _forms(folder):
        try:
            with os.scandir(form) as entries:
                names = sorted(entry.name for entry in entries if not _is_folder(entry))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DataError(f"{form} cannot be listed ({error.strerror})") from None
        for name in names:
            found.setdefault(_key(name), []).append(form / name)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say: told by its name when it is read
        return False


def _forms(folder: Path) -> list[Path]:
    """The folders of this path as they are written on the disk, each part in any Unicode form."""
    if folder.parent == folder:
        return [folder]
    above = _forms(folder.parent)
    if folder.name.isascii():
        return [path / folder.name for path in above]
    found = []
    for path in above:
        try:
            names = [name for name in os.listdir(path) if one_form(name) == one_form(folder.name)]
        except OSError:  # a folder far above that may not be listed
            names = [folder.name]
        found += [path / name for name in names]
    return found


def _key(name: str) -> Key:
    stem, ending = os.path.splitext(one_form(name))
    return stem, ending.lower()
