"""The table of many data sets: one protocol in each, a mean only of whole rows, published rows nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.catalogue import benchmark, eval_side, train_side
from benchmarks.open_vocabulary import EIGHT, named
from benchmarks.protocol import DataSource, Protocol
from benchmarks.recipes import recipe_for
from benchmarks.spec import EvalSpec, TrainSpec
from methods.registry import METHODS
from results.store.metrics import measured
from results.store.record import Result, RunRecord
from results.tables import sets
from results.tables.latex import latex
from results.tables.register import Number
from results.tables.sets import published_sets, sets_tables
from tests.results import factory


def scored(method: str, name: str, miou: float, protocol: str = "training-free", **changes: Any) -> RunRecord:
    """A record of one data set; of the many fields only those that the table reads are real."""
    import numpy as np

    bench, limit = benchmark(name), changes.pop("limit", None)
    data = DataSource(dataset=bench.split.dataset, ids_sha256="d0" * 32, mask_rule="r")
    side = eval_side(bench, 0, data, named(protocol).inference(name), protocol=protocol)
    side = side.model_copy(update=changes.pop("side", {}))
    trained = train_side(bench, 0, data.model_copy(update={"mask_rule": "nothing is trained"}), protocol=protocol)
    recipe, config = recipe_for(method, name, "native")
    config |= METHODS[method].fixed
    train = TrainSpec(
        method=method,
        config=config | changes.pop("config", {}),
        benchmark=name,
        fold=0,
        seed=changes.pop("seed", 0),
        limit=limit,
        side=trained,
        clip=factory.TINY,
        recipe=changes.pop("recipe", recipe),
    )
    evaluation = EvalSpec(benchmark=name, fold=0, side=side, limit=limit)
    whole = Protocol(train=trained, evaluation=side)
    classes = len(side.scored)
    found = measured(side, np.zeros(1), 0, np.eye(classes, dtype=np.int64)[None])
    own = found["own"].model_copy(update={"miou": miou})
    result = Result(
        train=train,
        evaluation=evaluation,
        protocol_hash=whole.hash,
        family_hash=whole.family,
        **found | {"own": own},
        images=4,
        ignored_pixels=0,
        confusion_sha256="0" * 64,
        weights_sha256="e" * 64,
        clip_sha256=factory.TINY.sha256,
        partial=changes.pop("partial", False),
    )
    base = factory.record()
    return RunRecord(result=result, costs=base.costs, provenance=base.provenance)


def shown(table) -> list[list[str]]:
    return [[column.header for column in table.columns], *table.cells()]


def test_a_column_each_and_the_mean_of_whole_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a number stands under another data set, or a row that lacks one has a mean."""
    monkeypatch.setattr(sets, "numbers", tuple)  # SCLIP's code asks these two sets alike: its row would stand here
    records = [scored("clip", "voc20", 0.5), scored("clip", "cityscapes", 0.25), scored("sclip", "voc20", 0.75)]
    (table,) = sets_tables(records)
    assert shown(table) == [
        ["method", "CLIP", "voc20", "cityscapes", "mean"],
        ["clip", "tiny/file@c1c1c1c1", "50.0", "25.0", "37.5"],
        ["sclip", "tiny/file@c1c1c1c1", "75.0", "–", "–"],
    ]
    assert table.notes[0].startswith("Protocol training-free: one rule")


def test_one_table_holds_one_protocol() -> None:
    """Fails when rows that were asked otherwise stand beside each other, or under a name they do not keep."""
    of_sclip = [scored("clip", name, 0.5, "sclip") for name in ("coco-stuff", "voc21", "pc60")]
    common = [scored("clip", name, 0.25) for name in ("voc21", "pc60")]
    other = scored("clip", "pc60", 0.125, side={"absent_class": "skip-absent-in-truth"})
    tables = sets_tables([*of_sclip, *common, other])
    assert [table.name for table in tables] == ["sets-training-free", "sets-sclip"]
    assert [cells[2:] for cells in tables[0].cells()] == [["25.0", "25.0", "25.0"]]
    assert tables[1].cells()[0][2:] == ["50.0", "50.0", "50.0", "50.0"]
    assert not sets_tables([scored("clip", "voc21", 0.5)])  # one data set is in its own table
    assert any("Tuned per data set" in note for note in tables[1].notes)


def test_constants_of_each_data_set_are_said() -> None:
    """Fails when a method's values for single data sets part its row, or go unsaid; or when a changed one does not."""
    records = [scored("resclip", name, 0.5) for name in ("voc21", "cityscapes")]
    (table,) = sets_tables(records)
    assert [row["name"] for row in table.rows()] == ["resclip"]
    (line,) = [note for note in table.notes if note.startswith("Tuned per data set, by their authors")]
    assert "resclip on voc21 (weak_below=0.5, middle_share=0.3, feedback_scale=2.2" in line
    changed = [scored("resclip", name, 0.5, config={"spread": 4.0}) for name in ("voc21", "cityscapes")]
    assert [row["name"] for row in sets_tables(changed)[0].rows()] == ["resclip [spread=4.0]"]


