"""Tables from hand-made records, compared with the texts in `golden/`.

After a wanted change of the form: `REWRITE_GOLDEN=1 pytest tests/results/test_tables.py`, then read the difference.
"""

from __future__ import annotations

import csv
import io
import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from benchmarks.spec import ClipId
from methods.registry import METHODS
from results.tables.aggregate import METRICS
from results.tables.calibration import key_of
from results.tables.forms import write_each
from results.tables.judge import Judge
from results.tables.kinds import KINDS
from results.tables.table import HEADERS
from results.tables.tables import build_tables
from results.tables.views import COLUMNS, NOTES, View
from splits.errors import UserError
from tests.results.factory import SHAPES, UNTRAINED, image_counts, judge, methods, record, specs

GOLDEN = Path(__file__).parent.parent / "golden"
pytestmark = pytest.mark.usefixtures("toy")


def grid(method="alpha", seen=0.4, unseen=0.2, *, folds=(0, 1), seeds=(0,), **changes):
    """Fold 1 has 4 points less on unseen classes; each seed has 2 points more on seen ones."""
    return [
        record(method, seen + 0.02 * seed, unseen - 0.04 * fold, fold=fold, seed=seed, **changes)
        for fold in folds
        for seed in seeds
    ]


def folder(*arguments, **changes) -> str:
    return specs(*arguments, **changes)[0].folder


def cases():
    one = grid() + grid("zeta", 0.5, 0.3, shift=0.1, recipe=SHAPES, config={"scale": "sqrt"})
    one += grid("untold", 0.3, 0.1, clip=None, recipe=UNTRAINED)
    three = grid(seeds=(0, 1, 2)) + grid("zeta", 0.5, 0.3, seeds=(0, 1)) + grid("untold", 0.3, 0.1)
    missing = {
        folder("alpha", fold=1): "done",  # there: not to be named
        folder("zeta"): "failed: out of\nmemory",
        folder("zeta", fold=1): "failed: out of memory",
        folder("beta", seed=3): "planned",
    }
    incomplete = grid(seeds=(0, 1))[:-1] + grid("zeta", folds=(1,))
    partial = grid() + grid(limit=2, partial=True, unseen=0.1) + grid("zeta", partial=True)
    several = grid() + grid(background="class") + grid(part="tune") + grid(benchmark="toy-one", folds=(0,))
    variants = grid() + grid(config={"k": 3}) + grid(recipe=SHAPES) + grid(unseen=0.1, recipe=SLOWER)
    conflict = [*grid(), record("zeta"), record("zeta", fold=1), record("zeta", 0.9, fold=1, device="cuda")]
    undefined = [record(unseen=None), record(fold=1)]
    hub = ClipId(model="tiny", pretrained="hub")
    clips = grid() + grid(clip=hub) + grid("zeta", clip=hub.model_copy(update={"pretrained": "builtin"}))
    return {
        "one_seed": (one, {}),
        "several_seeds": (three, {}),
        "by_fold": (three + grid("beta", folds=(1,)), {"view": View(by="fold")}),
        "missing_and_failed": (grid(), {"states": missing}),
        "nothing_scored": ([], {"states": {folder("alpha"): "running"}}),
        "incomplete_seeds": (incomplete, {}),
        "partial": (partial, {}),
        "several_protocols": (several, {"states": {folder("zeta"): "planned"}}),
        "variants": (variants, {}),
        "clips": (clips, {}),
        "conflict": (conflict, {}),
        "stale": (one, {"stale": frozenset({folder("alpha", fold=1)})}),
        "undefined": (undefined, {}),
    }


SLOWER = SHAPES.model_copy(update={"name": "paper", "weight_decay": 0.5})
CASES = cases()


def rendered(name: str) -> dict[str, str]:
    records, options = CASES[name]
    tables = build_tables(records, **options, judge=judge(records))
    return {"md": "\n".join(t.markdown() for t in tables), "csv": "\n".join(t.csv() for t in tables)}


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    """Fails if a number, a mark or a line under the table changes; each text was read and checked by hand."""
    for ending, text in rendered(name).items():
        path = GOLDEN / f"{name}.{ending}"
        if os.environ.get("REWRITE_GOLDEN"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path.name} differs"


