"""Tables of drawn settings, on records whose numbers can be checked in the head."""

from __future__ import annotations

import math

import pytest

from results.tables.content import gather
from results.tables.spread import Point, Varied, tables_of
from results.tables.tables import build_tables
from tests.results.factory import record

FOLDS = (0, 1)


@pytest.fixture(autouse=True)
def _toy(toy, monkeypatch):
    import results.tables.content

    monkeypatch.setattr("results.tables.spread.load_split", results.tables.content.load_split)


def point(both: float, method: str = "alpha", **drawn: float) -> Point:
    """A setting that scores `both` on seen and on unseen classes, so also in hIoU, give or take .1 over two folds."""
    config = {"temperature": drawn["temperature"]} if drawn else {}
    values = (both - 0.1, both + 0.1)
    return Point(drawn, tuple(record(method, v, v, fold=f, config=config) for f, v in zip(FOLDS, values, strict=True)))


def varied(name: str, default: float, *drawn: float) -> Varied:
    points = tuple(point(value, name, temperature=number + 1.0) for number, value in enumerate(drawn))
    ranges = {"temperature": "1 to 9"} if drawn else None
    return Varied(name, "toy-2i", "val", FOLDS, 0, point(default, name), points, ranges)


def test_the_spread_is_that_of_the_drawn_settings() -> None:
    """Fails when min, median, max or spread are others than those of the fold means of the drawn settings."""
    method = varied("alpha", 0.7, 0.2, 0.5, 0.4)
    summary, settings = tables_of([method])
    (row,) = summary.rows()
    found = [row[name] for name in ("default", "low", "median", "high", "spread")]
    assert found == pytest.approx([0.7, 0.2, 0.4, 0.5, 0.5])  # from .2 to .7: the default is a choice of ours too
    assert (row["settings"], row["asked"], row["failed"], row["constants"]) == (3, 3, 0, 1)
    assert [row["setting"] for row in settings.rows()] == ["default", "1", "2", "3"]
    assert [row["hiou"] for row in settings.rows()] == pytest.approx([0.7, 0.2, 0.5, 0.4])
    assert [row["temperature"] for row in settings.rows()][1:] == [1.0, 2.0, 3.0]
    assert "temperature 1 to 9" in settings.markdown()


def test_a_gain_within_the_spread_is_not_established() -> None:
    """Fails when a gain that our constants could have made passes, or one beyond them does not."""
    alpha, zeta, fixed = varied("alpha", 0.6, 0.4, 0.6), varied("zeta", 0.5, 0.3, 0.6), varied("other", 0.1)
    gains = tables_of([alpha, zeta, fixed])[1]
    rows = {(row["better"], row["worse"]): row for row in gains.rows()}
    close, wide = rows["alpha", "zeta"], rows["alpha", "other"]
    assert close["gain"] == pytest.approx(0.1)
    assert (close["spread"], close["spread_of"]) == (pytest.approx(0.3), "zeta")  # the wider one counts
    assert not close["larger"]
    assert wide["larger"]
    text = gains.markdown()
    assert (
        "the gain of alpha over zeta (10.0) is no larger than the spread of zeta over our own constants (30.0)" in text
    )
    assert "alpha over other" not in text


def test_no_gain_is_not_established_even_without_a_spread() -> None:
    """Fails when two methods that score the same differ."""
    gains = tables_of([varied("alpha", 0.5, 0.4, 0.4), varied("zeta", 0.5)])[1]
    assert [row["verdict"] for row in gains.rows()] == ["not established"]


def test_a_setting_that_lacks_a_run_counts_for_nothing() -> None:
    """Fails when a mean goes over some of the folds, or a failure is kept silent."""
    method = varied("alpha", 0.7, 0.2, 0.5, 0.9)
    broken = Point({"temperature": 3.0}, method.points[2].records[:1], ("failed: not finite",))
    method = Varied("alpha", "toy-2i", "val", FOLDS, 0, method.default, (*method.points[:2], broken), method.ranges)
    summary, settings = tables_of([method])
    (row,) = summary.rows()
    assert (row["settings"], row["asked"], row["failed"]) == (2, 3, 1)
    assert row["high"] == pytest.approx(0.5)
    assert "2 of 3" in summary.markdown()
    assert math.isnan(settings.rows()[3]["hiou"])
    assert "1 wanting: failed: not finite" in settings.markdown()


def test_without_a_single_run_nothing_is_claimed() -> None:
    """Fails when settings that were never run have a spread, or a method without a number is compared."""
    empty = Point({"temperature": 1.0}, (), ("planned", "planned"))
    nothing = Varied(
        "zeta", "toy-2i", "val", FOLDS, 0, Point({}, (), ("planned",)), (empty,), {"temperature": "1 to 9"}
    )
    summary, gains, *_ = tables_of([varied("alpha", 0.5, 0.4, 0.6), nothing])
    assert math.isnan(summary.rows()[1]["spread"])
    assert len(gains.frame) == 0
    assert "without all runs at default constants are zeta." in gains.markdown()
    assert "takes two settings" in tables_of([nothing, varied("alpha", 0.5)])[1].markdown()


def test_what_the_numbers_are_no_result_of_is_said() -> None:
    """Fails when trial runs, stale ones, some of the folds or scoring on test are not told."""
    made = record("alpha", 0.5, 0.5, partial=True, limit=3)
    tuned = made.result.evaluation.model_copy(update={"tuned_on_test": True, "drawn": True})
    made = made.model_copy(update={"result": made.result.model_copy(update={"evaluation": tuned})})
    points = (Point({"temperature": 1.0}, (made,), stale=True),)
    method = Varied("alpha", "toy-2i", "val", (0,), 0, Point({}, (made,)), points, {"temperature": "1 to 9"})
    summary, settings = (table.markdown() for table in tables_of([method]))
    for words in ("† partial", "‡ stale", "Folds 0 of 0, 1", "--tune-on-test", "made-up benchmark"):
        assert words in summary
    assert "1 †‡" in settings


def test_drawn_settings_are_no_rows_of_other_tables() -> None:
    """Fails when `tables`, `compare` or the report take a drawn setting for a method of its own."""
    plain = [record("alpha", 0.5, 0.5, fold=fold) for fold in FOLDS]
    evaluation = plain[0].result.evaluation.model_copy(update={"drawn": True})
    drawn = plain[0].model_copy(update={"result": plain[0].result.model_copy(update={"evaluation": evaluation})})
    assert [t.markdown() for t in build_tables([*plain, drawn])] == [t.markdown() for t in build_tables(plain)]
    assert gather([drawn], {}) == []
    assert drawn.result.label.endswith("(drawn setting)")
    assert drawn.result.evaluation.key != plain[0].result.evaluation.key
