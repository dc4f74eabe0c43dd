"""What records say of their data and inputs stands under every table of their numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from results.store.record import RunRecord
from results.tables.calibration import tuned_scores
from results.tables.comparison import compare_content, tables_of_comparison
from results.tables.content import gather
from results.tables.sets import sets_tables
from results.tables.tables import build_tables
from results.tables.views import View
from results.tables.warned import warned
from tests.results.tables.test_calibration import lay
from tests.results.tables.test_comparison import reader, stored
from tests.results.tables.test_sets import scored
from tests.results.tables.test_tables import grid

ASSUMED = "CLIP ViT-B-32 is a file that does not say how it was trained"

pytestmark = pytest.mark.usefixtures("toy")


def with_warning(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"result": record.result.model_copy(update={"warnings": (ASSUMED,)})})


def test_whose_a_warning_is() -> None:
    """Fails when a warning is repeated for each run, or its rows are not named where others have it not."""
    records = [with_warning(record) for record in grid()]
    assert list(warned(record.result for record in records)) == [f"Warning: {ASSUMED}."]
    records += grid("zeta")
    assert list(warned(record.result for record in records)) == [f"Warning, alpha: {ASSUMED}."]


def test_tables_of_means_and_of_classes() -> None:
    """Fails when what was assumed of a CLIP stands under the main table alone."""
    records = [with_warning(record) for record in grid()] + grid("zeta")
    for table in build_tables(records, view=View(("main", "classes"))):
        assert f"Warning, alpha: {ASSUMED}." in table.notes


def test_a_shift_tuned_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when numbers at a tuned shift stand without what was assumed for them."""
    from results.tables import calibration
    from tests.results import factory

    monkeypatch.setattr(calibration, "load_split", lambda _: factory.split())
    made = [lay(tmp_path, [4, 36, 20, 12], fold=fold, part=part) for fold in (0, 1) for part in ("val", "tune")]
    val = [with_warning(one.record) for one in made if one.record.result.evaluation.part == "val"]
    (table,) = build_tables(val, view=View(("calibrated",)), tuned=tuned_scores(made))
    assert f"Warning: {ASSUMED}." in table.notes


def test_differences(tmp_path: Path) -> None:
    """Fails when a difference of two methods is printed without what was assumed for one of them."""
    records, paths = stored(tmp_path, zeta={}, alpha={})
    told = [with_warning(record) if record.result.train.method == "zeta" else record for record in records]
    (content,) = gather(told, {})
    read = reader(lambda record: paths[record.result.confusion_sha256])
    found = compare_content(content, ("zeta", "alpha"), read)
    (table,) = tables_of_comparison(content, found, read)
    assert f"Warning, zeta: {ASSUMED}." in table.notes


def test_many_data_sets() -> None:
    """Fails when the table over data sets leaves out what was assumed of the CLIP of its rows."""
    (table,) = sets_tables([with_warning(scored("clip", name, 0.5)) for name in ("voc21", "pc60")])
    assert f"Warning: {ASSUMED}." in table.notes
