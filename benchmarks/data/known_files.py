"""What was found in files, kept in the cache as long as a file's path, inode, size and times stay as they were.

One JSON file for each folder and kind, with a digest in its last line. The time of the last change of a file's entry
(ctime) is among the times: it cannot be set back, so that a file with its old size and date is noticed too. A file
system without it (FAT, some servers) shows by the inode that another file was moved there. The device is left out: a
network file system has another number on each machine and after each mount.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.data.cache import cache_folder, only_one
from benchmarks.data.file_facts import FINDERS, VERSION, Facts, Kind, packed, unpacked
from benchmarks.data.parallel import mapped
from benchmarks.data.reader import Watch
from benchmarks.values import digest
from splits.errors import UserError

Table = dict[str, Any]  # file name -> [stamp, facts]


def facts_of(
    paths: Sequence[Path],
    kind: Kind,
    *,
    fresh: bool = False,
    jobs: int = 1,
    watch: Watch = lambda done, total: None,
) -> list[Facts]:
    """The facts of these files, in order: those in the cache, and the others found now and put there.

    fresh: read every file again. A file that is not there has a fact too: the problem that says so.
    """
    tables = {} if fresh else {folder: _table(folder, kind) for folder in {path.parent for path in paths}}
    stamps = [_stamp(path) for path in paths]
    found = [_kept(tables.get(path.parent, {}), path, stamp, kind) for path, stamp in zip(paths, stamps, strict=True)]
    lacking = [index for index, facts in enumerate(found) if facts is None]
    made = mapped(FINDERS[kind], [paths[index] for index in lacking], jobs=jobs)
    for done, (index, facts) in enumerate(zip(lacking, made, strict=True), 1):
        found[index] = facts
        watch(len(paths) - len(lacking) + done, len(paths))
    _keep([(paths[index], stamps[index], found[index]) for index in lacking], kind)
    return [facts for facts in found if facts is not None]


def unknown(paths: Sequence[Path], kind: Kind) -> int:
    """How many of these files would have to be read."""
    tables = {folder: _table(folder, kind) for folder in {path.parent for path in paths}}
    return sum(_kept(tables[path.parent], path, _stamp(path), kind) is None for path in paths)


def _stamp(path: Path) -> str:
    """Inode, size and times; empty where there is no file."""
    try:
        seen = os.stat(path)
    except OSError:
        return ""
    return f"{seen.st_ino} {seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns}"


def _kept(table: Table, path: Path, stamp: str, kind: Kind) -> Facts | None:
    entry = table.get(path.name)
    if not stamp or not isinstance(entry, list) or len(entry) != 2 or entry[0] != stamp:
        return None
    try:
        return unpacked(kind, entry[1])
    except (TypeError, ValueError, AttributeError, IndexError):  # written by nobody we know
        return None


def _file(folder: Path, kind: Kind) -> Path:
    return cache_folder() / "files" / f"{digest([str(folder.absolute()), kind])[:24]}-{VERSION}.sealed.json"


def _table(folder: Path, kind: Kind) -> Table:
    """What is kept of a folder; nothing where it is not as it was written, or every user may write it."""
    file = _file(folder, kind)
    try:
        if (file.stat().st_mode | file.parent.stat().st_mode) & stat.S_IWOTH:
            return {}
        content, seal = file.read_text(encoding="utf-8").split("\n")
        table = json.loads(content) if seal == _sealed(file, content) else {}
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _sealed(file: Path, content: str) -> str:
    return hashlib.sha256(f"{file.name} {content}".encode()).hexdigest()


def _keep(rows: Sequence[tuple[Path, str, Facts | None]], kind: Kind) -> None:
    """Add to what is kept of each folder. A cache that cannot be written to costs only time."""
    for folder in {path.parent for path, _, _ in rows}:
        file = _file(folder, kind)
        new = {p.name: [stamp, packed(facts)] for p, stamp, facts in rows if p.parent == folder and stamp and facts}
        with suppress(OSError, UserError), only_one(file):
            draft = file.with_suffix(f".{os.getpid()}")
            content = json.dumps(_table(folder, kind) | new, separators=(",", ":"))
            draft.write_text(f"{content}\n{_sealed(file, content)}", encoding="utf-8")
            os.replace(draft, file)
