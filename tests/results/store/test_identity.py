"""What two records share that differ in fold and seed alone, and that it is of the record itself."""

from __future__ import annotations

import pytest

from results.store.identity import IDENTITY, by_identity, identity, key_of, row_key
from results.store.record import RunRecord
from tests.results.factory import record


def test_a_key_holds_the_values_of_the_identity() -> None:
    """Fails when a row of a table looks for its runs by other values than the runs are kept by."""
    one = record()
    assert tuple(identity(one)) == IDENTITY
    assert row_key(one) == key_of(identity(one))
    assert row_key(one) is row_key(record(fold=1, seed=3))


@pytest.mark.parametrize("update", [{"method": "beta"}, {"limit": 3}, {"config": {"size": 9}}])
def test_a_changed_copy_is_another_row(update: dict[str, object]) -> None:
    """Fails when a copy of a record keeps the row of the record that it was made from."""
    one = record()
    assert row_key(one)
    train = one.result.train.model_copy(update=update)
    other = one.model_copy(update={"result": one.result.model_copy(update={"train": train})})
    assert row_key(other) != row_key(one)
    assert len(by_identity([one, other])) == 2


def test_what_a_record_keeps_of_itself_is_no_part_of_it() -> None:
    """Fails when a record that was looked at is another one, or is written otherwise, than before."""
    one, fresh = record(), record()
    before = one.model_dump_json()
    assert row_key(one)
    assert one.model_dump_json() == before
    assert one == fresh
    assert RunRecord.model_validate_json(one.model_dump_json()) == one
