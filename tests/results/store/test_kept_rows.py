"""Counts that were in hand when records were checked are those that lie on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from results.store.kept_rows import KeptRows
from results.store.selection import Selection, select
from results.tables.families import reader

REFERENCE = Path(__file__).resolve().parents[3] / "results" / "reference"
SOME = Selection((REFERENCE,), methods=("zegclip", "constant"))


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