def test_partial_and_stale_rows_are_marked() -> None:
    """Fails when a trial run or a run of older sources passes for a result."""
    records = [scored("clip", "voc21", 0.5, partial=True), scored("clip", "pc60", 0.25)]
    (table,) = sets_tables(records, frozenset({records[1].result.train.folder}))
    assert table.cells() == [["clip ‡", "tiny/file@c1c1c1c1", "50.0 †", "25.0", "37.5"]]
    assert sum(note.startswith(("†", "‡")) for note in table.notes) == 2


def test_a_trial_run_gives_way_to_the_whole_one() -> None:
    """Fails when a trial run of a row is averaged with the whole run of the same data set."""
    whole = [scored("clip", name, 0.5) for name in ("voc21", "pc60")]
    trial = scored("clip", "voc21", 0.25, partial=True, limit=4)
    (table,) = sets_tables([trial, *whole])
    assert table.cells() == [["clip", "tiny/file@c1c1c1c1", "50.0", "50.0", "50.0"]]
    assert not any(note.startswith("†") for note in table.notes)


def test_other_trainings_are_other_rows() -> None:
    """Fails when runs trained otherwise are averaged as if they were seeds, or their rows cannot be told apart."""
    slower = factory.PAPER.model_copy(update={"lr": 1e-4})
    sets_ = ("voc21", "pc60")
    records = [scored("clip", name, 0.5, recipe=factory.PAPER, seed=seed) for name in sets_ for seed in (0, 1)]
    (table,) = sets_tables(records)
    assert table.cells() == [["clip", "tiny/file@c1c1c1c1", "50.0", "50.0", "50.0"]]
    (table,) = sets_tables([*records, *(scored("clip", name, 0.25, recipe=slower) for name in sets_)])
    assert [[cells[0], *cells[2:]] for cells in table.cells()] == [
        ["clip [recipe.lr=0.0001]", "25.0", "25.0", "25.0"],
        ["clip [recipe.lr=0.001]", "50.0", "50.0", "50.0"],
    ]


def number(value: float, benchmark_: str, method: str = "SCLIP", paper: str = "wangf3014/SCLIP@b56bd30:README.md"):
    return Number(
        value=value,
        metric="miou",
        method=method,
        benchmark=benchmark_,
        fold="",
        kind="open-vocabulary",
        setting="training-free",
        backbone="CLIP ViT-B/16",
        paper=paper,
        table="",
        url="",
        seen="2026-11-27",
        read="the authors' README",
        checked="no",
        note="",
    )


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [number(10.0 * (i + 1), name) for i, name in enumerate(EIGHT)]
    rows += [number(99.0, name, "NACLIP + PAMR", "sinahmr/NACLIP@0cac3a6:README.md") for name in EIGHT[:7]]
    rows += [number(1.0, "mean of the eight sets")]
    monkeypatch.setattr(sets, "numbers", lambda: tuple(rows))


def of(protocol: str) -> list[RunRecord]:
    return [scored("sclip", name, 0.5, protocol) for name in EIGHT]


def test_protocols_share_the_rules_of_some_sets() -> None:
    """Fails when a run that two protocols ask alike stands in the table of one alone, or a table repeats another."""
    alike = [scored("clip", name, 0.5) for name in ("voc20", "cityscapes")]  # SCLIP's code asks these so, too
    assert [table.name for table in sets_tables(alike)] == ["sets-training-free"]
    tables = sets_tables([*alike, scored("clip", "voc21", 0.25, "sclip")])
    assert [table.name for table in tables] == ["sets-training-free", "sets-sclip"]
    assert tables[1].cells()[0][2:] == ["25.0", "50.0", "50.0", "41.7"]
    naclip = [scored("clip", name, 0.5, "naclip") for name in ("voc21", "voc20")]
    (table,) = sets_tables(naclip)
    assert table.title.startswith("Open vocabulary, protocol naclip and resclip")


def test_published_rows_stand_beside_their_own_protocol_alone(register) -> None:
    """Fails when a printed number stands beside runs that were asked or scored otherwise."""
    known = {r.result.evaluation.digest(): r for p in ("training-free", "sclip") for r in of(p)}
    common, own = sets_tables(known.values())
    assert len(common.frame) == 1
    assert any("Published rows are not shown" in note for note in common.notes)
    assert own.cells()[1] == [
        *("SCLIP (published, CLIP ViT-B/16)", "CLIP ViT-B/16"),
        *("10.0", "20.0", "30.0", "40.0", "50.0", "60.0", "70.0", "80.0", "45.0"),
    ]
    assert len(own.frame) == 2


def test_published_rows_alone_as_latex(register) -> None:
    """Fails when the table of published rows needs a run, loses a data set, or makes up a mean of seven."""
    (table,) = published_sets()
    assert [column.header for column in table.columns][2:-1] == [*EIGHT, "mean"]
    (fewer,) = published_sets(["voc21", "pc60"])
    assert fewer.cells()[0][2:] == ["10.0", "20.0", "15.0", "[1]"]
    assert table.cells()[0][2:] == [*(f"{10 * (i + 1)}.0" for i in range(8)), "45.0", "[1]"]
    assert table.cells()[1][-3:] == ["–", "–", "[2]"]
    text = latex(table)
    assert "coco-object & voc20" in text
    assert "NACLIP + PAMR & CLIP ViT-B/16 & 99.0" in text
