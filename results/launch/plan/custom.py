"""What a person brought, data sets and methods: known here by name, kept beside the runs, sent with each job."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import custom as own
from benchmarks.custom import OwnDataSet
from benchmarks.values import canonical_json
from methods import custom as methods
from methods.custom import MethodFile
from results.store.files import write_atomically
from results.store.folders import read_json
from splits.errors import UserError

FILE = "benchmark.json"  # in <runs>/<benchmark>: the definition of a data set that is not shipped
KNOWN: dict[str, OwnDataSet] = {}  # by name


@dataclass(frozen=True)
class Brought:
    """By content, so that a process elsewhere and later knows the same."""

    data_sets: tuple[OwnDataSet, ...] = ()
    method_files: tuple[MethodFile, ...] = ()

    def register(self) -> None:
        """Make all of it known in this process."""
        for data in self.data_sets:
            _know(data)
        methods.load_installed()
        for file in self.method_files:
            methods.load(file)


def everything() -> Brought:
    """All that is known in this process."""
    return Brought(tuple(KNOWN.values()), tuple(methods.LOADED.values()))


def resolve(options: argparse.Namespace) -> None:
    """Register what a command line brings, and put names where it has files; then what its folders of runs hold."""
    for field in ("benchmarks", "on", "name"):
        given = getattr(options, field, None)
        if isinstance(given, list):
            setattr(options, field, [_named(text) for text in given])
        elif isinstance(given, str):
            setattr(options, field, _named(given))
    methods.load_installed()
    for file in getattr(options, "method_file", None) or ():
        methods.load(methods.read_file(file))
    roots = [getattr(options, "runs", None), *(getattr(options, "roots", None) or ())]
    for path in sorted(p for root in roots if root is not None for p in root.glob(f"*/{FILE}")):
        data = OwnDataSet.parse(read_json(path), source=str(path))
        if data.name not in KNOWN:
            _know(data)


def keep(root: Path, names: Iterable[str], *, look_only: bool = False) -> None:
    """Store those of these data sets that were brought beside their runs, so that tables need no TOML.

    Raises UserError where runs of another data set of the same name lie there.
    """
    for data in (KNOWN[name] for name in names if name in KNOWN):
        path = root / data.name / FILE
        if path.is_file():
            there = OwnDataSet.parse(read_json(path), source=str(path))
            if (there.classes, there.unseen) != (data.classes, data.unseen):
                raise UserError(
                    f"{path}: is another data set called {data.name}, of other classes or folds; name yours differently"
                )
            if there == data:
                continue
        if not look_only:
            write_atomically(path, canonical_json(data.model_dump(mode="json")).encode())


def _named(text: str) -> str:
    """The name of what a TOML describes; any other text is a name already."""
    if not text.endswith(".toml"):
        return text
    data = own.read_toml(Path(text).expanduser())
    _know(data)
    return data.name


def _know(data: OwnDataSet) -> None:
    own.register(data)
    KNOWN[data.name] = data
