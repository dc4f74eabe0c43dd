"""Records of older data are known by the records alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from results.store import data_changes
from results.store.record import RunRecord
from tests.results.factory import record


def made(method: str, started: str, *, train: str = "", scored: str = "", **of: Any) -> RunRecord:
    found = record(method, **of)
    result = found.result.model_copy(update={"train_data_sha256": train, "eval_data_sha256": scored})
    scoring = found.provenance.scoring.model_copy(update={"started": started})
    provenance = found.provenance.model_copy(update={"scoring": scoring})
    return found.model_copy(update={"result": result, "provenance": provenance})


def outdated(records: Iterable[RunRecord]) -> dict[str, str]:
    return data_changes.outdated(of for record in records for of in data_changes.reads(record))


def folders(*records: RunRecord) -> frozenset[str]:
    return frozenset(r.result.train.folder for r in records)


def test_the_newest_record_says_what_the_data_are():
    """Fails when a row of older files passes for one of today's, or one of today's or of unknown files is marked."""
    old, new = made("alpha", "2026-01-01", scored="a"), made("beta", "2026-01-02", scored="b")
    unknown, same = made("gamma", "2026-01-03"), made("delta", "2026-01-01", scored="b")
    assert outdated([old, new, unknown, same]).keys() == folders(old)
    assert outdated([new, same, unknown]) == {}
    trained = made("epsilon", "2026-01-01", train="x", scored="b")
    again = made("zeta", "2026-01-04", train="y", scored="b")
    assert outdated([trained, again, new]).keys() == folders(trained)


def test_two_of_one_second_are_both_doubtful():
    """Fails when one of two records of the same second is taken for the newer by chance."""
    first, second = made("alpha", "2026-01-01", scored="a"), made("beta", "2026-01-01", scored="b")
    assert outdated([first, second]).keys() == folders(first, second)


def test_the_same_result_where_one_record_knows_no_files():
    """Fails when a record from before files were identified contradicts its repetition, or other files do not."""
    old, new, other = made("alpha", "1", scored=""), made("alpha", "2", scored="a"), made("alpha", "3", scored="b")
    assert old.same_result(new)
    assert not new.same_result(other)


def test_two_versions_of_a_method_that_is_not_here():
    """Fails when runs of two versions of a method file that nobody named are averaged without a word."""
    old, new, same = (made("alpha", started, seed=seed) for seed, started in enumerate(("1", "2", "3")))
    new, same = (
        r.model_copy(update={"provenance": r.provenance.model_copy(update={"sources_sha256": "b" * 64})})
        for r in (new, same)
    )
    assert outdated([old, new, same]) == {old.result.train.folder: "the method's sources"}
    assert outdated([new, same]) == outdated([old]) == {}


def test_two_contents_of_one_file_of_body_weights():
    """Fails when folds whose bodies began with two contents of one file are averaged, or shipped weights, of which
    each fold has its own, are called changed.
    """

    def began(fold: int, weights: str, sha256: str) -> RunRecord:
        found = made("alpha", str(fold), fold=fold, config={"body": "small", "body_weights": weights})
        return found.model_copy(update={"result": found.result.model_copy(update={"body_sha256": sha256})})

    first, second = began(0, "own.pth", "a"), began(1, "own.pth", "b")
    assert outdated([first, second]) == {first.result.train.folder: "the body's weights"}
    assert outdated([began(0, "without-unseen", "a"), began(1, "without-unseen", "b")]) == {}


def test_training_data_are_as_old_as_the_training():
    """Fails when an old training that is scored again passes for one of today's data."""
    old, new = made("alpha", "3", train="x"), made("beta", "2", train="y")
    of = old.provenance
    old = old.model_copy(
        update={"provenance": of.model_copy(update={"training": of.scoring.model_copy(update={"started": "1"})})}
    )
    assert outdated([old, new]).keys() == folders(old)