def test_folds_stand_for_themselves_where_no_row_has_all():
    """Fails when the first runs of a reader, of one fold, are a table of dashes; or when a mean that is there is not
    shown, as another row lacks folds."""
    first = grid(folds=(0,)) + grid("beta", folds=(0,))
    open_ = View(by=None)
    (table,) = build_tables(first, view=open_, judge=judge(first))
    (by_fold,) = build_tables(first, view=View(by="fold"), judge=judge(first))
    assert table.markdown() == by_fold.markdown()
    mixed = grid() + grid("beta", folds=(0,))
    (table,) = build_tables(mixed, view=open_, judge=judge(mixed))
    (means,) = build_tables(mixed, judge=judge(mixed))
    assert table.markdown() == means.markdown()
    assert "not averaged (`tables --by fold` shows them): beta seed 0 has fold 0 of 0, 1" in table.markdown()


@pytest.mark.parametrize("name", CASES)
def test_independent_of_order(name):
    """Fails if the order of files on a disk shows in a table."""
    records, options = CASES[name]
    first = rendered(name)
    for seed in range(3):
        shuffled = random.Random(seed).sample(records, len(records))
        tables = build_tables(iter(shuffled), **options, judge=judge(shuffled))
        assert "\n".join(t.markdown() for t in tables) == first["md"]
        assert "\n".join(t.csv() for t in tables) == first["csv"]


def test_numbers_by_hand():
    """Fails if a column shows another column's number. Folds: S .4; U .2 and .16; H .2667 and .2286."""
    (table,) = build_tables(grid(), view=View(columns=COLUMNS))
    headers = [column.header for column in table.columns]
    shown = dict(zip(headers, table.cells()[0], strict=True))
    assert shown == {
        "method": "alpha",
        "mIoU": "50.0",  # of the counts of its classes
        "pAcc": "40.0",
        "mIoU(S)": "40.0",
        "mIoU(U)": "18.0",
        "hIoU": "24.8",  # (26.67 + 22.86) / 2
        "H of means": "24.8",  # 2 * 40 * 18 / 58 = 24.83
        "no shift": "13.2",  # U .1 and .06: (16.00 + 10.43) / 2
        "oracle shift": "32.9",  # U .3 and .26: (34.29 + 31.52) / 2
        "sd over seeds": "–",
        "rank": "–",
        "first": "–",
        "own shift": "0",
        "seeds": "1",
    }


def test_every_metric_has_a_header():
    """Fails if a metric is aggregated but never shown."""
    assert set(HEADERS) == set(METRICS)


def test_registry_order_then_alphabet():
    """Fails if rows do not follow the registry (zeta before alpha), unknown methods after, by name."""
    (table,) = build_tables(grid("omega") + grid("alpha") + grid("beta") + grid("zeta"))
    assert table.frame["method"].tolist() == ["zeta", "alpha", "beta", "omega"]


def test_one_table_per_protocol():
    """Fails if numbers of several protocols, parts or benchmarks meet in one table."""
    records, _ = CASES["several_protocols"]
    tables = build_tables(records)
    assert len(tables) == 4
    for table in tables:
        for column in ("benchmark", "part", "family_hash"):
            assert table.frame[column].nunique() == 1
        assert table.protocol.family == table.frame["family_hash"][0]


def test_partial_runs_are_marked_in_every_form():
    """Fails if a partial run can be read as a result, in Markdown or CSV."""
    for by in ("method", "fold"):
        (table,) = build_tables(grid(partial=True), view=View(by=by))
        assert all("†" in row[0] for row in table.cells())
        assert any(note.startswith("† partial") for note in table.notes)
        assert all(row["partial"] == "True" for row in csv.DictReader(io.StringIO(table.csv())))


def test_csv_is_unrounded():
    """Fails if the CSV carries what print rounds: others could not compute from it."""
    (table,) = build_tables([record(seen=1 / 3, unseen=1 / 7), record(seen=1 / 3, unseen=1 / 7, fold=1)])
    (row,) = csv.DictReader(io.StringIO(table.csv()))
    assert float(row["miou_unseen"]) == 1 / 7
    assert float(row["hiou"]) == pytest.approx(0.2, abs=1e-15)


def test_names_cannot_break_the_table():
    """Fails if a label with a bar or a line break adds cells or rows to the Markdown."""
    recipe = SHAPES.model_copy(update={"name": "a|b\nc"})
    (table,) = build_tables(grid(recipe=recipe))
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    assert len(lines) == 3
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert not [line for line in table.markdown().splitlines() if line.startswith("c ")]


