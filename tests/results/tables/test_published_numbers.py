"""Published rows beside reproduced ones: shown where the protocol agrees, and nowhere else."""

from __future__ import annotations

import pytest

from benchmarks.catalogue import benchmark, eval_side, train_side
from benchmarks.protocol import DataSource, Protocol
from benchmarks.recipes import recipe_for
from benchmarks.spec import ClipId, EvalSpec, TrainSpec
from results.store.record import Result, RunRecord, Scores
from results.tables.register import gains, published
from results.tables.table import SD_NOTE, Table
from results.tables.tables import build_tables
from results.tables.views import View
from tests.results import factory

PAPER_RECIPE, _ = recipe_for("zegclip", "voc-15-5", "native")
OPENAI = ClipId(model="ViT-B-16", pretrained="openai")
VOC = DataSource(dataset="voc2012", ids_sha256="d" * 64, mask_rule="SegmentationClassAug")


def run(name: str = "voc-15-5", fold: int = 0, scale: str = "native", seed: int = 0, **changes) -> RunRecord:
    """ZegCLIP on VOC as if trained: S 90 %, U 80 %. changes: fields of TrainSpec, `data`, `absent_class`."""
    bench = benchmark(name)
    data = changes.pop("data", VOC)
    rule = {"absent_class": changes.pop("absent_class")} if "absent_class" in changes else {}
    side = train_side(bench, fold, data, changes.pop("setting", "inductive"))
    asked = eval_side(bench, fold, data, bench.inference_at(scale))  # type: ignore[arg-type]
    asked = asked.model_copy(update=rule)
    fields = {"method": "zegclip", "clip": OPENAI, "recipe": PAPER_RECIPE, **changes}
    train = TrainSpec(benchmark=name, fold=fold, seed=seed, side=side, **fields)
    protocol = Protocol(train=side, evaluation=asked)
    made = factory.record()
    scores = Scores(shift=0.1, pacc=0.95, miou_seen=0.9, miou_unseen=0.8, hiou=0.85)
    result = made.result.model_dump() | {
        "train": train,
        "evaluation": EvalSpec(benchmark=name, fold=fold, side=asked),
        "protocol_hash": protocol.hash,
        "family_hash": protocol.family,
        **dict.fromkeys(("own", "unshifted", "best"), scores),
        "partial": data.partial,
    }
    return made.model_copy(update={"result": Result.model_validate(result)})


def table_of(*records: RunRecord) -> Table:
    (table,) = build_tables(records, view=View(("published",)))
    return table


def cells(table: Table, method: str) -> dict[str, str]:
    headers = [column.header for column in table.columns]
    (row,) = [row for row in table.cells() if row[0] == method]
    return dict(zip(headers, row, strict=True))


def test_a_reproduction_by_hand():
    """Fails if a published value, ours or their difference is another. ZegCLIP printed 91.9, 77.8, 84.3."""
    found = cells(table_of(run()), "ZegCLIP")
    assert [found[name] for name in ("pAcc", "mIoU(S)", "mIoU(U)", "hIoU")] == ["94.6", "91.9", "77.8", "84.3"]
    assert found["ours: mIoU(S) (Δ)"] == "90.0 (-1.9)"
    assert found["ours: mIoU(U) (Δ)"] == "80.0 (+2.2)"
    assert found["ours: hIoU (Δ)"] == "85.0 (+0.7)"
    assert cells(table_of(run()), "SPNet")["ours: hIoU (Δ)"] == "–"


def test_seeds_that_are_alike_have_no_spread():
    """Fails if equal seeds are shown as ± 0.0, or nobody is told that ± is another one than in the main table."""
    table = table_of(run(seed=0), run(seed=1))
    assert cells(table, "ZegCLIP")["ours: hIoU (Δ)"] == "85.0 (+0.7)"
    assert any(SD_NOTE in note for note in table.notes)


