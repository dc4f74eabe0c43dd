"""`compare` on stored records: names, pairs, correction and gate."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import harness
from results.store.folders import find_stored
from results.store.record import RunRecord
from results.store.selection import Selection, select
from results.tables.class_differences import class_differences
from results.tables.comparison import (
    Wanted,
    below,
    compare_content,
    compare_records,
    has,
    one_csv,
    tables_of_comparison,
)
from results.tables.content import gather
from results.tables.families import reader
from results.tables.statistics import METRICS
from splits.errors import UserError
from tests.results import factory
from tests.results.factory import SHAPES, store

pytestmark = pytest.mark.usefixtures("toy")


def stored(root: Path, **methods: dict) -> tuple[list[RunRecord], dict[str, Path]]:
    """Two folds and three seeds of each method; what lies on the disk, and where each record's matrices are."""
    for method, changes in methods.items():
        seeds = changes.pop("seeds", (0, 1, 2))
        for fold in (0, 1):
            for seed in seeds:
                store(root, method=method.split("_")[0], fold=fold, seed=seed, **changes)
    found = list(find_stored(root))
    return [f.record for f in found], {f.record.result.confusion_sha256: f.confusion for f in found}  # type: ignore[union-attr]


def compared(root: Path, *names: str, over: str = "images", delta: float = 0.01, **methods: dict):
    """The content, the comparison of these names, and its table."""
    records, paths = stored(root, **methods)
    (content,) = gather(records, {})
    read = reader(lambda r: paths[r.result.confusion_sha256])
    found = compare_content(content, names, read, over=over, delta=delta)
    (table,) = tables_of_comparison(content, found, read)
    return content, found, table


def own_ious(path: Path) -> np.ndarray:
    """IoU of each class at the own shift, from the stored matrices."""
    with np.load(path) as npz:
        matrix = npz["matrices"][1]
    return np.diag(matrix) / (matrix.sum(0) + matrix.sum(1) - np.diag(matrix))


def test_the_difference_is_that_of_the_stored_matrices(tmp_path):
    """Fails if a difference is not that of the fold means of what lies on the disk, A less B."""
    records, paths = stored(tmp_path, zeta={}, alpha={})
    (content,) = gather(records, {})
    read = reader(lambda r: paths[r.result.confusion_sha256])
    pair = compare_content(content, ["zeta", "alpha"], read).family.verdict("zeta", "alpha", "miou_unseen").found
    means = {"zeta": [], "alpha": []}
    for record in records:
        iou = own_ious(paths[record.result.confusion_sha256])
        means[record.result.train.method].append(iou[record.result.train.fold])  # fold i hides class i
    assert pair.by.value == pytest.approx(np.mean(means["zeta"]) - np.mean(means["alpha"]))
    assert (sorted(pair.folds), pair.seeds) == ([0, 1], (0, 1, 2))


def test_background_as_a_class_is_one_of_the_seen(tmp_path):
    """Fails if runs scored with background as a class cannot be compared, or background is left out of the mean."""
    background = {"background": "class"}
    records, paths = stored(tmp_path, zeta=dict(background), alpha=dict(background))
    (content,) = gather(records, {})
    read = reader(lambda r: paths[r.result.confusion_sha256])
    pair = compare_content(content, ["zeta", "alpha"], read).family.verdict("zeta", "alpha", "miou_seen").found
    means = {"zeta": [], "alpha": []}
    for record in records:
        iou = own_ious(paths[record.result.confusion_sha256])
        assert len(iou) == 5  # four classes and background
        means[record.result.train.method].append(np.delete(iou, record.result.train.fold).mean())
    assert pair.by.value == pytest.approx(np.mean(means["zeta"]) - np.mean(means["alpha"]))


def test_runs_without_a_partner_are_told(tmp_path):
    """Fails if seeds that only one method has are compared, or left out in silence."""
    _, found, table = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={"seeds": (1, 2, 5)})
    assert found.family.verdict("zeta", "alpha", "hiou").found.seeds == (1, 2)
    assert any("4 runs without a partner left out" in note for note in table.notes)


