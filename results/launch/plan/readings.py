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
from typing import Any

from pydantic import Field

from benchmarks.toml import read_toml
from benchmarks.values import Value
from methods.config import MethodConfig
from methods.registry import LISTED_BY, METHODS, config_class, entry
from splits.errors import UserError
from splits.near import suggestion

OPTION = "--reading"
ABLATION = "ablation:"


class Reading(Value):
    """Constants of a method that go before those of its recipe."""

    method: str
    name: str = Field(pattern=r"^[\w .,:()'-]{1,40}$")
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
    defaults, words = config().model_dump(mode="json"), comments(config)
    for name in free:
        lines += [f"# {line}" for line in words[name]]
        lines.append(f"# {name} = {json.dumps(defaults[name])}")
    return "\n".join(lines) + "\n"


def comments(config: type[MethodConfig]) -> dict[str, list[str]]:
    """What stands above and beside each field of a config in its source, or that of its bases, without the marks."""
    bases = (cls for cls in reversed(config.mro()) if issubclass(cls, MethodConfig) and cls is not MethodConfig)
    return {name: words for cls in bases for name, words in _own_comments(cls).items()}


def _own_comments(config: type[MethodConfig]) -> dict[str, list[str]]:
    above: list[str] = []
    found: dict[str, list[str]] = {}
    for line in inspect.getsource(config).splitlines():
        text = line.strip()
        if text.startswith("#"):
            above.append(text.lstrip("# "))
        elif field := re.match(r"(\w+):\s", text):
            beside = re.search(r"  # (.*)$", line)
            found[field[1]] = [*above, *([beside[1]] if beside else [])]
            above = []
        else:
            above = []
    return found


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
