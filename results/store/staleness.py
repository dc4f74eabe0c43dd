"""What has changed since a record was made: by itself, and beside other records. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

from benchmarks.shapes.body.files import KINDS, shipped_sha256
from benchmarks.spec import TrainSpec
from methods.registry import METHODS
from results.store.data_changes import BODY, SOURCES, Read, outdated, reads
from results.store.provenance import sources_sha256
from results.store.record import RunRecord
from splits.hashing import file_sha256

WHAT: Final = "the method's sources, its body's weights or the data"  # where all that is stale shares one sentence


def changed_since(records: Iterable[RunRecord], beside: Iterable[Read] = ()) -> dict[str, str]:
    """Folders of the stale runs among these records, each with what has changed since.

    beside: what further records were made with, to compare these with.
    """
    records = list(records)
    alone = {record.result.train.folder: why for record in records if (why := why_stale(record))}
    known = outdated([*(of for record in records for of in reads(record)), *beside])
    return known | alone


def is_stale(record: RunRecord) -> bool:
    """Was it made with other sources of its method, or with other body weights, than those here?"""
    return bool(why_stale(record))


def why_stale(record: RunRecord) -> str:
    """What has changed since a record was made, as far as this machine can tell; empty where nothing has."""
    return why_stale_weights(record.result.train, record.provenance.sources_sha256, record.result.body_sha256)


def why_stale_weights(train: TrainSpec, sources: str, body: str) -> str:
    """The same of weights, by the sha256s of their method's sources and of what their body began with."""
    if train.method not in METHODS:
        return ""
    if sources != sources_sha256(train.method):
        return SOURCES
    return BODY if other_body(train, body) else ""


def other_body(train: TrainSpec, sha256: str) -> bool:
    """Would the training's body begin with another file than the one of this sha256? Of what is not here: no."""
    named = train.config.get("body_weights")
    if not sha256 or not isinstance(named, str):
        return False
    if named in KINDS:
        return train.config.get("body") == "small" and sha256 != shipped_sha256(named, train.fold)
    now = "" if re.match(r"\w+://", named) else _sha256_now(Path(named))
    return bool(now) and sha256 != now


def _sha256_now(path: Path) -> str:
    """Empty where the file is not on this machine."""
    try:
        of = path.stat()
        return _hashed(path, of.st_ino, of.st_size, of.st_mtime_ns) if path.is_file() else ""
    except OSError:
        return ""


@lru_cache(maxsize=64)
def _hashed(path: Path, *_state: int) -> str:
    """Records by the thousand name one file of weights: it is read again where its state has changed alone."""
    return file_sha256(path)
