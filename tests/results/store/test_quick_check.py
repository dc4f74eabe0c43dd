"""While records are read: forged numbers are left out by name, sound records are not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import harness
from results.store import quick_check
from results.store.folders import CorruptRecord, Stored, find_stored
from results.store.quick_check import doubt
from results.store.record import LATER
from results.store.verify import counts_beside, disagreements
from tests.results import factory
from tests.results.store.test_verify import BOUNDARIES, EDITS, edit, lay

ROOT = Path(__file__).resolve().parents[3] / "results"
NUMBERS = [words for words in EDITS if "folder" not in words]  # where a record lies is `results verify`'s to see


def doubts(root: Path) -> list[str]:
    found = list(find_stored(root))
    assert not any(isinstance(item, CorruptRecord) for item in found)
    return [doubt(item) for item in found]  # type: ignore[arg-type]


@pytest.mark.parametrize("words", NUMBERS)
def test_an_edited_number_is_doubted(words: str, tmp_path: Path) -> None:
    """Fails when a number that `results verify` would find is printed by a table."""
    path = lay(tmp_path)
    edit(path, EDITS[words])
    (line,) = doubts(tmp_path)
    assert line
    assert "\n" not in line


def _with(path: Path, **arrays: np.ndarray) -> None:
    """Other counts beside a record, its hash being theirs."""
    file = path.with_name("confusion.npz")
    with np.load(file) as old:
        known = dict(old)
    with open(file, "wb") as out:
        np.savez(out, **known | arrays)
    edit(path, lambda result: result.update(confusion_sha256=hashlib.sha256(file.read_bytes()).hexdigest()))


@pytest.mark.parametrize("swapped", [(1, 2), (0, 0)], ids=["another prediction", "same"])
def test_counts_of_images_must_be_those_of_the_matrix(swapped: tuple[int, int], tmp_path: Path) -> None:
    """Fails when intervals can be drawn from other counts of images than the matrix that the numbers are of."""
    path = lay(tmp_path)
    rows = factory.counts(factory.specs()[0])["per_image"].copy()
    one, other = swapped
    rows[one, 2], rows[other, 2] = rows[other, 2], rows[one, 2]
    _with(path, per_image=rows)
    (line,) = doubts(tmp_path)
    assert ("do not add up" in line) == (swapped == (1, 2))


@pytest.mark.parametrize("column", [0, 1, 2, 3])
def test_counts_of_images_that_are_not_there(column: int, tmp_path: Path) -> None:
    """Fails when an image or class beyond those scored, or a negative count, ends in a stack trace or passes."""
    path = lay(tmp_path)
    rows = factory.counts(factory.specs()[0])["per_image"].copy()
    rows[0, column] = -rows[0, 3] if column == 3 else 99
    rows[1, 3] += 2 * rows[0, 3] * -(column == 3)
    _with(path, per_image=rows)
    assert all(doubts(tmp_path))


@pytest.mark.parametrize("words", BOUNDARIES)
def test_counts_near_boundaries_must_be_possible(words: str, tmp_path: Path) -> None:
    """Fails when a report shows errors near boundaries that `results verify` would refuse."""
    path = lay(tmp_path)
    _with(path, boundary=BOUNDARIES[words](factory.counts(factory.specs()[0])["matrices"][1]))
    (line,) = doubts(tmp_path)
    assert words in line


def test_what_older_records_do_not_say_is_no_doubt(tmp_path: Path) -> None:
    """Fails when a record from before a mean was stored is looked at the slow way, or left out."""
    path = lay(tmp_path)
    for name in LATER:
        edit(path, lambda result, name=name: [result[at].pop(name, None) for at in ("own", "unshifted", "best")])
    (item,) = find_stored(tmp_path)
    assert isinstance(item, Stored)
    assert quick_check._agrees(item.record.result, counts_beside(item.confusion))
    assert doubt(item) == ""


def test_stored_records_are_sound() -> None:
    """Fails when a record as runs write it is doubted, or looked at the slow way and the quick one with two results."""
    for name in ("reference", "sensitivity", "pretraining"):
        for item in find_stored(ROOT / name):
            assert not isinstance(item, CorruptRecord)
            assert doubt(item) == ""
            assert list(disagreements(item)) == []


def test_background_and_items_are_looked_at_too(tmp_path: Path) -> None:
    """Fails when a record with background as a class is doubted, or its numbers are not looked at."""
    path, _ = factory.store(tmp_path, background="class")
    assert doubts(tmp_path) == [""]
    edit(path, lambda result: result["own"].update(miou_seen=0.99))
    assert "own.miou_seen is 0.99" in doubts(tmp_path)[0]


@pytest.mark.usefixtures("toy")
def test_tables_leave_a_forged_record_out_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when `tables` prints a number that nobody measured, or keeps quiet about the record."""
    for fold in (0, 1):
        lay(tmp_path, fold=fold)
    forged = lay(tmp_path, fold=0, seed=1)
    edit(forged, lambda result: result["own"].update(hiou=0.987))
    assert harness.main(["tables", "--from", str(tmp_path), "--show", "main", "--format", "csv"]) == 0
    captured = capsys.readouterr()
    assert "0.987" not in captured.out
    assert f"left out: {forged}: own.hiou is 0.987" in captured.err
    assert json.loads(forged.read_text())["result"]["own"]["hiou"] == 0.987
