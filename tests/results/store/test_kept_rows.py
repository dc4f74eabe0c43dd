"""Counts that were in hand when records were checked are those that lie on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from results.store import selection
from results.store.kept_rows import KeptRows
from results.store.lean import whole
from results.store.selection import Selection, select
from results.tables.families import reader

REFERENCE = Path(__file__).resolve().parents[3] / "results" / "reference"
METHODS = ("zegclip", "constant")
SOME = Selection((REFERENCE,), methods=METHODS)


def test_kept_counts_are_those_of_the_files() -> None:
    """Fails when draws are made from other counts than the record's, or a file is read although it was kept."""
    kept = KeptRows()
    found = select(SOME, looks=[kept])
    from_disk, in_hand = reader(found.confusion), reader(lambda _: Path("nowhere"), kept)
    assert len(found.records) > 12
    for record in found.records:
        one, other = from_disk(record), in_hand(record)
        assert one is not None
        assert other is not None
        assert (one.head, one.swept) == (other.head, other.swept)
        for name in ("hit", "truth", "predicted"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            assert getattr(one, name).dtype == getattr(other, name).dtype


def test_what_does_not_fit_is_read_again() -> None:
    """Fails when many records fill the memory, or those without room lose their counts."""
    kept = KeptRows(room=30_000)
    found = select(SOME, looks=[kept])
    there = [kept.of(record) is not None for record in found.records]
    assert any(there)
    assert not all(there)
    for record in found.records:
        one, other = reader(found.confusion)(record), reader(found.confusion, kept)(record)
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.predicted, other.predicted)


def test_several_processes_read_what_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Fails if records, what was taken of them, their order or words depend on how many processes read them; or if
    records of several pieces hold what is equal twice."""
    for method in METHODS:
        shutil.copytree(REFERENCE / "shapes-5i" / method, tmp_path / "shapes-5i" / method)
    spoilt = sorted(tmp_path.glob("*/zegclip/*/evals/*/record.json"))[1]
    spoilt.write_text("{")
    one, one_kept = read_by(tmp_path, 1)
    words = capsys.readouterr().err
    monkeypatch.setattr(selection, "MANY", 2)
    monkeypatch.setattr("benchmarks.data.parallel.FEW", 2)
    monkeypatch.setattr("benchmarks.data.parallel.CHUNK", 3)
    two, two_kept = read_by(tmp_path, 2)
    assert words == capsys.readouterr().err
    assert "left out" in words
    assert [found.path for found in one.stored] == [found.path for found in two.stored]
    assert list(map(whole, one.records)) == list(map(whole, two.records))
    assert len({id(record.result.evaluation) for record in two.records}) == len(
        {record.result.evaluation.model_dump_json() for record in two.records}
    )
    for record in one.records:
        (rows, swept), (others, also) = one_kept.of(record), two_kept.of(record)
        np.testing.assert_array_equal(rows, others)
        assert swept == also


def read_by(root: Path, jobs: int) -> tuple[Any, Any]:
    """The records below a root, whole, and what was kept of them."""
    kept = KeptRows()
    return select(Selection((root,)), looks=[kept], jobs=jobs), kept
