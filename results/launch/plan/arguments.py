"""Arguments of calls from Python: lists, whole numbers and names that are there, as the parser has them of commands."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from splits.errors import UserError
from splits.near import suggestion

Item = TypeVar("Item")


def listed(name: str, values: Iterable[Item]) -> tuple[Item, ...]:
    """The values of a list. Raises UserError for a text, whose letters are none, and for a single value.

    >>> listed("methods", ["clip"])
    ('clip',)
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UserError(f"{name} is a list, got {values!r}; write [{values!r}]")
    return tuple(values)


def whole(name: str, values: Iterable[Any]) -> tuple[int, ...]:
    """Whole numbers of a list, those of NumPy among them. Raises UserError for any other.

    >>> import numpy
    >>> whole("seeds", numpy.arange(2))
    (0, 1)
    """
    return tuple(_whole(name, value) for value in listed(name, values))


def _whole(name: str, value: Any) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass  # below, in words
    raise UserError(f"{name} holds {value!r}; expected whole numbers")


def known(name: str, values: Iterable[Item], there: Sequence[Item]) -> tuple[Item, ...]:
    """Names of a list. Raises UserError for one that is not there, with those that are.

    >>> known("show", ["main"], ["main", "costs"])
    ('main',)
    """
    given = listed(name, values)
    for value in given:
        if value not in there:
            raise UserError(f"{name}: there is no {value!r}; {suggestion(str(value), map(str, there))}")
    return given
