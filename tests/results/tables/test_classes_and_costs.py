"""Supplement tables: classes and costs, and ablations in a table of their own."""

from __future__ import annotations

import csv
import io
import math

import pytest

from methods.registry import MethodEntry
from results.store.record import RunRecord
from results.tables.table import PARTIAL_NOTE
from results.tables.tables import build_tables
from results.tables.views import View
from tests.results.factory import CLASSES, SHAPES, record, specs
from tests.results.tables.test_tables import grid

pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture
def ablations(monkeypatch: pytest.MonkeyPatch, toy: None) -> None:
    """The registry knows `zeta`, `alpha`, and `without`, which ablates alpha."""

    def entry(group: str) -> MethodEntry:
        return MethodEntry(title="", config="", builder="", fidelity="ours", needs="nothing", group=group)

    known = {"without": entry("ablation:alpha"), "zeta": entry("comparison"), "alpha": entry("comparison")}
    monkeypatch.setattr("results.tables.content.METHODS", known)
    monkeypatch.setattr("results.tables.notes.METHODS", known)


def with_ious(made: RunRecord, ious: dict[str, float | None]) -> RunRecord:
    classes = tuple(c.model_copy(update={"iou": ious.get(c.name, c.iou)}) for c in made.result.classes)
    return made.model_copy(update={"result": made.result.model_copy(update={"classes": classes})})


def shown(table) -> list[dict[str, str]]:
    headers = [column.header for column in table.columns]
    return [dict(zip(headers, cells, strict=True)) for cells in table.cells()]


@pytest.mark.usefixtures("ablations")
def test_ablations_have_their_own_table_led_by_the_method():
    """Fails if an ablation stands among the compared methods, or its table does not begin with what it ablates.

    hIoU of alpha 24.76, of `without` (S .4, U .1 and .06) 13.22: 24.8 and 13.2 are shown, so -11.6.
    """
    main, own = build_tables(grid("without", unseen=0.1) + grid() + grid("zeta"))
    assert main.frame["method"].tolist() == ["zeta", "alpha"]
    assert own.frame["method"].tolist() == ["alpha", "without"]
    assert [row["Δ hIoU"] for row in shown(own)] == ["–", "-11.6"]
    assert "ablations of alpha" in own.title
    assert main.notes[2].startswith("4 runs")


@pytest.mark.usefixtures("ablations")
def test_an_ablation_is_held_against_what_differs_in_nothing_else():
    """Fails if the difference mixes recipes, or one is made up where there is no such run."""
    _, own = build_tables(grid() + grid("without", unseen=0.1, recipe=SHAPES))
    assert math.isnan(own.frame["hiou_delta"][1])
    (alone,) = build_tables(grid("without"))
    assert [row["Δ hIoU"] for row in shown(alone)] == ["–"]


@pytest.mark.usefixtures("ablations")
def test_what_an_ablation_changes_besides_is_told():
    """Fails if another own shift, or other seeds alone, pass for the effect of the part that is left out."""

    def shifted(made: RunRecord) -> RunRecord:
        own = made.result.own.model_copy(update={"shift": 0.25})
        return made.model_copy(update={"result": made.result.model_copy(update={"own": own})})

    _, alike = build_tables(grid() + grid("without", unseen=0.1))
    assert not any("own shift than" in note or "No seed in common" in note for note in alike.notes)
    _, other = build_tables(grid() + [shifted(made) for made in grid("without", unseen=0.1)])
    assert any(note.startswith("Another own shift than alpha (0): without (0.25).") for note in other.notes)
    elsewhere = [record(method="without", unseen=0.1, fold=fold, seed=7) for fold in range(2)]
    _, apart = build_tables(grid() + elsewhere)
    assert "No seed in common with alpha: without." in apart.notes


@pytest.mark.usefixtures("ablations")
def test_an_ablation_is_held_against_the_same_seeds():
    """Fails if a difference is one of other seeds: hIoU of seed 0 is 24.76 and of seed 1 higher, `without` has seed 0.

    So -11.6 as above, whatever seed 1 of the whole does, and the whole stands there with seed 0 alone.
    """
    other = [record(method="alpha", unseen=0.4, fold=fold, seed=1) for fold in range(2)]
    _, own = build_tables(grid("without", unseen=0.1) + grid() + other)
    assert [row["Δ hIoU"] for row in shown(own)] == ["–", "-11.6"]
    assert [(row["hIoU"], row["seeds"]) for row in shown(own)] == [("24.8", "1"), ("13.2", "1")]


@pytest.mark.usefixtures("ablations")
def test_runs_that_no_row_of_ablations_is_of_are_counted():
    """Fails if runs whose seeds a row and its base do not share pass for part of the table, or are told in vain."""
    said = "In no row, at seeds that a row and its base do not share: 4 of these runs."
    rows = {"alpha": (0, 1, 2), "without": (1,)}  # two folds each
    made = [record(name, fold=fold, seed=seed) for name, seeds in rows.items() for seed in seeds for fold in (0, 1)]
    (table,) = build_tables(made, view=View(("ablations",)))
    assert said in table.notes
    (table,) = build_tables([r for r in made if r.result.train.seed == 1], view=View(("ablations",)))
    assert not any(note.startswith("In no row") for note in table.notes)


