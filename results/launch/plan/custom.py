"""Custom data sets and methods: known in this process by name, kept beside the runs, sent with each job."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
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
from splits.near import near, suggestion
from splits.plain_text import plain

NEEDS: Final = get_args(get_type_hints(MethodEntry)["needs"])
TEXTS: Final = ("title", "fidelity", "group")  # fields of an entry
DICTS: Final = ("fixed", "recipes", "recipe", "ranges", "not_drawn")
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
    """What is wrong with an entry of a file: what it names is not there, or a field is of another kind."""
    for field in ("config", "builder"):
        module, _, wanted = str(target := getattr(entry, field)).partition(":")
        if not isinstance(target, str) or not wanted:
            return f'its {field} is {target!r}, expected a text: f"{{__name__}}:NAME"'
        if module not in methods.LOADED and not _is_module(module):
            return (
                f'its {field} names the module {module!r}, which is not there; of this file: f"{{__name__}}:{wanted}"'
            )
        there = vars(sys.modules[module]) if module in methods.LOADED else {wanted: None}
        if wanted not in there:
            hint = f"; did you mean {', '.join(alike)}?" if (alike := near(wanted, there)) else ""
            return f"its {field} names {wanted!r}, which the file has not{hint}"
        if words := there[wanted] and (_unfit_config if field == "config" else _unfit_builder)(there[wanted]):
            return f"its {field} {wanted!r} {words}"
    if words := _unfit_fields(entry):
        return words
    return "" if entry.needs in NEEDS else f"needs {entry.needs!r}, expected one of {', '.join(NEEDS)}"


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _unfit_fields(entry: MethodEntry) -> str:
    """What is wrong with the plain fields of an entry: of another kind, or naming what its config has not."""
    for kind, words, names in ((str, "a text", TEXTS), (Mapping, "a dict", DICTS)):
        if wrong := [name for name in names if not isinstance(getattr(entry, name), kind)]:
            return f"its {wrong[0]} is {getattr(entry, wrong[0])!r}, expected {words}"
    module, _, wanted = entry.config.partition(":")
    if (config := getattr(import_module(module), wanted, None)) is None:
        return f"its config names {wanted!r}, which {module} has not"
    fields = config.model_fields
    for name in ("fixed", "ranges", "not_drawn", "tuned"):
        if unknown := [field for field in getattr(entry, name) if field not in fields]:
            meant = suggestion(unknown[0], fields)
            return f"its field {name!r} names {unknown[0]!r}, which its config has not; {meant}"
    return ""


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
