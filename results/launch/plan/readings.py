"""Readings: the constants of one method as somebody reads its paper, in one file. Imports no torch.

What a paper does not say, the harness had to choose: `reading` stands beside such a constant in the method's config.
Whoever has the paper writes its constants down in a file like this, gives it with `--reading`, and tables say which
reading ran. `list reading METHOD` prints a file with every constant at the harness's value and what its source is.

    method = "chimera-seg"        # it holds for the ablations of the method too
    name = "page 5"               # what tables call it
    [constants]
    blocks = 3
    sgd_weight = 0.5
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from benchmarks.toml import read_toml
from benchmarks.values import Value, formed
from methods.config import MethodConfig
from methods.registry import LISTED_BY, METHODS, config_class, entry
from splits.errors import UserError
from splits.near import suggestion

OPTION = "--reading"
ABLATION = "ablation:"


class Reading(Value):
    """Constants of a method that go before those of its recipe."""

    method: str
    name: Annotated[str, formed(r"[\w .,:()'-]{1,40}", "at most 40 letters, digits, blanks and . , : ( ) ' - _")]
    constants: dict[str, Any] = Field(min_length=1)

    def holds_for(self, method: str) -> bool:
        """Of the method itself and of its ablations, whose own switches go before it."""
        return method == self.method or entry(method).group == f"{ABLATION}{self.method}"


def read_readings(paths: Sequence[Path], methods: Iterable[str]) -> tuple[Reading, ...]:
    """The readings of files. Raises UserError, one line, for what is none or concerns no method that is run."""
    readings = tuple(_read(path) for path in paths)
    for path, reading in zip(paths, readings, strict=True):
        if sum(other.method == reading.method for other in readings) > 1:
            raise UserError(f"{OPTION}: two readings of {reading.method}; give one")
        if not any(reading.holds_for(method) for method in methods):
            raise UserError(f"{OPTION} {path}: a reading of {reading.method}, which is not run")
    return readings


def reading_of(method: str, readings: Iterable[Reading]) -> Reading | None:
    """The one that holds for a method."""
    return next((reading for reading in readings if reading.holds_for(method)), None)


def template(method: str) -> str:
    """The text of a reading file: every constant of a method at its config's default, commented out, with its source.

    Raises UserError for a method that has none.
    """
    if method not in METHODS:
        raise UserError(f"no method is called {method!r}; {suggestion(method, METHODS, listed_by=LISTED_BY)}")
    config, fixed = config_class(method), entry(method).fixed
    free = [name for name in config.model_fields if name not in fixed and name != "setting"]
    if not free:
        raise UserError(f"{method} has no constants to read otherwise")
    head = [f"# {line}" for line in (inspect.getdoc(inspect.getmodule(config)) or "").splitlines()]
    lines = [*(line.rstrip() for line in head), "", f'method = "{method}"', 'name = "my reading"', "", "[constants]"]
    defaults, words, titles = config().model_dump(mode="json"), comments(config), headings(config)
    for name in free:
        if name in titles:
            lines += ["", f"# -- {titles[name]}"]
        lines += [f"# {line}" for line in words[name]]
        lines.append(f"# {name} = {json.dumps(defaults[name])}")
    return "\n".join(lines) + "\n"


def comments(config: type[MethodConfig]) -> dict[str, list[str]]:
    """What stands above and beside each field of a config in its source, or that of its bases, without the marks."""
    return {name: words for name, (_, words) in _commented(config).items()}


def headings(config: type[MethodConfig]) -> dict[str, str]:
    """The heading that stands before a field, of fields that have one: a line alone, without a full stop."""
    return {name: heading for name, (heading, _) in _commented(config).items() if heading}


def _commented(config: type[MethodConfig]) -> dict[str, tuple[str, list[str]]]:
    """Of each field the heading before it and its comments."""
    bases = (cls for cls in reversed(config.mro()) if issubclass(cls, MethodConfig) and cls is not MethodConfig)
    return {name: found for cls in bases for name, found in _own_comments(cls).items()}


def _own_comments(config: type[MethodConfig]) -> dict[str, tuple[str, list[str]]]:
    above: list[str] = []
    after_gap = False  # is the first of these lines the first after an empty one?
    found: dict[str, tuple[str, list[str]]] = {}
    last = ""
    for line in inspect.getsource(config).splitlines():
        text = re.sub(r"  # type: ignore\[[\w, -]+\]", "", line.strip())
        if text.startswith("#"):
            after_gap = after_gap if above else not last
            above.append(text.lstrip("# "))
        elif field := re.match(r"(\w+):\s", text):
            beside = re.search(r"  # (.*)$", text)
            heading = above.pop(0) if after_gap and _is_heading(above) and (beside or above[1:]) else ""
            found[field[1]] = heading, [*above, *([beside[1]] if beside else [])]
            above, after_gap = [], False
        else:
            above, after_gap = [], False
        last = text
    return found


def _is_heading(lines: list[str]) -> bool:
    """Is the first of these comment lines a heading, and not the first line of a sentence?"""
    first, *rest = lines or [""]
    return first[:1].isupper() and not first.endswith(".") and (not rest or rest[0][:1].isupper())


def _read(path: Path) -> Reading:
    reading = Reading.parse(read_toml(path, OPTION), source=f"{OPTION} {path}")
    if reading.method not in METHODS or not METHODS[reading.method].trained:
        raise UserError(f"{OPTION} {path}: {reading.method!r} is no method that is trained; see `list methods`")
    fields, fixed = config_class(reading.method).model_fields, entry(reading.method).fixed
    for name in reading.constants:
        if name not in fields or name == "setting":
            raise UserError(f"{OPTION} {path}: {reading.method} has no constant {name!r}; see `list reading`")
        if name in fixed:
            raise UserError(f"{OPTION} {path}: {name} is what makes it {reading.method}; leave it out")
    return reading
