"""The sentences that a report begins with: true of rows of unequal seeds, of parts, and where no class is unseen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from results.report.answers import answers, asked_of, cost
from results.report.curves import Reading, Sweep
from results.report.page import VIEW, render
from results.store.record import RunRecord
from results.store.selection import Selection
from results.tables.classes_and_costs import by_variant
from results.tables.content import COMPARISON, gather
from results.tables.row_names import names_of
from results.tables.selected_tables import chosen
from results.tables.tables import group_table
from tests.results import factory
from tests.results.factory import CLASSES, judge, record, store
from tests.results.tables.test_transfers import moved

pytestmark = pytest.mark.usefixtures("toy")
ONE_SHIFT = Reading(Sweep(*np.array([[0.0], [0.5], [0.2], [0.3]])), np.zeros(4), None)


def runs(method: str, iou: float, seeds: Iterable[int], folds: Iterable[int] = (0, 1), **more: Any) -> list[RunRecord]:
    return [record(method, iou, iou + 0.001 * s, fold=f, seed=s, **more) for f in folds for s in seeds]


def told(records: list[RunRecord], besides: Iterable[RunRecord] = ()) -> str:
    (content,) = gather(records, {})
    judged = judge([*records, *besides])
    table, variants = (
        group_table(content, COMPARISON, VIEW, frozenset(), judged),
        by_variant(records, names_of(content)),
    )
    lines = answers(table, judged.family(content, COMPARISON), variants, {}, asked_of(content))
    return "\n".join(line for line in lines if not line.startswith(("Cost", "Its worst")))


def test_a_table_tells_of_the_rows_that_its_ranks_are_among() -> None:
    """Fails if two rows have ranks among many that nobody sees, or a whole table is said to lack some."""
    shown, hidden = [*runs("alpha", 0.3, range(3)), *runs("beta", 0.5, range(3))], runs("omega", 0.1, range(3))
    for besides, words in ((hidden, "among 3 stored rows, 1 of which not shown"), ([], "")):
        (content,) = gather(shown, {})
        table = group_table(content, COMPARISON, VIEW, frozenset(), judge([*shown, *besides]))
        told = [note for note in table.notes if "bold, ranks and chances are those" in note]
        assert len(told) == len(besides[:1])
        assert all(words in note for note in told)


def test_each_phase_costs_on_its_own_device() -> None:
    """Fails if a training on GPUs is told as hours of the CPU that scored it, or eight GPUs as one."""
    (made,) = runs("alpha", 0.3, [0], folds=[0])
    scoring = made.provenance.scoring.model_copy(
        update={
            "device": "cpu",
            "processor": "EPYC, family 25, model 17, AVX2",
            "seconds": 7200.0,
            "cpu_seconds": 3600.0,
        }
    )
    training = scoring.model_copy(
        update={"device": "H100", "seconds": 3600.0, "device_seconds": 8 * 3600.0, "started": "2026-01-01T00:00:01Z"}
    )
    provenance = made.provenance.model_copy(update={"scoring": scoring, "training": training})
    told = cost([made.model_copy(update={"provenance": provenance})])
    assert told == "1.00 CPU hours on EPYC; 8.00 GPU hours on H100, for 1 run"


def test_a_row_of_fewer_seeds_that_is_higher_is_not_called_lower() -> None:
    """Fails if the row with most seeds is called highest, or established above, where another has a higher mean, or its
    chance to be first is said to be among rows that no chance is known of."""
    records = [*runs("alpha", 0.3, range(3)), *runs("beta", 0.5, range(2)), *runs("gamma", 0.6, [0])]
    assert told([*records, *runs("omega", 0.1, range(3))]).splitlines() == [
        "Highest hIoU of the rows with most seeds: alpha, 30.0 ± 5.9 (3 seeds).",
        "Higher, with fewer seeds: beta 50.0 (2 seeds), gamma 60.0 (1 seed).",
        "Above the next, omega, by 20.0 ± 4.0 points: established, p < 0.001 after Holm's correction over the pairs of "
        "this table.",
        "Established to be above: omega.",
        "Established to be below, at the seeds in common: beta.",
        "Not tested (one seed in common): gamma.",
        "Probability that it is first of this table (rows alone whose error over images and seeds is known): 0 %.",
    ]


def test_rows_without_a_place_are_beside_nothing() -> None:
    """Fails if a trial run, or a row that lacks a fold, stands among the differences of means over all folds."""
    rows = [*runs("alpha", 0.3, range(3)), *runs("zeta", 0.2, range(3))]
    part = runs("beta", 0.6, range(3), partial=True)
    assert told(rows) == told([*rows, *part]) == told([*rows, *runs("gamma", 0.6, range(3), folds=[0])])


def test_why_no_row_is_the_best() -> None:
    """Fails if folds that are there are said to be wanting, where all runs are trials or no unseen class is scored."""
    trial = "toy-2i: each row with all folds is marked †, of trial runs or part of the data, so none is the best."
    assert told(runs("alpha", 0.3, [0, 1], partial=True)) == trial
    undefined = [record(unseen=None, fold=fold) for fold in (0, 1)]
    assert told(undefined) == "toy-2i: hIoU is undefined, as no class of a kind is in the scored images."
    apart = [*runs("alpha", 0.3, [0], folds=[0]), *runs("alpha", 0.3, [1], folds=[1])]
    assert told([*apart, *runs("zeta", 0.3, [0], partial=True)]).startswith("toy-2i: each row with all folds is marked")


class Looks:
    """Which methods were looked at."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    @staticmethod
    def take(record: RunRecord, found: Any) -> str:
        return record.result.train.method

    def keep(self, record: RunRecord, taken: str) -> None:
        self.methods.append(taken)


