"""The tidy tables as files, written record after record: those of thousands of runs need not fit into memory."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from results.store.files import drafted, write_atomically
from results.store.folders import Stored
from results.tables.data_dictionary import DICTIONARY, TABLES, Described
from results.tables.export import parquet_or_refuse
from results.tables.long_data import in_order, parts, runs, typed
from results.tables.table import csv_text

FORMATS = ("csv", "parquet")
ROWS = 200_000  # of a row group of parquet


class Sink(Protocol):
    """Takes rows of one table."""

    def __call__(self, frame: pd.DataFrame) -> None:
        """Write them behind what was written before."""


def export_tables(
    stored: Sequence[Stored], stale: frozenset[str], folder: Path, formats: Sequence[str] = ()
) -> dict[str, int]:
    """Write the four tables and their dictionary into a folder; how many rows each has.

    formats: csv, parquet; none: csv, and parquet where it can be written. Raises UserError where it cannot be.
    """
    formats = formats or ([*FORMATS] if importlib.util.find_spec("pyarrow") else ["csv"])
    folder.mkdir(parents=True, exist_ok=True)
    ordered, counts = in_order(stored), dict.fromkeys(TABLES, 0)
    with ExitStack() as stack:
        sinks = {
            table: [stack.enter_context(_SINKS[form](folder / f"{table}.{form}", table)) for form in formats]
            for table in TABLES
        }

        def put(table: str, frame: pd.DataFrame) -> None:
            counts[table] += len(frame)
            for sink in sinks[table]:
                sink(frame)

        put("runs", runs(ordered, stale))
        for number, one in enumerate(ordered):
            for table, rows in parts(number, one):
                put(table, rows)
    dictionary = pd.DataFrame(DICTIONARY, columns=list(Described._fields))
    write_atomically(folder / "dictionary.csv", csv_text(dictionary).encode())
    return counts


@contextmanager
def _csv(path: Path, table: str) -> Iterator[Sink]:
    with _whole(path) as draft, open(draft, "w", encoding="utf-8", newline="") as file:
        file.write(csv_text(typed([], table)))

        def put(frame: pd.DataFrame) -> None:
            file.write(csv_text(frame, header=False))

        yield put


@contextmanager
def _parquet(path: Path, table: str) -> Iterator[Sink]:
    parquet = parquet_or_refuse()
    import pyarrow

    kinds = {
        "object": pyarrow.string(),
        "Int64": pyarrow.int64(),
        "float64": pyarrow.float64(),
        "bool": pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, kinds[str(kind)]) for name, kind in typed([], table).dtypes.items()])
    waiting: list[Any] = []
    with _whole(path) as draft, parquet.ParquetWriter(draft, schema) as writer:

        def write() -> None:
            writer.write_table(pyarrow.concat_tables(waiting))
            waiting.clear()

        def put(frame: pd.DataFrame) -> None:
            waiting.append(pyarrow.Table.from_pandas(frame, schema=schema, preserve_index=False))
            if sum(len(part) for part in waiting) >= ROWS:
                write()

        yield put
        if waiting:
            write()


_SINKS = {"csv": _csv, "parquet": _parquet}


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A draft that takes the path's place when all is well, and is gone otherwise."""
    with drafted(path) as draft:
        yield draft
        draft.replace(path)
