"""Custom methods: from a file given on the command line, or from an installed package. Imports no torch by itself.

A file holds a `METHODS` dict as `methods.registry` does, its builders and configs named with `f"{__name__}:..."`. A
package names such a dict by an entry point of the group `zss_harness.methods`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from methods.method_entry import MethodEntry
from methods.registry import METHODS
from splits.errors import UserError, file_words

GROUP: Final = "zss_harness.methods"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class MethodFile:
    """A file of methods by its content: it travels with its jobs, whatever becomes of the file."""

    path: str  # where it lay, for messages and tracebacks
    source: str

    @property
    def module(self) -> str:
        """The name it is imported by."""
        return "custom_" + re.sub(r"\W", "_", Path(self.path).stem)


LOADED: Final[dict[str, MethodFile]] = {}  # by module


def read_file(path: Path) -> MethodFile:
    """Raises UserError where it cannot be read."""
    try:
        return MethodFile(str(path.resolve()), path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"--method-file {path}: {file_words(error)}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"--method-file {path}: is no UTF-8 text ({error.reason} at byte {error.start})") from None


def load(file: MethodFile) -> tuple[str, ...]:
    """Put a file's methods into the registry, once for each file, and return their names.

    Raises UserError, one line with the place, where the file cannot be run or its methods are none.
    """
    known = LOADED.get(file.module)
    if known is not None and known.source != file.source:
        raise UserError(f"{file.path} and {known.path} have one name; call one of the two something else")
    if known is None:
        content = _run(file)
        _register(getattr(content, "METHODS", None), file.path, source=file.source)
        LOADED[file.module] = file
    return tuple(getattr(sys.modules[file.module], "METHODS"))  # noqa: B009


def file_of(method: str) -> MethodFile | None:
    """The file that a method came from; None for one that no file brought."""
    known = METHODS.get(method)
    return next((file for file in LOADED.values() if known and known.custom and file.source == known.source), None)


def blamed(error: BaseException, method: str = "") -> str:
    """An error that went through the file of a custom method, in a line with the place; empty for any other.

    method: the one that was at work: of one that a file brought, what came out of it may have failed elsewhere.
    """
    for file in LOADED.values():
        if place := _place(error, file.path):
            return f"{file.path}{place}: {_in_a_line(error, file.path)}"
    own = file_of(method)
    return f"{own.path}: {_in_a_line(error)}" if own else ""


def load_installed() -> None:
    """Put the methods of installed packages into the registry; raises UserError naming a package that cannot be."""
    for point in entry_points(group=GROUP):
        where = f"the installed package's entry point {point.name} = {point.value}"
        try:
            methods = point.load()
        except Exception as error:
            raise UserError(f"{where} cannot be loaded: {_in_a_line(error)}") from None
        if not isinstance(methods, Mapping) or not methods.keys() <= METHODS.keys():
            _register(methods, where)


def _run(file: MethodFile) -> ModuleType:
    module = ModuleType(file.module)
    module.__file__ = file.path
    sys.modules[file.module] = module  # pickle and the registry find its classes by this name
    try:
        exec(compile(file.source, file.path, "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[file.module]
        raise UserError(f"{file.path}{_place(error, file.path)}: {_in_a_line(error, file.path)}") from None
    return module


def _register(methods: Any, where: str, source: str = "") -> None:
    if not isinstance(methods, Mapping) or not methods or not all(isinstance(e, MethodEntry) for e in methods.values()):
        raise UserError(f"{where}: expected a dict METHODS of names and methods.method_entry.MethodEntry values")
    for name, entry in methods.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UserError(f"{where}: method {name!r}: expected letters, digits and . _ + - (it names a folder)")
        if name in METHODS:
            raise UserError(f"{where}: {name!r} is a method already; call yours something else")
        for other, known in METHODS.items():
            if taken := {*entry.published_as} & {*known.published_as}:
                raise UserError(f"{where}: {name!r}: {other} is {', '.join(sorted(taken))} already; no `published_as`")
    METHODS.update({name: replace(entry, custom=True, source=source) for name, entry in methods.items()})


def _in_a_line(error: BaseException, path: str = "") -> str:
    """What an error says. path: of the file that is named before it; a module that it imports may be what is broken."""
    text = str(error)
    if isinstance(error, SyntaxError):  # its own words have file and line in another form
        text = error.msg if error.filename == path else f"{error.msg}, in {error.filename} line {error.lineno}"
    return f"{type(error).__name__}: {' '.join(text.split()) or 'no message'}"


def _place(error: BaseException, path: str) -> str:
    """The last line of the file that the error went through."""
    line, trace = getattr(error, "lineno", None), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" line {line}" if line else ""
