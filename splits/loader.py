"""The facts of each benchmark: classes, folds and image lists, read from files whose sha256 is checked on every read.

`benchmarks.json` says where in `facts/` a benchmark's classes and unseen classes stand and which of `lists/` it uses:
a new benchmark on a known data set is an entry there (and its facts with their line in `checksums.json`), no code.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, Literal

from splits.errors import DataError, UserError
from splits.near import suggestion

ROOT: Traversable = files("splits")
LARGEST: Final = 65535  # value of a mask: 16 bits


@dataclass(frozen=True)
class Fold:
    """Which classes are labelled in training (`seen`) and which are not (`unseen`), in the order of `classes`.

    A benchmark without unseen classes has one fold, in which every class is seen. A tune fold has fewer classes than
    its benchmark: the others are labelled nowhere and scored nowhere.
    """

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
        if not self.seen:
            raise DataError(f"fold {self.index}: needs at least one seen class")

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
    train_sha256: str | None  # of the ids of the part, one a line: where all of a list is used, that of its file
    val_sha256: str | None
    note: str
    train_without: str | None = None  # a list whose images are taken out of the train part
    val_from: Literal["val", "train"] = "val"  # the official part that the val images lie in
    years: tuple[str, ...] = ()  # editions of the data set, the default first
    custom_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)  # ids by part, if not shipped
    has_train: bool = True  # False: nothing can be trained on it, there are val images alone

    def __post_init__(self) -> None:
        values = [*self.ids, *(v for v in (self.background_id, self.ignore_id) if v is not None)]
        if len(set(self.classes)) != len(self.classes) or len(self.classes) != len(self.ids):
            raise DataError(f"{self.name}: needs distinct class names and one mask value for each")
        if len(set(values)) != len(values) or not all(0 <= value <= LARGEST for value in values):
            raise DataError(f"{self.name}: mask values must be distinct and within 0..{LARGEST}: {values}")
        if not all(fold.unseen for fold in self.folds) and len(self.folds) > 1:
            raise DataError(f"{self.name}: each of several folds needs an unseen class")
        if not self.folds or any(f.index != i or not self._ordered(f.classes) for i, f in enumerate(self.folds)):
            raise DataError(f"{self.name}: folds must be numbered from 0 and hold the benchmark's classes in order")

    def _ordered(self, names: tuple[str, ...]) -> bool:
        return names == tuple(name for name in self.classes if name in set(names))

    @property
    def legal_ids(self) -> frozenset[int]:
        """Every value a mask of the data set may hold."""
        return frozenset(self.ids) | {v for v in (self.background_id, self.ignore_id) if v is not None}

    @property
    def parts(self) -> tuple[str, ...]:
        """ "train" and "val", or what there is of them."""
        return ("train", "val") if self.has_train else ("val",)

    @property
    def open_vocabulary(self) -> bool:
        """Is there no unseen class?"""
        return not any(fold.unseen for fold in self.folds)

    @property
    def tuning(self) -> bool:
        """Is it for choosing constants, with further seen classes hidden and train images scored?"""
        return self.val_from == "train"

    def listed(self, part: str) -> tuple[str, ...] | None:
        """The image ids of "train" or "val" in order; None where no list ships and the data set itself has it."""
        if self.custom_lists:
            return self.custom_lists.get(part)
        name = {"train": self.train_list, "val": self.val_list}.get(part)
        if name is None:
            return None
        return without(read_list(name), self.train_without if part == "train" else None)

    def year(self, wanted: str = "") -> str:
        """The edition: the wanted one, else the default ("" where there is one only). UserError for one it has not."""
        if wanted and wanted not in self.years:
            has = f"it has: {', '.join(self.years)}" if self.years else "leave --year out"
            raise UserError(f"{self.name} has no year {wanted!r}; {has}")
        return wanted or next(iter(self.years), "")

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


def without(ids: tuple[str, ...], excluded: str | None) -> tuple[str, ...]:
    """The ids that are not in the list of that name, in order; all of them for None."""
    held_out = frozenset(read_list(excluded)) if excluded else frozenset()
    return tuple(id_ for id_ in ids if id_ not in held_out)


def ids_sha256(ids: Iterable[str]) -> str:
    """sha256 (hex) of ids, one a line, in order: that of a list's own file (unpacked)."""
    return hashlib.sha256("".join(f"{id_}\n" for id_ in ids).encode()).hexdigest()


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


