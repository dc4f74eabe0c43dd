"""Records of earlier schemas, brought to today's. A schema grows by a step here; a stored record is never rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from results.store.record import SCHEMA
from splits.errors import UserError


# From a schema's number to the step that makes the next one of it: plain data in, plain data out. Results stay as they
# were measured; a field that an older record lacks is None or its introduced default, never a guess.
def _phases(data: dict[str, Any]) -> dict[str, Any]:
    """1 to 2: the one provenance was overwritten by each scoring; where and with what was trained is not known."""
    scoring = data.get("provenance")
    if not isinstance(scoring, dict):
        return data  # what is wrong is said when it is validated
    sources = {"sources_sha256": scoring.get("sources_sha256")}
    scoring = {name: value for name, value in scoring.items() if name not in sources}
    return {**data, "provenance": {**sources, "training": None, "scoring": scoring}}


STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _phases}


class CorruptRecord(UserError):
    """A stored file is not what it should be."""


def migrated(
    data: Any,
    *,
    source: str,
    steps: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = STEPS,
    target: int = SCHEMA,
) -> dict[str, Any]:
    """A record's plain data in the target schema; raises CorruptRecord where no steps lead there."""
    version = data.get("schema_version") if isinstance(data, dict) else None
    found = None if isinstance(version, bool) else version  # True is 1 to Python
    while isinstance(found, int) and found < target and found in steps:
        data = {**steps[found](data), "schema_version": found + 1}
        found += 1
    if found != target:
        newer = isinstance(version, int) and not isinstance(version, bool) and version > target
        hint = "; a newer harness wrote it: update this one" if newer else ""
        raise CorruptRecord(f"{source}: has schema {version}, this harness reads schemas 1 to {target}{hint}")
    return data