def test_fold_3_of_pascal_is_the_literatures_split():
    """Fails if the rows of VOC 15/5 do not serve fold 3, or another fold counts as a reproduction of them."""
    by_fold = table_of(run("pascal-5i", fold=3), run("pascal-5i", fold=0))
    assert cells(by_fold, "ZegCLIP")["ours: hIoU (Δ)"] == "85.0 (+0.7)"
    assert by_fold.frame["reproduced_hiou"].notna().sum() == 1
    assert "fold 3" in by_fold.title
    assert build_tables([run("pascal-5i", fold=0)], view=View(("published",))) == []  # that fold did not run


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": "trial"}, "another size"),
        ({"data": VOC.model_copy(update={"partial": True})}, "part of the data"),
        ({"absent_class": "skip-absent-in-truth"}, "absent classes"),
    ],
)
def test_another_protocol_shows_no_published_number(changes, words):
    """Fails if a published number stands beside one of another protocol."""
    table = table_of(run(**changes))
    assert table.frame.empty
    assert any("not shown" in note and words in note for note in table.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clip": OPENAI.model_copy(update={"pretrained": "laion2b"})}, "its CLIP is"),
        ({"recipe": PAPER_RECIPE.model_copy(update={"name": "changed paper"})}, "recipe"),
        ({"config": {"prompt_tokens": 20}}, "prompt_tokens"),
    ],
)
def test_what_is_no_reproduction_gets_no_difference(changes, words):
    """Fails if a run with another CLIP, recipe or setting is set against the paper's number."""
    table = table_of(run(**changes))
    assert len(table.frame)
    assert table.frame["reproduced_hiou"].isna().all()
    assert any("no reproduction" in note and words in note for note in table.notes)


def test_micro_batches_that_are_the_batch_are_a_reproduction():
    """Fails if accumulated gradients that equal the batch's are held against a run."""
    cut = {"recipe": PAPER_RECIPE.model_copy(update={"accumulate": 4})}
    assert not table_of(run(**cut)).frame["reproduced_hiou"].isna().all()


def test_settings_are_apart():
    """Fails if an inductive run stands beside transductive rows, or the starred rows beside plain ones."""
    names = set(table_of(run(setting="transductive")).frame["method"])
    assert "STRICT" in names
    assert "MaskCLIP+" not in names
    assert "ZegFormer" not in names


def test_printed_values_stay_as_printed():
    """Fails if a published hIoU is computed from the printed pair (that of STRICT on COCO-Stuff would be 32.6)."""
    (row,) = [r for r in published() if (r.method, r.benchmark) == ("STRICT", "coco-stuff-156-15")]
    assert row.hiou == 34.8
    assert cells(table_of(run()), "Cascade-CLIP")["hIoU"] == "–"


def test_gains_are_told_and_no_rows():
    """Fails if a gain without a table becomes a number in one."""
    table = table_of(run())
    told = [note for note in table.notes if "a gain is no row" in note]
    assert any("CLIPTeacher v1 states a gain of 2.2" in note for note in told)
    assert any("Chimera-Seg" in note for note in told)
    assert not table.frame["method"].str.contains("CLIPTeacher|Chimera|CLIP-ZSS").any()
    assert len(list(gains())) == 6


def test_gains_are_told_where_nothing_else_is_published():
    """Fails if the gains on a benchmark without published rows are printed nowhere."""
    table = table_of(run("context-49-10", data=DataSource(dataset="context", ids_sha256="d" * 64, mask_rule="59")))
    assert table.frame.empty
    assert sum("points of hIoU (" in note for note in table.notes) == 2


def test_nothing_published_no_table():
    """Fails if a benchmark without published numbers gets an empty table."""
    known = factory.record(benchmark="shapes-5i")
    assert build_tables([known], view=View(("published",))) == []


def test_every_source_is_cited():
    """Fails if a row has no source under its table."""
    table = table_of(run())
    for number, source in set(zip(table.frame["source_number"], table.frame["source"], strict=True)):
        assert f"[{number}] {source}." in table.notes