def test_what_is_shown_changes_no_verdict(tmp_path: Path) -> None:
    """Fails if a p of a page depends on which methods it was asked for, or rows that are not shown are spoken of."""
    rows, others = [*runs("alpha", 0.3, range(3)), *runs("zeta", 0.2, range(3))], runs("gamma", 0.6, range(3))
    text = told(rows, besides=others)
    assert "after Holm's correction over the pairs of all stored rows." in text
    assert "first of all stored rows: 0 %." in text
    assert "gamma" not in text
    for method, fold, seed in product(("alpha", "zeta", "gamma"), (0, 1), (0, 1)):
        store(tmp_path, method=method, fold=fold, seed=seed)
    looks = Looks()
    selection = Selection((tmp_path,), methods=("alpha", "zeta"))
    found, every, _ = chosen(selection, looks=[looks])
    assert (len(found.records), len(every.records), {*looks.methods}) == (8, 12, {"alpha", "zeta"})
    page = render(found.records, every.confusion, every=every.records, states={}, stale=frozenset())
    assert "over the pairs of all stored rows." in page


def test_runs_of_one_fold_are_shown() -> None:
    """Fails if a page of runs of some folds has dashes where `tables` has each fold's numbers."""
    records = runs("alpha", 0.3, [0], folds=[0])
    assert told(records) == "toy-2i: each fold stands for itself, below."
    (content,) = gather(records, {})
    assert group_table(content, COMPARISON, VIEW, frozenset(), judge(records)).cells()[0][2] == "30.0 ± 5.9"


def test_equal_methods_are_called_so() -> None:
    """Fails if what is equivalent is called not separated, or comes with the p of another test."""
    assert "\nEquivalent to: alpha." in told([*runs("alpha", 0.3, range(3)), *runs("zeta", 0.3, range(3))])


def test_where_no_class_is_unseen_the_answer_is_of_miou(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a finished open-vocabulary benchmark is called incomplete, or its page has no mIoU."""
    known = factory.split(folds=1)
    known = replace(known, folds=(replace(known.folds[0], seen=CLASSES, unseen=()),))
    monkeypatch.setattr("results.tables.content.load_split", lambda _: known)
    monkeypatch.setattr(factory, "seen_of", lambda _: CLASSES)
    records = [record(m, iou, None, seed=s) for m, iou in (("alpha", 0.3), ("zeta", 0.5)) for s in range(3)]
    text = told(records)
    assert text.startswith("Highest mIoU: zeta, 50.0 ± ")
    assert "Established to be above: alpha." in text
    (content,) = gather(records, {})
    headers = [c.header for c in group_table(content, COMPARISON, VIEW, frozenset(), judge(records)).columns]
    assert headers[1:] == ["mIoU", "pAcc", "seeds"]


def test_weights_trained_elsewhere_have_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a page of weights scored on several folds stops, or speaks of one fold as if it were the mean."""
    monkeypatch.setattr("results.report.page.reader", lambda *_: factory.image_counts)
    monkeypatch.setattr("results.report.page.Readings.of", lambda *_: ONE_SHIFT)
    page = render([moved(0, fold) for fold in (0, 1)], lambda _: Path(), states={}, stale=frozenset())
    assert "toy-2i, weights trained on toy-2i: each fold stands for itself, below." in page
    assert "Highest hIoU" not in page