def test_one_seed_has_no_verdict(tmp_path):
    """Fails if an interval that knows nothing of training comes with a verdict or a p, or without a word."""
    _, _, table = compared(tmp_path, "zeta", "alpha", zeta={"seeds": (0,)}, alpha={"seeds": (0,)})
    assert set(table.frame["verdict"]) == {"one seed: not tested"}
    assert table.frame["p_corrected"].isna().all()
    assert (table.frame["half"] > 0).all()
    assert any("about these weights" in note and "`--seeds 0 1 2`" in note for note in table.notes)
    assert not any(note.startswith(("p:", "Detectable:")) for note in table.notes)
    assert not any(note.startswith("Classes") for note in table.notes)


def test_what_is_typed_changes_no_verdict(tmp_path):
    """Fails if p depends on which other methods are named: the family is all pairs of the table's rows."""
    _, _, alone = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={}, omega={})
    _, _, among = compared(tmp_path / "b", "zeta", "omega", "alpha", zeta={}, alpha={}, omega={})
    pair = among.frame[among.frame["b"] == "alpha"]
    assert alone.frame["p_corrected"].tolist() == pair["p_corrected"].tolist()
    assert set(alone.frame["comparisons"]) == {3}
    assert any("all 3 tested pairs of the table of comparison" in note for note in alone.notes)
    _, _, only = compared(tmp_path / "c", "zeta", "alpha", zeta={}, alpha={})
    assert any(note.startswith("p: not corrected") and "has one tested pair" in note for note in only.notes)
    frame = among.frame
    for metric in METRICS:
        rows = frame[frame["metric"] == metric]
        assert (rows["p_corrected"] >= rows["p"]).all()
        assert (rows["verdict"].str.startswith(("higher", "lower")) == (rows["p_corrected"] < 0.05)).all()


def test_a_pair_keeps_its_table_whatever_else_is_named(tmp_path, monkeypatch):
    """Fails if an ablation beside its method is judged among all rows because a row of another table is named too, or a
    CSV names another table than that in which p was corrected."""
    known = factory.methods("zeta", "omega") | factory.methods("without", group="ablation:zeta")
    monkeypatch.setattr("results.tables.content.METHODS", known)
    monkeypatch.setattr("results.tables.notes.METHODS", known)
    records, paths = stored(tmp_path, zeta={}, omega={}, without={})

    def told(*names: str) -> dict[str, tuple]:
        tables, _ = compare_records(records, Wanted(names), lambda r: paths[r.result.confusion_sha256])
        rows = [(table.title, row) for table in tables for row in table.frame.to_dict("records")]
        kept = ("difference", "p_corrected", "verdict", "comparisons")
        return {(title, row["b"], row["metric"]): tuple(row[name] for name in kept) for title, row in rows}

    apart = told("zeta", "without") | told("zeta", "omega")
    assert told("zeta", "omega", "without") == told("zeta", "without", "omega") == apart
    assert len({title for title, *_ in apart}) == 2
    assert {family for *_, family in apart.values()} == {1}
    tables, _ = compare_records(
        records, Wanted(("zeta", "omega", "without")), lambda r: paths[r.result.confusion_sha256]
    )
    rows = csv.DictReader(io.StringIO(one_csv(tables)))
    assert {(row["b"], row["family"]) for row in rows} == {("omega", "comparison"), ("without", "ablation:zeta")}


@pytest.mark.parametrize("delta", [float("nan"), float("inf"), -0.01, 0.0])
def test_numbers_that_are_no_threshold_are_refused(delta):
    """Fails if a gate, or an equivalence, is passed by a number that nothing is less than."""
    with pytest.raises(UserError, match=r"--delta .*: expected points above 0"):
        Wanted(("zeta", "alpha"), delta=delta)
    for gate in (float("nan"), float("inf")):
        with pytest.raises(UserError, match="--fail-under"):
            Wanted(("zeta", "alpha"), fail_under=gate)


