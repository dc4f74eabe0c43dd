"""What a person may have meant by a name that is not there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

SUGGESTED: Final = 3  # names in one line
LISTED: Final = 12  # so many names are listed in full
ALIKE: Final = 0.6  # share of letters in common, as difflib counts them


def near(name: str, known: Iterable[str]) -> list[str]:
    """The known names that are most like this one, the nearest first; empty where none is.

    Case, spaces, hyphens, underscores, dots and slashes count for nothing.

    >>> near("ZegCLIP", ["clip", "zegclip"]), near("pascal5i", ["pascal-5i", "coco-20i"]), near("x", ["clip"])
    (['zegclip'], ['pascal-5i'], [])
    """
    forms: dict[str, list[str]] = {}
    for one in known:
        forms.setdefault(_plain(one), []).append(one)
    wanted = _plain(name)
    found = [wanted] if wanted in forms else difflib.get_close_matches(wanted, forms, n=SUGGESTED, cutoff=ALIKE)
    return [one for form in found for one in forms[form]]


def _plain(name: str) -> str:
    return re.sub(r"[\s_./-]", "", name.casefold())


def suggestion(name: str, known: Iterable[str], *, listed_by: str = "") -> str:
    """`did you mean ...?` where a known name is like this one, and which names there are.

    listed_by: the command that lists all names, where they are too many for a line.

    >>> suggestion("vla", ["val", "tune"])
    'did you mean val? There are: val, tune'
    >>> suggestion("xyz", ["val", "tune"])
    'there are: val, tune'
    >>> suggestion("a7", [f"a{i}" for i in range(99)], listed_by="`list methods` names all")
    'did you mean a7? `list methods` names all'
    """
    known = list(known)
    found = near(name, known)
    asked = f"did you mean {' or '.join(found)}? " if found else ""
    if len(known) > LISTED and listed_by:
        return asked + listed_by
    if len(known) > LISTED and found:
        return asked.rstrip()
    return f"{asked}{'There' if asked else 'there'} are: {', '.join(known)}" if known else f"{asked}there are none"
