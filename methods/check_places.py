"""Where in a method's file a problem lies: for `methods.check`, so that an editor can jump there."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import CodeType
from typing import Any

from methods.method import Method


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

    A function that is inherited from the interface, or from torch below it, is no place: then the class is.
    """
    owner = next((base for base in cls.__mro__ if name in vars(base)), Method)
    code = _code(getattr(cls, name, None))
    if code is None or owner in Method.__mro__:
        own = filter(None, map(_code, vars(cls).values()))
        code = min(own, key=lambda one: one.co_firstlineno, default=None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""


def files_of(cls: type) -> set[str]:
    """The files that a class and its bases are written in, the interface and libraries left out."""
    bases = (base for base in cls.__mro__ if issubclass(base, Method) and base is not Method)
    found = {code.co_filename for base in bases for code in map(_code, vars(base).values()) if code}
    return {name for name in found if not name.startswith("<")}


def _code(value: Any) -> CodeType | None:
    """Of a function as it is written: decorators, such as `torch.no_grad`, are other files'."""
    return getattr(inspect.unwrap(value), "__code__", None)
