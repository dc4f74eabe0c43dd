"""Where in a method's file a problem lies: for `methods.check`, so that an editor can jump there."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

OWN = Path(__file__).resolve().parent  # the checks themselves, and the interface, are never the place


def place_of_error(error: BaseException, files: Iterable[str]) -> str:
    """`file:line` of the deepest frame of an exception in one of the files; empty where it passed none of them."""
    known, found, trace = set(files), "", error.__traceback__
    while trace is not None:
        if (file := trace.tb_frame.f_code.co_filename) in known:
            found = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def place_of_method(cls: type, name: str) -> str:
    """`file:line` of the first line of a class's function, else of the class; empty where its text is not at hand.

    A function that is inherited from the interface is no place: then the class is.
    """
    function = inspect.unwrap(getattr(cls, name, cls))
    for value in (function, cls):
        code = getattr(value, "__code__", None)
        if code is not None and Path(code.co_filename) != OWN / "method.py":
            return f"{code.co_filename}:{code.co_firstlineno}"
    own = (value.__code__ for value in vars(cls).values() if hasattr(value, "__code__"))
    first = min(own, key=lambda code: code.co_firstlineno, default=None)
    return f"{first.co_filename}:{first.co_firstlineno}" if first else ""


def files_of(cls: type) -> set[str]:
    """The files that a class and its bases are written in, the interface and libraries left out."""
    from methods.method import Method

    found = {
        value.__code__.co_filename
        for base in cls.__mro__
        if issubclass(base, Method) and base is not Method
        for value in vars(base).values()
        if hasattr(value, "__code__")
    }
    return {name for name in found if not name.startswith("<")}
