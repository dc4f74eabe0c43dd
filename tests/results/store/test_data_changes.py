"""Records of older data are known by the records alone."""

from __future__ import annotations

from results.store.data_changes import of_older_data
from results.store.record import RunRecord
from tests.results.factory import record


def made(method: str, started: str, *, train: str = "", scored: str = "") -> RunRecord:
    found = record(method)
    result = found.result.model_copy(update={"train_data_sha256": train, "eval_data_sha256": scored})
    scoring = found.provenance.scoring.model_copy(update={"started": started})
    provenance = found.provenance.model_copy(update={"scoring": scoring})
    return found.model_copy(update={"result": result, "provenance": provenance})


def folders(*records: RunRecord) -> frozenset[str]:
    return frozenset(r.result.train.folder for r in records)


def test_the_newest_record_says_what_the_data_are():
    """Fails when a row of older files passes for one of today's, or one of today's or of unknown files is marked."""
    old, new = made("alpha", "2026-01-01", scored="a"), made("beta", "2026-01-02", scored="b")
    unknown, same = made("gamma", "2026-01-03"), made("delta", "2026-01-01", scored="b")
    assert of_older_data([old, new, unknown, same]) == folders(old)
    assert of_older_data([new, same, unknown]) == frozenset()
    trained = made("epsilon", "2026-01-01", train="x", scored="b")
    again = made("zeta", "2026-01-04", train="y", scored="b")
    assert of_older_data([trained, again, new]) == folders(trained)


def test_two_of_one_second_are_both_doubtful():
    """Fails when one of two records of the same second is taken for the newer by chance."""
    first, second = made("alpha", "2026-01-01", scored="a"), made("beta", "2026-01-01", scored="b")
    assert of_older_data([first, second]) == folders(first, second)


def test_the_same_result_where_one_record_knows_no_files():
    """Fails when a record from before files were identified contradicts its repetition, or other files do not."""
    old, new, other = made("alpha", "1", scored=""), made("alpha", "2", scored="a"), made("alpha", "3", scored="b")
    assert old.same_result(new)
    assert not new.same_result(other)
