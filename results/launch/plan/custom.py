"""Custom data sets and methods: known in this process by name, kept beside the runs, sent with each job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import custom as data_sets
from benchmarks.custom import CustomDataSet
from benchmarks.values import canonical_json
from methods import custom as methods
from methods.custom import MethodFile
from results.store.files import write_atomically
from results.store.folders import read_json
from splits.errors import UserError

FILE = "benchmark.json"  # in <runs>/<benchmark>: the definition of a data set that is not shipped
KNOWN: dict[str, CustomDataSet] = {}  # by name


@dataclass(frozen=True)
class Custom:
    """Data sets and methods by content, so that a process elsewhere and later knows the same."""

    data_sets: tuple[CustomDataSet, ...] = ()
    method_files: tuple[MethodFile, ...] = ()

    def register(self) -> None:
        """Make all of it known in this process."""
        for data in self.data_sets:
            _register(data)
        methods.load_installed()
        for file in self.method_files:
            methods.load(file)


def everything() -> Custom:
    """All that is known in this process."""
    return Custom(tuple(KNOWN.values()), tuple(methods.LOADED.values()))


def load_data_set(file: Path) -> str:
    """Make the data set known that a TOML describes; returns its name. Raises UserError for what cannot be."""
    data = data_sets.read_toml(file.expanduser())
    _register(data)
    return data.name


def load_methods(files: Iterable[Path]) -> None:
    """Make the methods of installed packages and of these files known. Raises UserError for a broken one."""
    methods.load_installed()
    for file in files:
        methods.load(methods.read_file(file))


def load_stored(roots: Iterable[Path]) -> None:
    """Make the data sets known that are kept beside the runs of these roots, unless theirs is a known name."""
    for path in sorted(path for root in roots for path in root.glob(f"*/{FILE}")):
        data = _stored(path)
        if data.name not in KNOWN:
            _register(data)


def keep(root: Path, names: Iterable[str], *, look_only: bool = False) -> None:
    """Store those of these data sets that are custom beside their runs, so that tables need no TOML.

    Raises UserError where runs of another data set of the same name lie there.
    """
    for data in (KNOWN[name] for name in names if name in KNOWN):
        path = root / data.name / FILE
        if path.is_file():
            there = _stored(path)
            if (there.classes, there.unseen) != (data.classes, data.unseen):
                raise UserError(
                    f"{path}: is another data set called {data.name}, of other classes or folds; name yours differently"
                )
            if there == data:
                continue
        if not look_only:
            write_atomically(path, canonical_json(data.model_dump(mode="json")).encode())


def _stored(path: Path) -> CustomDataSet:
    return CustomDataSet.parse(read_json(path), source=str(path))


def _register(data: CustomDataSet) -> None:
    data_sets.register(data)
    KNOWN[data.name] = data