def test_bad_input_is_one_line():
    """Fails if a folder that is none, or a benchmark that nobody knows, ends in a stack trace."""
    for states, words in (({"somewhere": "failed"}, "is no run's folder"), ({"x/y/fold0-seed0-ab": "x"}, "'x'")):
        with pytest.raises(UserError, match=words) as error:
            build_tables([], states=states)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="'nowhere'"):
        build_tables([record(benchmark="nowhere")])


def test_no_records_no_tables():
    """Fails if an empty folder of runs is an error."""
    assert build_tables([]) == []


def test_needs_no_torch():
    """Fails if making tables loads torch: they are to come within a second, on machines without it too."""
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # an import of it would raise
        "import results.tables.tables, results.store.folders\n"
        "from tests.results.factory import record\n"
        "results.tables.tables.build_tables([record(benchmark='shapes-5i')])[0].markdown()\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('open_clip', 'mmseg', 'lightning')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_constants_tuned_per_data_set_are_said(monkeypatch):
    """Fails when a method whose authors chose constants on the scored data stands in a table as if it had not."""
    monkeypatch.setattr("results.tables.notes.METHODS", METHODS)
    (table, *_) = build_tables(grid("resclip", config={"weak_below": 0.25}, recipe=UNTRAINED) + grid("clip"))
    (note,) = [note for note in table.notes if note.startswith("Tuned per data set")]
    assert "resclip (weak_below=0.25, middle_share=0.6," in note
    assert "clip (" not in note.replace("resclip (", "")


