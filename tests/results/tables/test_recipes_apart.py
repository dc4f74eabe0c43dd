"""Rows of the built-in world's two recipes: a table and a family of verdicts each, what neither trained in both."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from results.store.folders import find_stored, recipe_named
from results.store.record import RunRecord
from results.tables.comparison import Wanted, compare_records, one_csv
from results.tables.content import COMPARISON, gather
from results.tables.table import Table
from results.tables.tables import build_tables
from results.tables.views import View
from tests.results.factory import SHAPES, UNTRAINED, judge, record, specs, store

pytestmark = pytest.mark.usefixtures("toy")

LONG = SHAPES.model_copy(update={"name": "long", "iterations": 1_200})
BOTH = (("alpha", SHAPES), ("alpha", LONG), ("zeta", SHAPES), ("zeta", LONG), ("untold", UNTRAINED))


def _records() -> list[RunRecord]:
    return [
        record(method, 0.5 + 0.01 * seed, recipe=recipe, fold=fold, seed=seed)
        for method, recipe in BOTH
        for fold in (0, 1)
        for seed in (0, 1)
    ]


def test_each_recipe_has_a_table_the_longest_first() -> None:
    """Fails when rows of other trainings stand beside one another, or a row without a training is missing in one."""
    records = _records()
    long, short = build_tables(records, view=View(kinds=("main",)), judge=judge(records))
    assert (long.title, short.title) == (
        "toy-2i, long recipe: mean over folds 0, 1, in percent",
        "toy-2i, shapes recipe: mean over folds 0, 1, in percent",
    )
    assert len({long.label, short.label}) == 2
    for table, trained in ((long, "long"), (short, "shapes")):
        rows = dict(zip(table.frame["name"], table.frame["recipe_name"], strict=True))
        assert rows == {"alpha": trained, "zeta": trained, "untold": "–"}


def test_a_run_that_is_not_there_stands_under_its_own_recipe(tmp_path: Path) -> None:
    """Fails when a run without a record is said to be missing in the table of the recipe by which it is there."""
    records = _records()
    planned = {name: specs("zeta", seed=2, recipe=recipe)[0] for name, recipe in (("long", LONG), ("shapes", SHAPES))}
    for name, train in planned.items():
        if name == "long":  # the other run's spec cannot be read: nobody knows whose it is
            (tmp_path / train.folder).mkdir(parents=True)
            (tmp_path / train.folder / "spec.json").write_text(train.model_dump_json())
    recipes = {train.folder: recipe_named(tmp_path / train.folder) for train in planned.values()}
    states = {train.folder: f"failed: {name}" for name, train in planned.items()}
    view = View(kinds=("main",))
    long, short = build_tables(records, view=view, states=states, recipes=recipes)
    missing = [{note for note in table.notes if note.startswith("Not there")} for table in (long, short)]
    unknown = "Not there: zeta fold 0 seed 2 (failed: shapes)."
    assert missing == [{"Not there: zeta fold 0 seed 2 (failed: long).", unknown}, {unknown}]
    (alone,) = build_tables(
        [r for r in records if r.result.train.recipe.name != "long"], states=states, recipes=recipes
    )
    assert "Not there: zeta (long recipe) fold 0 seed 2 (failed: long)." in alone.notes


def test_one_recipe_alone_is_not_divided() -> None:
    """Fails when a title names a recipe that all rows have."""
    records = [one for one in _records() if one.result.train.recipe.name != "long"]
    (table,) = build_tables(records, view=View(kinds=("main",)))
    assert table.title == "toy-2i: mean over folds 0, 1, in percent"


@pytest.mark.parametrize(("shown", "tested"), [(("alpha", "zeta", "untold"), [3, 3]), (("zeta",), [3, 3])])
def test_a_family_is_of_one_recipe_whatever_is_shown(shown: tuple[str, ...], tested: list[int]) -> None:
    """Fails when the correction counts pairs of rows that were trained otherwise, or only those that are asked for."""
    records = _records()
    judged = judge(records)
    contents = gather([one for one in records if one.result.train.method in shown], {})
    families = [judged.family(content, COMPARISON) for content in contents]
    assert [family and len(family.rows) for family in families] == tested


def test_a_row_of_no_recipe_shown_alone_is_judged_beside_the_longest() -> None:
    """Fails when the family of a training-free row depends on what else is shown."""
    records = _records()
    (content,) = gather([one for one in records if one.result.train.method == "untold"], {})
    family = judge(records).family(content, COMPARISON)
    assert family is not None
    assert len(family.rows) == 3
    shown = [one for one in records if one.result.train.method == "untold"]
    (table,) = build_tables(shown, view=View(("main",)), judge=judge(records))
    assert "are those among 3 stored rows of the long recipe, 2 of which not shown" in " ".join(table.notes)


def test_compare_tells_the_recipes_apart(tmp_path: Path) -> None:
    """Fails when methods are compared over recipes, or two recipes of one method cannot be compared at all."""
    for method, recipe in BOTH:
        for fold in (0, 1):
            for seed in (0, 1):
                store(tmp_path, method=method, recipe=recipe, fold=fold, seed=seed)
    found = list(find_stored(tmp_path))
    records = [one.record for one in found]
    paths = {one.record.result.train.folder: one.confusion for one in found}

    def tables(*names: str) -> list[Table]:
        return compare_records(records, Wanted(names), lambda r: paths[r.result.train.folder])[0]

    def titles(*names: str) -> list[str]:
        return [table.title.split(":")[0] for table in tables(*names)]

    rows = pd.read_csv(io.StringIO(one_csv(tables("alpha", "zeta"))))
    assert rows.groupby("recipe")["metric"].count().to_dict() == {"long": 3, "shapes": 3}
    assert titles("alpha", "zeta") == ["toy-2i, long recipe", "toy-2i, shapes recipe"]
    (apart,) = tables("alpha (long recipe)", "alpha (shapes recipe)")
    assert apart.title.startswith("toy-2i: ")
    assert {*apart.fields()["family"]} == {"all rows under the protocol"}  # no table of `tables` has both
    assert any("all 10 tested pairs of all rows under the protocol" in note for note in apart.notes)
