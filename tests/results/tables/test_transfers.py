"""Tables of weights that were trained elsewhere, from hand-made records."""

from __future__ import annotations

import math

import pytest

from results.store.record import UNSURE, ClassCounts, RunRecord
from results.tables.comparison import has
from results.tables.content import gather
from results.tables.row_names import names_of
from results.tables.sanity_floor import warnings_of
from results.tables.table import SD_NOTE
from results.tables.tables import build_tables
from results.tables.transfers import group_mious
from results.tables.views import View
from tests.results import factory

IOUS = {"ant": 0.1, "bee": 0.2, "cow": 0.4, "dog": None}


def moved(trained: int, fold: int, *, seed=0, labelled=("bee", "cow"), scale=1.0, word="none", **changes) -> RunRecord:
    """A record of weights of one fold of toy-2i that are scored under another, with four IoUs."""
    made = factory.record(fold=fold, seed=seed, **changes)
    result = made.result
    classes = tuple(
        ClassCounts(
            name=n, seen=n in result.evaluation.side.seen, tp=1, fp=1, fn=0, iou=None if i is None else i * scale
        )
        for n, i in IOUS.items()
    )
    update = {
        "train": factory.specs(result.train.method, fold=trained, seed=seed)[0],
        "evaluation": result.evaluation.model_copy(update={"labelled": labelled}),
        "classes": classes,
        "contamination": word,
    }
    return made.model_copy(update={"result": result.model_copy(update=update)})


def test_two_groups_by_what_was_labelled():
    """Fails when a class is averaged in the wrong group, or an undefined one is averaged at all."""
    assert group_mious(moved(0, 1).result) == {
        "miou_labelled": pytest.approx((0.2 + 0.4) / 2),
        "miou_new": pytest.approx(0.1),
    }
    only_dog = group_mious(moved(0, 1, labelled=("ant", "bee", "cow")).result)
    assert math.isnan(only_dog["miou_new"])


def test_rows_of_a_transfer_have_tables_of_their_own(toy):
    """Fails when weights of another fold stand in the table of those trained there, or rows of two trainings merge."""
    native = [factory.record(fold=fold) for fold in (0, 1)]
    away = [moved(0, 0, seed=s, scale=1 + s) for s in (0, 1)] + [moved(0, 1, seed=s, scale=1 + s) for s in (0, 1)]
    other = [moved(1, fold, word="labelled in its training: ant") for fold in (0, 1)]
    for order in ([*native, *away, *other], [*other, *away, *native]):
        first, second = (t for t in build_tables(order) if t.name == "main")
        assert [row["name"] for row in first.rows()] == ["alpha"]
        assert "weights trained" not in first.title
        assert "trained" not in first.frame
        assert second.title == "toy-2i, weights trained on toy-2i: each fold, in percent"
        rows = {(row["name"], row["fold"]): row for row in second.rows()}
        names = ("alpha (trained on toy-2i fold 0)", "alpha (trained on toy-2i fold 1; contaminated)")
        assert list(rows) == [(name, fold) for name in names for fold in (0, 1)]
        clean = rows["alpha (trained on toy-2i fold 0)", 1]
        assert (clean["seeds"], clean["trained"], clean["source"]) == (2, "toy-2i fold 0", "toy-2i")
        assert clean["miou_labelled"] == pytest.approx((0.3 + 0.6) / 2)
        assert clean["miou_new_sd"] == pytest.approx(math.sqrt(2 * 0.05**2))
        notes = "\n".join(second.notes)
        assert f"Of these two {SD_NOTE}." in notes
        assert "Labelled in the training on toy-2i fold 0: 2 of 4 classes, bee, cow." in notes
        assert "Contaminated, no zero-shot result: alpha (trained on toy-2i fold 1; contaminated) fold 0" in notes
        assert not [line for line in first.notes if "Contaminated" in line or "Transfer" in line]


def test_nothing_is_compared_across(toy):
    """Fails when a method's name alone brings weights of another training into a comparison or its gate."""
    native, away = gather([factory.record(), moved(0, 1), moved(0, 1, method="zeta")], {})
    assert (native.source, away.source) == ("", "toy-2i")
    assert has(native, ["alpha"])
    assert not has(away, ["alpha", "zeta"])
    assert has(away, list(names_of(away).values()))


def test_runs_that_are_not_there_are_told_where_they_belong(toy):
    """Fails when a run without a record stands under the table of weights trained elsewhere."""
    folder = factory.specs(seed=7)[0].folder
    tables = build_tables([factory.record(), moved(0, 1)], states={folder: "failed: no reason"}, view=View(("main",)))
    told = [any("seed 7" in note for note in table.notes) for table in tables]
    assert told == [True, False]


def test_the_floor_names_a_transfers_own_cause(toy):
    """Fails when weights scored elsewhere below a constant pass unsaid, or are only called broken where their training
    may just not have had these classes.
    """
    made = moved(0, 1, seen=1e-5)
    (line,) = warnings_of([made])
    assert line.endswith("weights of another vocabulary, or classes that its training never saw.")
    at_home = made.result.evaluation.model_copy(update={"labelled": None})
    home = made.model_copy(update={"result": made.result.model_copy(update={"evaluation": at_home})})
    (line,) = warnings_of([home])
    assert line.endswith("or weights of another vocabulary.")


@pytest.mark.parametrize(
    ("word", "mark"),
    [
        ("none", ""),
        ("unknown", "; training unknown"),
        (UNSURE, "; images not checked"),
        (f"labelled in its training: ant; {UNSURE}", "; contaminated"),
    ],
)
def test_marks_of_a_row(toy, word, mark):
    """Fails when what is only not known is called contaminated, or the other way round."""
    made = moved(0, 1, word=word)
    said = "said to be " if word == "unknown" else ""
    assert made.result.label == f"alpha ({said}trained on toy-2i fold 0{mark})"
    (table,) = build_tables([made], view=View(("main",)))
    assert any("Contaminated" in note for note in table.notes) == ("contaminated" in mark)
    assert any("Not known to be clean" in note for note in table.notes) == (word == UNSURE)
