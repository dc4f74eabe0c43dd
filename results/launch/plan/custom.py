"""Custom data sets and methods: known in this process by name, kept beside the runs, sent with each job."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from pydantic import ValidationError

from benchmarks import custom as data_sets
from benchmarks.custom import CustomDataSet
from benchmarks.toml import is_toml
from benchmarks.values import canonical_json, explain
from methods import custom as methods
from methods.config import MethodConfig
from methods.custom import MethodFile
from methods.method_entry import MethodEntry
from methods.registry import METHODS
from results.store.files import write_atomically
from results.store.folders import DATA_SET, read_json
from splits.errors import UserError
from splits.near import near
from splits.plain_text import plain

NEEDS: Final = get_args(get_type_hints(MethodEntry)["needs"])
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


def names_of(benchmarks: Iterable[str]) -> dict[str, str]:
    """The name of each benchmark, given by it or by a TOML, whose data set is known from here on.

    Raises UserError where two TOMLs describe different data sets of one name: only one of them would be read.
    """
    names: dict[str, str] = {}
    first: dict[str, tuple[str, CustomDataSet]] = {}
    for text in benchmarks:
        names[text] = name = load_data_set(Path(text)) if is_toml(text) else text
        if name in KNOWN and first.setdefault(name, (text, KNOWN[name]))[1] != KNOWN[name]:
            raise UserError(f"{first[name][0]} and {text}: two data sets are called {name}; give one another `name`")
    return names


def load_methods(files: Iterable[Path]) -> None:
    """Make the methods of installed packages and of these files known. Raises UserError for a broken one."""
    methods.load_installed()
    for file in files:
        read = methods.read_file(file)
        names = methods.load(read)
        if wrong := next((f"method {name!r}: {words}" for name in names if (words := _unfit(METHODS[name]))), ""):
            del methods.LOADED[read.module]
            for name in names:
                del METHODS[name]
            raise UserError(f"{file}: {wrong}")


def _unfit(entry: MethodEntry) -> str:
    """What is wrong with an entry of a file: a config or a builder that the file has not, or a need that is none."""
    for field in ("config", "builder"):
        module, _, wanted = getattr(entry, field).partition(":")
        there = vars(sys.modules[module]) if module in methods.LOADED else {wanted: None}
        if wanted not in there:
            hint = f"; did you mean {', '.join(alike)}?" if (alike := near(wanted, there)) else ""
            return f"its {field} names {wanted!r}, which the file has not{hint}"
        if words := there[wanted] and (_unfit_config if field == "config" else _unfit_builder)(there[wanted]):
            return f"its {field} {wanted!r} {words}"
    return "" if entry.needs in NEEDS else f"needs {entry.needs!r}, expected one of {', '.join(NEEDS)}"


def _unfit_config(config: Any) -> str:
    """What is wrong with a config: no MethodConfig, or a default that is missing or does not fit its own field."""
    if not isinstance(config, type) or not issubclass(config, MethodConfig):
        return "is no subclass of methods.config.MethodConfig"
    try:
        config.model_validate(config().model_dump(warnings=False), strict=True)
    except ValidationError as error:
        return f"cannot stand by its defaults: {explain(error)}"
    return ""


def _unfit_builder(builder: Any) -> str:
    """What is wrong with a builder: it does not take what it is called with."""
    try:
        inspect.signature(builder).bind(clip=None, vocabulary=None, config=None)
    except TypeError as error:
        return f"is called with clip=..., vocabulary=..., config=..., which it does not take ({error})"
    return ""


def load_stored(roots: Iterable[Path]) -> None:
    """Make the data sets known that are kept beside the runs of these roots, unless theirs is a known name.

    One that cannot be read is named on stderr: other data sets can still be looked at. Raises UserError where two of
    one name have other classes or folds: their runs would be averaged.
    """
    first: dict[str, tuple[CustomDataSet, Path]] = {}
    for path in sorted(path for root in roots for path in root.glob(f"*/{DATA_SET}")):
        try:
            data = _stored(path)
        except (UserError, FileNotFoundError) as error:
            words = str(error).partition("; delete it")[0]  # who only looks has nothing to make it from
            print(plain(f"warning: passed over: {words}"), file=sys.stderr)
            continue
        other, where = first.setdefault(data.name, (data, path))
        if (other.classes, other.unseen) != (data.classes, data.unseen):
            raise UserError(
                f"{path} and {where}: two data sets called {data.name}, of other classes or folds; look at one "
                "of these folders at a time"
            )
        if data.name not in KNOWN:
            _register(data)


def keep(root: Path, names: Iterable[str], *, look_only: bool = False) -> None:
    """Store those of these data sets that are custom beside their runs, so that tables need no TOML.

    Raises UserError where runs of another data set of the same name lie there.
    """
    for data in (KNOWN[name] for name in names if name in KNOWN):
        path = root / data.name / DATA_SET
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
