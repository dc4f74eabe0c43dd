"""What a page says of a sheet of predictions whose runs are not those of its records."""

from __future__ import annotations

from results.report.sheet_note import sheet_doubts, sheet_note
from tests.results.factory import record


def test_a_sheet_of_other_runs_is_told() -> None:
    """Fails when pictures of other, older or stale weights stand on a page as those of its numbers."""
    one, other = record(), record(method="beta")
    runs = {r.result.train.folder: r.result.weights_sha256 for r in (one, other)}
    folder, note = one.result.train.folder, sheet_note("The first images.", runs)
    assert note.splitlines()[0] == "The first images."
    assert not sheet_doubts(note, [one, other], frozenset())
    assert sheet_doubts(note, [other], frozenset()) == f"{folder}: not among the records of this page."
    assert sheet_doubts(note, [one, other], frozenset({folder})) == f"{folder}: stale."
    again = sheet_note("The first images.", runs | {folder: "f" * 64})
    assert sheet_doubts(again, [one, other], frozenset()) == f"{folder}: made again since, with other weights."


def test_what_trains_nothing_needs_no_weights() -> None:
    """Fails when a method without weights is said to have been made again."""
    one = record()
    assert not sheet_doubts(sheet_note("All.", {one.result.train.folder: ""}), [one], frozenset())


def test_a_sheet_without_its_runs_is_told() -> None:
    """Fails when a picture of nobody knows what passes for one of the page's runs."""
    assert sheet_doubts("The first images.", [record()], frozenset()) == "The runs of this sheet are not known."
