"""The facts of each benchmark: classes, folds and image lists, read from files whose sha256 is checked on every read.

`benchmarks.json` says where in `facts/` a benchmark's classes and unseen classes stand and which of `lists/` it uses:
a new benchmark on a known data set is an entry there (and its facts with their line in `checksums.json`), no code.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

from splits.errors import DataError, UserError

ROOT: Traversable = files("splits")


@dataclass(frozen=True)
class Fold:
    """Which classes are labelled in training (`seen`) and which are not (`unseen`), in the order of `classes`."""

    index: int
    classes: tuple[str, ...]
    seen: tuple[str, ...]
    unseen: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in (self.seen, self.unseen):
            if part != tuple(name for name in self.classes if name in set(part)):
                raise DataError(f"fold {self.index}: {list(part)} are not classes in their order, each once")
        if both := set(self.seen) & set(self.unseen):
            raise DataError(f"fold {self.index}: classes both seen and unseen: {sorted(both)}")
        if neither := set(self.classes) - set(self.seen) - set(self.unseen):
            raise DataError(f"fold {self.index}: classes neither seen nor unseen: {sorted(neither)}")
        if not self.seen or not self.unseen:
            raise DataError(f"fold {self.index}: needs at least one seen and one unseen class")

    @property
    def seen_mask(self) -> tuple[bool, ...]:
        """For each class, in order: is it labelled in training?"""
        return tuple(name in set(self.seen) for name in self.classes)


@dataclass(frozen=True)
class Split:
    """A benchmark: ordered classes, the value of each in the data set's masks, folds and image lists."""

    name: str
    dataset: str  # which reader: "voc2012", "shapes"
    classes: tuple[str, ...]
    ids: tuple[int, ...]  # mask value of each class
    background_id: int | None  # mask value of pixels of no class; None where the masks have none
    ignore_id: int | None  # mask value of pixels that count nowhere; None where the masks have none
    folds: tuple[Fold, ...]
    train_list: str | None  # name for `read_list`; None for generated worlds
    val_list: str | None
    train_sha256: str | None  # of the list file, which is also that of its ids, one a line
    val_sha256: str | None
    note: str

    def __post_init__(self) -> None:
        values = [*self.ids, *(v for v in (self.background_id, self.ignore_id) if v is not None)]
        if len(set(self.classes)) != len(self.classes) or len(self.classes) != len(self.ids):
            raise DataError(f"{self.name}: needs distinct class names and one mask value for each")
        if len(set(values)) != len(values) or not all(0 <= value <= 255 for value in values):
            raise DataError(f"{self.name}: mask values must be distinct and within 0..255: {values}")
        if not self.folds or any(f.classes != self.classes or f.index != i for i, f in enumerate(self.folds)):
            raise DataError(f"{self.name}: folds must be numbered from 0 and hold the benchmark's classes in order")

    @property
    def legal_ids(self) -> frozenset[int]:
        """Every value a mask of the data set may hold."""
        return frozenset(self.ids) | {v for v in (self.background_id, self.ignore_id) if v is not None}

    def fold(self, index: int) -> Fold:
        """The fold of that number; raises UserError naming those that exist."""
        if not 0 <= index < len(self.folds):
            raise UserError(f"{self.name} has no fold {index}; it has {', '.join(str(f.index) for f in self.folds)}")
        return self.folds[index]


def _verified(name: str) -> bytes:
    """The bytes of a shipped file; raises DataError unless its sha256 is the recorded one."""
    checksums = json.loads((ROOT / "checksums.json").read_bytes())
    if name not in checksums:
        raise DataError(f"splits/{name} is no shipped file; there are: {', '.join(checksums)}")
    try:
        data = (ROOT / name).read_bytes()
    except OSError as error:
        raise DataError(f"splits/{name} cannot be read ({error.strerror}); install the project again") from None
    expected, seen = checksums[name]["sha256"], hashlib.sha256(data).hexdigest()
    if seen != expected:
        raise DataError(
            f"splits/{name} was changed: its sha256 is {seen}, expected {expected}; restore the file "
            "(a wrong list or fold gives numbers that compare with nothing)"
        )
    return data


def read_facts(name: str) -> dict[str, Any]:
    """The content of `facts/<name>.json`. Raises DataError where the file is unknown, missing or changed."""
    return json.loads(_verified(f"facts/{name}.json"))


def _list_file(name: str) -> str:
    checksums = json.loads((ROOT / "checksums.json").read_bytes())
    packed = f"lists/{name}.txt.xz"
    return packed if packed in checksums else f"lists/{name}.txt"


def read_list(name: str) -> tuple[str, ...]:
    """The lines of `lists/<name>.txt` (or `.txt.xz`). Raises DataError where it is unknown, missing or changed."""
    file = _list_file(name)
    data = _verified(file)
    return tuple((lzma.decompress(data) if file.endswith(".xz") else data).decode().splitlines())


def list_sha256(name: str) -> str:
    """The recorded sha256 (hex) of a shipped list."""
    file = _list_file(name)
    _verified(file)
    return json.loads((ROOT / "checksums.json").read_bytes())[file]["sha256"]


def _at(reference: str) -> list[Any]:
    """What stands at `facts:path.to.it`; a `*` in the path means every value of a mapping, in the order of its keys."""
    name, _, path = reference.partition(":")
    found: list[Any] = [read_facts(name)]
    for key in path.split("."):
        found = [v for value in found for v in (value.values() if key == "*" else [value[key]])]
    return found


def _names_and_ids(value: dict[str, Any] | list[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Classes as the facts have them: `{name: id}`, `{id: name}`, or a list of names with ids from 0."""
    if isinstance(value, list):
        return tuple(value), tuple(range(len(value)))
    pairs = [(k, v) if isinstance(v, int) else (v, int(k)) for k, v in value.items()]
    return tuple(name for name, _ in pairs), tuple(id_ for _, id_ in pairs)


def _definitions() -> dict[str, dict[str, Any]]:
    return json.loads((ROOT / "benchmarks.json").read_bytes())


BENCHMARKS: Final[tuple[str, ...]] = tuple(_definitions())


def load_split(benchmark: str) -> Split:
    """The split of a benchmark. Raises UserError for an unknown name, DataError for a changed or inconsistent file."""
    definition = _definitions().get(benchmark)
    if definition is None:
        raise UserError(f"unknown benchmark {benchmark!r}; there are: {', '.join(_definitions())}")
    (found,) = _at(definition["classes"])
    classes, ids = _names_and_ids(found)
    folds = []
    for index, names in enumerate(_at(definition["unseen"])):
        if unknown := set(names) - set(classes):
            raise DataError(f"{benchmark} fold {index}: unseen classes that are no classes: {sorted(unknown)}")
        unseen = tuple(name for name in classes if name in set(names))
        folds.append(Fold(index, classes, tuple(name for name in classes if name not in set(names)), unseen))
    lists = {part: definition[f"{part}_list"] for part in ("train", "val")}
    return Split(
        name=benchmark,
        dataset=definition["dataset"],
        classes=classes,
        ids=ids,
        background_id=definition["background_id"],
        ignore_id=definition["ignore_id"],
        folds=tuple(folds),
        train_list=lists["train"],
        val_list=lists["val"],
        train_sha256=list_sha256(lists["train"]) if lists["train"] else None,
        val_sha256=list_sha256(lists["val"]) if lists["val"] else None,
        note=definition["note"],
    )