def test_a_single_pair_agrees_with_its_half_width(tmp_path):
    """Fails if the verdict contradicts the half-width beside it, for one comparison."""
    _, _, table = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={})
    for row in table.rows():
        assert row["verdict"].startswith(("higher", "lower")) == (abs(row["difference"]) > row["half"])
        assert row["detectable"] > row["half"]


def test_each_fold_is_shown(tmp_path):
    """Fails if the folds' differences are not printed, or do not make up the difference."""
    _, _, table = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={})
    assert [c.header for c in table.columns[-2:]] == ["fold 0", "fold 1"]
    for row in table.rows():
        assert (row["fold_0"] + row["fold_1"]) / 2 == pytest.approx(row["difference"])
    assert any("fixed" in note for note in table.notes)


def test_over_classes_says_so(tmp_path):
    """Fails if an interval over other classes is made of one unseen class a fold, or is not called one."""
    _, _, table = compared(tmp_path, "zeta", "alpha", over="classes", zeta={}, alpha={})
    assert table.frame["half"].isna().all()
    assert set(table.frame["verdict"]) == {"undefined"}
    assert set(table.frame["comparisons"]) == {0}  # what nobody can test is in no family
    assert any("over other unseen classes" in note for note in table.notes)
    _, _, table = compared(tmp_path / "one", "zeta", "alpha", over="classes", zeta={"seeds": [0]}, alpha={"seeds": [0]})
    assert any("over other unseen classes only" in note for note in table.notes)
    assert not any("over images" in note for note in table.notes)


def test_classes_add_up(tmp_path):
    """Fails if classes higher, lower and not separated do not add up to all of them."""
    _, _, table = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={})
    lines = [note for note in table.notes if note.startswith("Classes ")]
    counts = [[int(n) for n in re.findall(r"(?:in|separated) (\d+)", line)] for line in lines]
    assert [sum(of) for of in counts] == [2, 4]  # ant and bee are each hidden once


def test_differences_of_classes_are_those_of_the_matrices(tmp_path):
    """Fails if a class's difference is not that of its IoUs, over the folds in which it has that role."""
    records, paths = stored(tmp_path, zeta={}, alpha={})
    read = reader(lambda r: paths[r.result.confusion_sha256])
    runs = {m: {} for m in ("zeta", "alpha")}
    for r in records:
        runs[r.result.train.method][r.result.train.fold, r.result.train.seed] = r
    counted = {m: {place: read(r) for place, r in of.items()} for m, of in runs.items()}
    found = class_differences(counted["zeta"], counted["alpha"], [0, 1], [0, 1, 2])

    def iou(method, fold, seed, index):
        return own_ious(paths[runs[method][fold, seed].result.confusion_sha256])[index]

    for (index, seen), by in found.items():
        folds = [f for f in (0, 1) if (f != index) is seen]  # fold i hides class i
        each = [iou("zeta", f, s, index) - iou("alpha", f, s, index) for f in folds for s in (0, 1, 2)]
        assert by.value == pytest.approx(np.mean(each))
    assert len(found) == 6


def test_names_that_are_no_row(tmp_path):
    """Fails if a name that fits no row, or two, is guessed at."""
    made = {"alpha": {"config": {"k": 2}, "recipe": SHAPES}, "alpha_k": {"recipe": SHAPES, "config": {"k": 3}}}
    records, paths = stored(tmp_path, zeta={}, **made)
    (content,) = gather(records, {})

    def names(*given: str):
        return compare_content(content, given, reader(lambda r: paths[r.result.confusion_sha256]))

    with pytest.raises(UserError, match=r"several rows.*alpha \[k=2\]; alpha \[k=3\]"):
        names("zeta", "alpha")
    with pytest.raises(UserError, match="no row has this name"):
        names("zeta", "nobody")
    with pytest.raises(UserError, match="not different"):
        names("zeta", "zeta")
    assert names("zeta", "alpha [k=3]").names[1] == "alpha [k=3]"
    assert has(content, ["zeta", "alpha [k=2]"])
    assert not has(content, ["zeta", "nobody"])


