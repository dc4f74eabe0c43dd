"""Every field of every record as one flat table, for people's own analyses: CSV, or parquet where pyarrow is there."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.values import canonical_json
from results.store.files import write_atomically
from results.store.lean import whole
from results.store.record import RunRecord
from results.tables.table import csv_text
from splits.errors import UserError

# what a method or a machine may or may not have: as JSON text
KEPT_WHOLE = ("result.train.config", "provenance.training.packages", "provenance.scoring.packages")


def flat(record: RunRecord) -> dict[str, Any]:
    """Fields by dotted path (`result.train.seed`); lists, and settings a method may or may not have, as JSON text."""
    return dict(_leaves(whole(record).model_dump(mode="json")))


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and name not in KEPT_WHOLE:
            yield from _leaves(item, f"{name}.")
        else:
            yield name, canonical_json(item) if isinstance(item, dict | list) else item


def frame(records: Iterable[RunRecord], stale: frozenset[str] = frozenset()) -> pd.DataFrame:
    """A row per record as stored, copies and conflicts included, ordered by run, evaluation and origin.

    stale: folders of the runs that are to be marked so.
    """
    table = pd.DataFrame([flat(record) | {"run": record.result.train.folder} for record in records])
    table["stale"] = table["run"].isin(stale)
    identity = ["run", "result.evaluation.fold", "result.protocol_hash"]
    order = [*identity, "provenance.scoring.started", "result.confusion_sha256"]
    return table.sort_values(order, kind="stable", ignore_index=True)


def export(records: Iterable[RunRecord], path: Path, stale: frozenset[str] = frozenset()) -> int:
    """Write all records to `path` (.csv or .parquet) and return how many; raises UserError for another ending."""
    if path.suffix not in (".csv", ".parquet"):
        raise UserError(f"--out {path}: expected a folder, or a name that ends in .csv or .parquet")
    table = frame(records, stale)
    write_atomically(path, _parquet(table) if path.suffix == ".parquet" else csv_text(table).encode())
    return len(table)


def _parquet(table: pd.DataFrame) -> bytes:
    parquet_or_refuse()
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def parquet_or_refuse() -> Any:
    """The library that writes parquet. Raises UserError where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError("parquet needs pyarrow (`pip install pyarrow`); or ask for csv") from None
    return pyarrow.parquet