@pytest.mark.usefixtures("ablations")
def test_ablations_of_other_seeds_have_the_whole_above_them():
    """Fails if a row's difference is not that of two numbers shown, where ablations have other seeds."""
    more = grid("without", unseen=0.1) + [record(method="without", unseen=0.1, fold=f, seed=1) for f in range(2)]
    few = grid("zeta", unseen=0.15)
    whole = grid() + [record(method="alpha", unseen=0.4, fold=fold, seed=1) for fold in range(2)]
    _, own = build_tables(more + few + whole)
    rows = shown(own)
    assert [(row["method"], row["seeds"]) for row in rows] == [("alpha", "2"), ("without", "2")]
    assert float(rows[1]["Δ hIoU"]) == pytest.approx(float(rows[1]["hIoU"]) - float(rows[0]["hIoU"]))


@pytest.mark.usefixtures("ablations")
def test_an_ablation_of_several_seeds_differs_by_their_mean():
    """Fails if differences of seeds are added up: 11.54 of seed 0 as above, 44.44 - 28.57 = 15.87 of seed 1."""

    def second(method: str, unseen: float) -> list[RunRecord]:
        return [record(method=method, unseen=unseen, fold=fold, seed=1) for fold in range(2)]

    _, own = build_tables(grid("without", unseen=0.1) + grid() + second("alpha", 0.4) + second("without", 0.2))
    assert [row["Δ hIoU"] for row in shown(own)] == ["–", "-13.7"]


@pytest.mark.usefixtures("ablations")
def test_missing_ablations_are_told_under_their_table():
    """Fails if a run that is not there is told under a table it does not belong to."""
    main, own = build_tables(grid(), states={specs("without")[0].folder: "failed: no memory"})
    assert not [note for note in main.notes if "no memory" in note]
    assert [note for note in own.notes if "Not there: without fold 0 seed 0 (failed: no memory)" in note]


def test_classes_by_hand():
    """Fails if a class's runs as seen and as unseen are mixed, or an undefined IoU counts as 0.

    Fold 0 hides ant, fold 1 bee.
    """
    records = [
        with_ious(record(fold=0, seed=0), {"ant": 0.1, "bee": 0.6, "cow": None}),
        with_ious(record(fold=0, seed=1), {"ant": 0.3, "bee": 0.8, "cow": 0.5}),
        with_ious(record(fold=1, seed=0), {"ant": 0.9, "bee": 0.2, "cow": 0.7}),
    ]
    (table,) = build_tables(records, view=View(("classes",)))
    found = {(row["class"], row["as"]): row["alpha"] for row in shown(table)}
    assert found == {
        ("ant", "unseen"): "20.0",
        ("bee", "unseen"): "20.0",
        ("ant", "seen"): "90.0",
        ("bee", "seen"): "70.0",
        ("cow", "seen"): "60.0",
        ("dog", "seen"): "50.0",
    }
    assert [row["class"] for row in csv.DictReader(io.StringIO(table.csv()))][:2] == list(CLASSES[:2])


def test_costs_never_mix_devices():
    """Fails if rates of two machines are averaged, or a median is another number. Seconds 10, 20, 60 and 5."""
    made = []
    for seed, (device, seconds) in enumerate([("cpu", 10.0), ("cpu", 20.0), ("cpu", 60.0), ("cuda", 5.0)]):
        plain = record(seed=seed, device=device)
        costs = plain.costs.model_copy(update={"train_seconds": seconds, "parameters_published": 2_500_000})
        made.append(plain.model_copy(update={"costs": costs}))
    (table,) = build_tables(made, view=View(("costs",)))
    rows = shown(table)
    assert [(row["device"].split(",")[0], row["training s"], row["runs"]) for row in rows] == [
        ("cpu", "20", "3"),
        ("cuda", "5", "1"),
    ]
    assert rows[0]["authors' count"] == "2.500"
    assert rows[0]["GMACs"] == "–"


def test_partial_runs_are_named_in_supplements():
    """Fails if a trial run's classes or costs can be read as results."""
    classes, costs = build_tables(grid(partial=True), view=View(("classes", "costs")))
    assert all(PARTIAL_NOTE in table.notes for table in (classes, costs))
    assert [column.header for column in classes.columns[2:]] == ["alpha †"]
    assert {row["method"] for row in shown(costs)} == {"alpha †"}
    assert {*classes.fields()["partial"]} == {"alpha"}


def test_copies_are_counted_once_and_told():
    """Fails if a run found in two folders weighs double, or its copy is passed over in silence."""
    (table,) = build_tables(grid() + grid()[:1] + grid()[:1])
    assert table.frame["runs"].tolist() == [2]
    assert any("2 further copies of them counted once" in note for note in table.notes)


def test_supplements_mark_stale_rows():
    """Fails when classes or costs of runs of older sources or data stand there like any other, in print or as CSV."""
    records = [record(name, fold=fold) for name in ("zeta", "alpha") for fold in (0, 1)]
    stale = frozenset({records[2].result.train.folder})
    classes, costs = build_tables(records, view=View(("classes", "costs")), stale=stale)
    assert {"zeta", "alpha ‡"} <= {column.header for column in classes.columns}
    assert {*classes.fields()["stale"]} == {"alpha"}
    assert [row["method"] for row in shown(costs)] == ["zeta", "alpha ‡"]
    assert [*costs.fields()["stale"]] == [False, True]
    for table in (classes, costs):
        assert any(note.startswith("‡ stale") and "alpha: 1" in note for note in table.notes)