def test_where_no_class_is_unseen_p_is_explained(tmp_path, monkeypatch):
    """Fails if mIoU alone is tested, as no hIoU is defined, and nobody says what its p is."""
    monkeypatch.setattr(factory, "seen_of", lambda _: factory.CLASSES)
    _, _, table = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={})
    assert table.frame["p_corrected"].notna().tolist() == [True, False, False]
    assert any(
        note.startswith("p: not corrected, for the table of comparison has one tested pair.") for note in table.notes
    )


def test_the_gate(tmp_path):
    """Fails if the gate lets a smaller difference through, or stops one that is large enough."""
    _, found, _ = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={})
    points = 100 * found.family.verdict("zeta", "alpha", "hiou").found.by.value
    assert below(found, points - 0.01) == []
    assert len(below(found, points + 0.01)) == 1


def test_classes_of_one_image_are_won_by_nobody(tmp_path):
    """Fails if a class that is in one of four images, which a third of the draws lack, is won, or is not counted."""
    records, paths = stored(tmp_path, zeta={}, alpha={})
    (content,) = gather(records, {})
    every = reader(lambda r: paths[r.result.confusion_sha256])

    def read(run):
        counts = every(run)
        assert counts is not None
        there = np.ones_like(counts.truth)
        there[1:, 3] = 0
        return replace(counts, hit=counts.hit * there, truth=counts.truth * there, predicted=counts.predicted * there)

    (table,) = tables_of_comparison(content, compare_content(content, ["zeta", "alpha"], read), read)
    (seen,) = [note for note in table.notes if note.startswith("Classes seen")]
    assert "too rare in the images to tell 1" in seen
    assert "dog" not in seen


def test_partial_runs_are_told(tmp_path):
    """Fails if trial runs are compared as if they were results, or what the benchmark is no evidence of is left out."""
    _, _, table = compared(tmp_path, "zeta", "alpha", zeta={"partial": True}, alpha={})
    assert table.notes[0] == factory.NOTE
    assert any(note.startswith("† partial") for note in table.notes)
    assert set(table.frame["verdict"]) == {"partial: not tested"}
    assert table.cells()[0][:2] == ["zeta †", "alpha"]
    assert table.fields()[["partial_a", "partial_b"]].drop_duplicates().to_numpy().tolist() == [[True, False]]


def test_runs_without_counts_of_images(tmp_path):
    """Fails if a record from before images were counted is compared on nothing, or stops with a traceback."""
    records, _ = stored(tmp_path, zeta={}, alpha={})
    (content,) = gather(records, {})
    with pytest.raises(UserError, match="score the run again"):
        compare_content(content, ["zeta", "alpha"], lambda _: None)


def test_rows_of_stale_runs_are_marked(tmp_path, capsys):
    """Fails when a difference to numbers of older sources or data is printed like any other."""
    stored(tmp_path, zeta={}, alpha={}, beta={})
    selected = select(Selection((tmp_path,)))
    stale = frozenset(f for f in (r.result.train.folder for r in selected.records) if "/alpha/fold0-seed1" in f)
    for names, marked in ((("zeta", "alpha"), [False, True]), (("zeta", "beta"), [False, False])):
        ((table,), _) = compare_records(selected.records, Wanted(names), selected.confusion, stale)
        assert [name.endswith(" ‡") for name in table.cells()[0][:2]] == marked
        assert [*table.frame[["stale_a", "stale_b"]].iloc[0]] == marked
        assert any("stale" in note and "alpha: 1" in note for note in table.notes) == any(marked)


def test_compare_says_what_is_stale(tmp_path, capsys):
    """Fails when the command compares a method of two versions with another one as if it were one method."""
    for seed in (0, 1):
        for fold in (0, 1):
            path, _ = store(tmp_path, method="mine", fold=fold, seed=seed)
            path.write_text(path.read_text().replace("a" * 64, str(seed) * 64))  # the digest of its sources
            store(tmp_path, method="alpha", fold=fold, seed=seed)
    assert harness.main(["compare", "mine", "alpha", "--from", str(tmp_path)]) == 0
    assert re.search(r"mine ‡ +\| alpha +\|", capsys.readouterr().out)