def test_the_built_in_benchmark_says_what_it_is_no_evidence_of():
    """Fails if a table of the built-in world can be printed without that line (here with the real splits)."""
    code = (
        "from results.tables.tables import build_tables; from tests.results.factory import record\n"
        "print(build_tables([record(benchmark='shapes-5i')])[0].markdown())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert "no evidence about the methods on photos" in done.stdout


def shown(table, name: str) -> dict[str, str]:
    """The cells of one row by header."""
    headers = [column.header for column in table.columns]
    (cells,) = [cells for cells in table.cells() if cells[0] == name]
    return dict(zip(headers, cells, strict=True))


def test_half_widths_are_those_of_both_parts():
    """Fails if what stands behind ± is not images and seeds together, or is there where nothing is known of images."""
    records = grid(seeds=(0, 1, 2))
    (table,) = build_tables(records, judge=judge(records))
    (row,) = table.rows()
    images, seeds = 1.959964 * row["hiou_error_images"], 4.302653 * row["hiou_error_seeds"]
    assert row["hiou_half"] == pytest.approx(math.hypot(images, seeds), rel=1e-6)
    assert row["hiou_error_seeds"] == pytest.approx(row["hiou_sd"] / math.sqrt(3))
    assert shown(table, "alpha")["hIoU"] == f"{100 * row['hiou']:.1f} ± {100 * row['hiou_half']:.1f}"
    (plain,) = build_tables(records)
    assert "±" not in plain.cells()[0][3]
    assert any("no ± here" in note for note in plain.notes)


def test_bold_is_what_is_not_separated_from_the_best():
    """Fails if chance decides what is bold, a partial row or one of fewer seeds is, or a shown part changes it."""
    near = grid(seeds=range(6)) + grid("zeta", seeds=range(6)) + grid("omega", 0.2, 0.05, seeds=range(6))
    records = near + grid("few", 0.9, 0.9) + grid("partial", 0.9, 0.9, seeds=range(6), partial=True, limit=2)
    (table,) = build_tables(records, judge=judge(records))
    assert table.bold["miou_unseen"] == {"alpha", "zeta"}
    assert "**" in table.markdown().split("| alpha")[1].split("\n")[0]
    marked = {row["name"]: row["bold"] for row in csv.DictReader(io.StringIO(table.csv()))}
    assert marked["alpha"].split() == [metric for metric in table.bold if "alpha" in table.bold[metric]]
    assert marked["partial"] == marked["few"] == ""
    (part,) = build_tables(grid("omega", 0.2, 0.05, seeds=range(6)), judge=judge(records))
    assert not any("best" in row for row in part.marks())  # the best row is another one, which is not shown


def test_a_table_says_why_nothing_is_bold():
    """Fails if the best of many seeds is bold beside a row of fewer that is established above, or nobody learns why."""
    many = grid(seeds=range(6)) + grid("omega", 0.1, 0.05, seeds=range(6))
    for more, bare in ((grid("few", 0.9, 0.9, seeds=range(2)), True), (grid("few", 0.1, 0.05), False)):
        (table,) = build_tables(many + more, judge=judge(many + more))
        assert (table.bold["hiou"] == frozenset()) is bare
        assert any("nothing is bold in mIoU(S), mIoU(U), hIoU, where" in note for note in table.notes) is bare


def test_a_single_fold_has_no_place():
    """Fails if the row of one fold, in a CSV, has the rank of the mean over folds."""
    records = grid(seeds=range(3)) + grid("zeta", 0.2, 0.05, seeds=range(3))
    (table,) = build_tables(records, view=View(by="fold"), judge=judge(records))
    assert table.frame[["rank_low", "rank_high", "first"]].isna().all(axis=None)


def test_a_row_alone_has_no_place():
    """Fails if a row has rank 1 though it is beside trial runs alone, with which nothing is compared."""
    records = grid(seeds=range(3)) + grid("zeta", 0.2, 0.05, seeds=range(3), partial=True, limit=2)
    (table,) = build_tables(records, view=View(columns=("rank",)), judge=judge(records))
    assert [cells[-1] for cells in table.cells()] == ["–", "–"]


def test_columns_that_a_table_lacks_are_not_explained(monkeypatch):
    """Fails if an ablation, or a table of single folds, explains ranks that it does not have."""
    known = methods("alpha", "zeta") | methods("zeta-less", group="ablation:zeta")
    monkeypatch.setattr("results.tables.content.METHODS", known)
    records = [run for name in ("alpha", "zeta", "zeta-less") for run in grid(name, seeds=(0, 1))]
    for by, notes in product(("method", "fold"), ("short", "full")):
        view = View(("main", "ablations"), by=by, columns=("hiou", "rank", "first"), notes=notes)
        for table in build_tables(records, view=view, judge=judge(records)):
            there = {column.header for column in table.columns} & {"rank", "first"}
            told = {word for word in ("rank", "first") if any(n.startswith(f"{word.title()}:") for n in table.notes)}
            assert told == there, (table.title, notes)


def test_no_spread_over_equal_seeds():
    """Fails if seeds that all came to the same are given a spread of 0.00 instead of the reason."""
    records = [record(seed=seed, fold=fold) for seed in (0, 1) for fold in (0, 1)]
    (table,) = build_tables(records, view=View(columns=("hiou", "sd")), judge=judge(records))
    assert shown(table, "alpha")["sd over seeds"] == "deterministic"


def test_seeds_that_collapse_are_not_called_deterministic():
    """Fails if trainings whose hIoU is 0 with every seed are said to come out the same, though other metrics differ."""
    records = [record("alpha", 0.5 + 0.1 * seed, 0.0, seed=seed, fold=fold) for seed in (0, 1) for fold in (0, 1)]
    (table,) = build_tables(records, view=View(columns=("hiou", "sd")), judge=judge(records))
    assert shown(table, "alpha")["sd over seeds"] == "0.0"


def test_predictions_without_scores_have_no_other_shift():
    """Fails if the hIoU of one shift is shown as that of others."""
    made = grid(predictions="f" * 64, recipe=UNTRAINED)
    for swept, expected in ((False, "–"), (True, "13.2")):
        read = lambda run, swept=swept: replace(image_counts(run), swept=swept)  # noqa: E731
        (table,) = build_tables(made, view=View(columns=("no-shift", "shift")), judge=Judge(read, made))
        (cells,) = table.cells()
        assert cells[1] == expected
        assert (cells[2] == "–") is not swept
    read = lambda run: replace(image_counts(run), swept=run.result.evaluation.fold == 0)  # noqa: E731
    (table,) = build_tables(made, view=View(columns=("no-shift", "shift")), judge=Judge(read, made))
    assert table.cells()[0][1:] == ["–", "–"]  # a fold of which it is not known is enough
    (appendix,) = build_tables([*made, *grid("zeta", shift=0.3)], view=View(("appendix",)))
    assert dict(appendix.cells())["Own shift, taken off the seen scores"] == "0.3"  # of what was scored here alone


@pytest.mark.parametrize("by", ["method", "fold"])
def test_a_value_without_an_error_is_explained(by):
    """Fails if a value of one image has ± 0.0, or stands without ± and nobody says why."""

    def first_image(run):
        counts = image_counts(run)
        return replace(counts, hit=counts.hit[:1], truth=counts.truth[:1], predicted=counts.predicted[:1])

    records = grid(seeds=(0, 1)) + grid("zeta", seeds=(0, 1))
    for read, few in ((first_image, True), (image_counts, False)):
        (table,) = build_tables(records, view=View(by=by), judge=Judge(read, records))
        assert ("±" not in shown_row(table)) is few
        assert any(note.startswith("Without ±: one image") for note in table.notes) is few


def shown_row(table) -> str:
    return " ".join(table.cells()[0])


def test_one_image_is_one():
    """Fails if a table of one image says `1 images`."""
    (made,) = grid(folds=(0,))
    made = made.model_copy(update={"result": made.result.model_copy(update={"images": 1})})
    (table,) = build_tables([made])
    assert any("1 run; 1 image;" in note for note in table.notes)


def test_own_shifts_come_from_all_runs():
    """Fails if the line of shifts knows those of one fold only."""
    records = [record(fold=0, shift=0.1), record(fold=1, shift=0.2)]
    for by in ("method", "fold"):
        (table,) = build_tables(records, view=View(by=by, notes="full"))
        assert any("Own shift" in note and note.endswith(": 0.1 / 0.2.") for note in table.notes)


def test_notes_by_degree():
    """Fails if short notes lack protocol, spread or what is no result, or repeat what the appendix has."""
    records = grid(partial=True)
    made = {n: build_tables(records, view=View(("main", "appendix"), notes=n)) for n in ("none", "short", "full")}
    assert made["none"][0].notes == ()
    short = " ".join(made["short"][0].notes)
    assert all(words in short for words in ("Protocol", "runs", "† partial"))
    assert "Ignored" not in short
    assert "Ignored" in " ".join(made["full"][0].notes)
    assert [table.name for table in made["full"]] == ["main"]
    assert "Ignored pixels" in made["short"][1].markdown()
    assert "window" in made["short"][1].markdown() or "whole image" in made["short"][1].markdown()


def test_notes_mean_the_same_for_every_kind():
    """Fails if a kind of table ignores the degree of its notes: none, or with `full` what the appendix would have."""
    records = grid(seeds=(0, 1))
    tuned = {key_of(r.result): r.result.best for r in records}
    views = {n: View(KINDS, notes=n) for n in NOTES}
    made = {n: build_tables(records, view=view, tuned=tuned) for n, view in views.items()}
    assert {table.name for table in made["none"]} >= {"main", "calibrated", "classes", "costs"}
    assert [table.notes for table in made["none"]] == [()] * len(made["none"])
    assert all(table.notes for table in made["short"] if table.name != "appendix")
    assert not any("Ignored pixels" in " ".join(table.notes) for table in made["short"])
    assert all("Ignored pixels" in " ".join(table.notes) for table in made["full"])
    assert [table.name for table in made["short"] if table.name == "appendix"] == ["appendix"]
    assert "appendix" not in {table.name for table in [*made["none"], *made["full"]]}
    for table in made["full"]:
        if table.name in ("main", "classes"):
            assert "absent classes" in " ".join(table.notes)  # the protocol in all its words


def test_one_file_a_table(tmp_path):
    """Fails if several tables end in one CSV, or their files are named otherwise on the next call."""
    tables = build_tables(grid() + grid(part="tune"), view=View(KINDS))
    paths = write_each(tables, "csv", tmp_path)
    assert len(set(paths)) == len(tables) > 4
    assert paths == write_each(tables, "csv", tmp_path)
    for path in paths:
        rows = list(csv.reader(io.StringIO(path.read_text())))
        assert len({len(row) for row in rows}) == 1


def test_rounded_scores_are_a_row_of_their_own():
    """Fails when a row scored in bf16 looks like one of float32, is averaged with it, or no line says what it is."""
    usual = record(fold=0)
    evaluation = usual.result.evaluation.model_copy(update={"precision": "bf16"})
    rounded = usual.model_copy(update={"result": usual.result.model_copy(update={"evaluation": evaluation})})
    assert "precision" not in usual.result.evaluation.model_dump()  # stored as before there was a choice
    (table,) = build_tables([usual, rounded])
    text = table.markdown()
    assert "alpha (scored in bf16)" in text
    assert "Forward pass of less than float32" in text
    (alone,) = build_tables([usual])
    assert "bf16" not in alone.markdown()
