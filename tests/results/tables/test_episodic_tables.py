"""Tables of episodic items: apart from generalised ones, each fold shown, beside what the literature printed."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.protocol import DataSource
from results.report.page import render
from results.store.record import RunRecord
from results.tables.comparison import has
from results.tables.content import gather
from results.tables.html import html
from results.tables.latex import latex
from results.tables.register import episodic
from results.tables.table import Table
from results.tables.tables import build_tables
from results.tables.views import View
from tests.results import factory

pytestmark = pytest.mark.usefixtures("toy")
GENERALISED = ("mIoU(S)", "mIoU(U)", "hIoU", "no shift", "oracle shift")


def items(miou: float | None, fb_iou: float | None, method: str = "alpha", **changes: Any) -> RunRecord:
    made = factory.record(method, None, miou, kind="episodic-binary", **changes)
    scores = made.result.own.model_copy(update={"miou_seen": None, "pacc": 0.9, "fb_iou": fb_iou})
    each = dict.fromkeys(("own", "unshifted", "best"), scores)
    return made.model_copy(update={"result": made.result.model_copy(update=each)})


def grid() -> list[RunRecord]:
    """Two seeds of `alpha`: mIoU .3 and .5, then .34 and .54; FB-IoU .6, .7, then .64, .74. One fold of `zeta`."""
    found = [
        items(0.3 + 0.2 * fold + 0.04 * seed, 0.6 + 0.1 * fold + 0.04 * seed, fold=fold, seed=seed)
        for fold in (0, 1)
        for seed in (0, 1)
    ]
    return [*found, items(0.2, 0.5, "zeta", fold=1)]


def by_name(table: Table) -> dict[str, dict[str, str]]:
    headers = [column.header for column in table.columns]
    return {row[0]: dict(zip(headers, row, strict=True)) for row in table.cells()}


def test_numbers_by_hand() -> None:
    """Fails if a fold shows another fold's number, or a mean goes over a seed that lacks one."""
    (table,) = build_tables(grid())
    found = by_name(table)
    assert found["alpha"] == {
        "method": "alpha",
        "fold 0": "32.0 ± 2.8",
        "fold 1": "52.0 ± 2.8",
        "mIoU": "42.0 ± 2.8",
        "FB-IoU": "67.0 ± 2.8",
        "seeds": "2",
    }
    assert found["zeta"] == found["zeta"] | {"fold 0": "–", "fold 1": "20.0", "mIoU": "–", "FB-IoU": "–", "seeds": "0"}
    assert "zeta seed 0 has fold 1 of 0, 1" in table.markdown()


def test_apart_from_generalised_numbers() -> None:
    """Fails if both kinds share a table, or an episodic one has a column, a shift or a line of the other kind."""
    tables = build_tables([*grid(), factory.record(), factory.record(fold=1)])
    assert [table.title.split(":")[0] for table in tables] == ["toy-2i, episodic-binary", "toy-2i"]
    episodic = tables[0]
    assert not {column.header for column in episodic.columns} & set(GENERALISED)
    assert not [name for name in episodic.frame if name.startswith(("hiou", "miou_seen"))]
    text = episodic.markdown()
    assert "nothing here compares with generalised numbers" in text
    assert "hIoU" not in text
    assert "shift" not in text


@pytest.mark.parametrize("by", ["method", "fold"])
def test_every_form(by: Any) -> None:
    """Fails if a form leaves a number out, or asking for folds changes the table that has them already."""
    (table,) = build_tables(grid(), view=View(by=by))
    for text in (table.markdown(), latex(table), html([table])):
        flat = re.sub(r"<[^>]+>|[$\\{}]|textbf", "", text).replace(" pm ", " ± ")
        for number in ("32.0 ± 2.8", "52.0 ± 2.8", "42.0 ± 2.8", "67.0 ± 2.8"):
            assert number in flat
    (row,) = [row for row in csv.DictReader(io.StringIO(table.csv())) if row["method"] == "alpha"]
    assert float(row["fb_iou"]) == pytest.approx(0.67)
    assert float(row["miou_fold1"]) == pytest.approx(0.52)


def test_no_comparison_of_items() -> None:
    """Fails if `compare` takes items, whose matrix has other rows, for images."""
    episodic, generalised = gather([*grid(), factory.record()], {})
    assert episodic.episodic
    assert not has(episodic, ["alpha", "zeta"])
    assert has(generalised, ["alpha"])


def test_the_page_shows_them(tmp_path: Path) -> None:
    """Fails if a page of items is not made, or shows a shift that there is none of."""
    page = render(grid(), lambda _: tmp_path, states={}, stale=frozenset())
    assert "toy-2i, episodic-binary" in page
    assert "32.0 ± 2.8" in page
    assert "oracle" not in page


def test_published_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a published row is missing, changed, in another benchmark's table, or shown beside part of the data."""
    known = {"pascal-5i": factory.split("pascal-5i", folds=4)}
    monkeypatch.setattr("results.tables.content.load_split", lambda name: known[name])
    records = [items(0.5, 0.6, benchmark="pascal-5i", fold=fold) for fold in range(4)]
    ours, published = build_tables(records)
    assert by_name(ours)["alpha"]["mIoU"] == "50.0"
    rows = by_name(published)
    expected = {number.method for number in episodic("pascal-5i")}
    assert rows.keys() == expected
    assert rows["SPNet"] == rows["SPNet"] | {"fold 0": "23.8", "fold 3": "18.3", "mean": "18.3"}
    assert rows["SAZS"]["mean"] == "–"  # it prints none
    part = DataSource(dataset="toy", ids_sha256="d0" * 32, mask_rule="drawn", partial=True)
    train = records[0].result.train
    changed = train.model_copy(update={"side": train.side.model_copy(update={"data": part})})
    result = records[0].result.model_copy(update={"train": changed, "family_hash": "f" * 64})
    _, hidden = build_tables([records[0].model_copy(update={"result": result})])
    assert not hidden.rows()
    assert "part of the data" in hidden.notes[0]
