"""Which records are of one run, and which of one table row: copies count once, contradictions count nowhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from benchmarks.spec import Recipe, clip_words
from benchmarks.values import canonical_json
from results.store.record import RunRecord

# One table: numbers that may stand beside one another.
TABLE = ("benchmark", "kind", "part", "family_hash", "source")
# One row of it: runs that differ in fold and seed alone.
VARIANT = (
    "method",
    "label",
    "trained",
    "config",
    "clip",
    "clip_sha256",
    "recipe",
    "train_limit",
    "eval_limit",
    "precision",
    "partial",
)
TRANSFER = ("source", "trained")  # the benchmark, and the fold, of weights that are scored elsewhere; else empty
IDENTITY = (*TABLE, *VARIANT)


def table_of(record: RunRecord) -> dict[str, str]:
    """What runs share whose numbers may stand beside one another, by the names in TABLE."""
    return dict(zip(TABLE, row_key(record), strict=False))


def identity(record: RunRecord) -> dict[str, Any]:
    """What two runs share when they differ in fold and seed alone, by the names in IDENTITY."""
    return dict(zip(IDENTITY, row_key(record), strict=True))


def row_key(record: RunRecord) -> tuple[Any, ...]:
    """The values of a record's identity, in the order of IDENTITY. A limit of 0 stands for none."""
    known = record.__dict__
    if _KEY not in known:  # frozen: once is enough
        known[_KEY] = _first_equal(_key(record))
    return known[_KEY]


_KEY = "_row_key"  # where a record keeps it; no field


@lru_cache(maxsize=4096)
def _first_equal(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return key  # one for all records of a row


def _key(record: RunRecord) -> tuple[Any, ...]:
    result, train, evaluation = record.result, record.result.train, record.result.evaluation
    return (
        evaluation.benchmark,
        evaluation.side.kind,
        evaluation.part,
        result.family_hash,
        train.benchmark if evaluation.transferred else "",
        train.method,
        result.label,
        result.trained_on,
        _config_text(train.config),
        clip_words(train.clip),
        result.clip_sha256,
        _recipe_text(train.recipe),
        train.limit or 0,
        evaluation.limit or 0,
        evaluation.precision,
        result.partial,
    )


def _config_text(config: Mapping[str, Any]) -> str:
    return sys.intern(canonical_json(config)) if config else "{}"  # few texts, many records


@lru_cache(maxsize=1024)
def _recipe_text(recipe: Recipe) -> str:
    return sys.intern(canonical_json(recipe.essence()))


def key_of(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """The `row_key` of the records that a row was made from, to look up by."""
    return tuple(row[name] for name in IDENTITY)


def by_identity(records: Iterable[RunRecord]) -> dict[tuple[Any, ...], list[RunRecord]]:
    """Records that differ in fold and seed alone, together, by their `row_key`."""
    found: dict[tuple[Any, ...], list[RunRecord]] = {}
    for record in records:
        found.setdefault(row_key(record), []).append(record)
    return found


@dataclass(frozen=True)
class Conflict:
    """Records of one run whose results differ: all are left out."""

    records: tuple[RunRecord, ...]

    def words(self) -> str:
        """The conflict in one line."""
        folders = sorted({record.result.train.folder for record in self.records})
        seen = sorted(
            f"hIoU {'undefined' if r.result.own.hiou is None else format(r.result.own.hiou, '.6f')} "
            f"({origin.host or 'unknown host'}, {origin.device}, {origin.started})"
            for r, origin in ((r, r.provenance.scoring) for r in self.records)
        )
        return f"{', '.join(folders)}: {len(seen)} records with different results, all left out: {'; '.join(seen)}"


def settle(records: Iterable[RunRecord]) -> tuple[list[RunRecord], list[Conflict]]:
    """Each run once: copies with the same result count once, runs with different results are conflicts, left out.

    Both lists come in an order that does not depend on the order of the records.
    """
    groups: dict[tuple[Any, ...], list[RunRecord]] = {}
    for record in records:
        key = (*row_key(record), record.result.evaluation.fold, record.result.train.seed)
        groups.setdefault(key, []).append(record)
    kept: list[RunRecord] = []
    conflicts: list[Conflict] = []
    for _, same in sorted(groups.items(), key=lambda item: item[0]):
        if len(same) > 1:
            same.sort(key=lambda r: canonical_json(r.provenance.model_dump(mode="json")))
        if all(same[0].same_result(other) for other in same[1:]):
            kept.append(same[0])
        else:
            conflicts.append(Conflict(tuple(same)))
    return kept, conflicts