CUSTOM: Final[dict[str, Split]] = {}  # registered ones, by name


def register(split: Split) -> None:
    """Make a custom split known to `load_split`; raises UserError where a shipped one has its name."""
    if split.name in BENCHMARKS:
        raise UserError(f"{split.name!r} is a benchmark of this harness; call your own something else")
    CUSTOM[split.name] = split


def load_split(benchmark: str) -> Split:
    """The split of a benchmark. Raises UserError for an unknown name, DataError for a changed or inconsistent file."""
    if benchmark in CUSTOM:
        return CUSTOM[benchmark]
    definition = _definitions().get(benchmark)
    if definition is None:
        raise UserError(f"no benchmark is called {benchmark!r}; {suggestion(benchmark, [*_definitions(), *CUSTOM])}")
    classes, ids = _classes(definition)
    hidden = _at(definition["unseen"]) if "unseen" in definition else [[]]
    if unknown := {name for names in hidden for name in names} - set(classes):
        raise DataError(f"{benchmark}: unseen classes that are no classes: {sorted(unknown)}")
    make = _tune_fold if definition.get("tune") else _fold
    lists = {part: definition[f"{part}_list"] for part in ("train", "val")}
    excluded = definition.get("train_without")
    return Split(
        name=benchmark,
        dataset=definition["dataset"],
        classes=classes,
        ids=ids,
        background_id=definition["background_id"],
        ignore_id=definition["ignore_id"],
        folds=tuple(make(index, classes, hidden) for index in range(len(hidden))),
        train_list=lists["train"],
        val_list=lists["val"],
        train_sha256=ids_sha256(without(read_list(lists["train"]), excluded)) if lists["train"] else None,
        val_sha256=ids_sha256(read_list(lists["val"])) if lists["val"] else None,
        note=definition["note"],
        train_without=excluded,
        val_from="train" if definition.get("tune") else "val",
        years=tuple(definition.get("years", ())),
        has_train=definition.get("train", True),
    )


def _classes(definition: dict[str, Any]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and mask values, as `classes` and the keys beside it say.

    `mask_ids` names facts with the value of each name where `classes` numbers them otherwise; `first_id` is the value
    of the first name of a plain list; `background_class` makes mask value 0 the first class.
    """
    (found,) = _at(definition["classes"])
    classes, ids = _names_and_ids(found)
    if "mask_ids" in definition:
        (values,) = _at(definition["mask_ids"])
        value_of = dict(zip(*_names_and_ids(values), strict=True))
        ids = tuple(value_of[name] for name in classes)
    ids = tuple(id_ + definition.get("first_id", 0) for id_ in ids)
    if name := definition.get("background_class"):
        classes, ids = (name, *classes), (0, *ids)
    return classes, ids


def _fold(index: int, classes: tuple[str, ...], hidden: list[list[str]]) -> Fold:
    unseen = set(hidden[index])
    return Fold(index, classes, tuple(c for c in classes if c not in unseen), tuple(c for c in classes if c in unseen))


def _tune_fold(index: int, classes: tuple[str, ...], hidden: list[list[str]]) -> Fold:
    """Fold `index` without its own unseen classes; those of the next fold are hidden instead (a choice of ours)."""
    left = tuple(name for name in classes if name not in set(hidden[index]))
    following = hidden[(index + 1) % len(hidden)]
    return _fold(index, left, [following] * (index + 1))
