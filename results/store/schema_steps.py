"""Records of earlier schemas, brought to today's while they are read. A stored record is never rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Data = dict[str, Any]


def _phases(data: Data) -> Data:
    """1 to 2: the one provenance was overwritten by each scoring; where and with what was trained is not known."""
    scoring = data.get("provenance")
    if not isinstance(scoring, dict):
        return data  # what is wrong is said when it is validated
    sources = {"sources_sha256": scoring.get("sources_sha256")}
    scoring = {name: value for name, value in scoring.items() if name not in sources}
    return {**data, "provenance": {**sources, "training": None, "scoring": scoring}}


# From a schema's number to the step that makes the next one of it: plain data in, plain data out. Results stay as they
# were measured; a field that an older record lacks is None or its introduced default, never a guess.
STEPS: dict[int, Callable[[Data], Data]] = {1: _phases}


def upgraded(data: Data, steps: Mapping[int, Callable[[Data], Data]] = STEPS) -> Data:
    """A record's plain data in the latest schema that steps lead to from its own."""
    version = data.get("schema_version")
    while type(version) is int and version in steps:  # True is 1 to Python
        data, version = {**steps[version](data), "schema_version": version + 1}, version + 1
    return data
