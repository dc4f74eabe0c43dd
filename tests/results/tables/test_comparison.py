"""`compare` on stored records: names, pairs, correction and gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from results.store.folders import find_stored
from results.store.record import RunRecord
from results.tables.comparison import below, compare_content, has, tables_of_pairs
from results.tables.content import gather
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


def compared(root: Path, *names: str, **methods: dict):
    records, paths = stored(root, **methods)
    (content,) = gather(records, {})
    pairs = compare_content(content, names, lambda r: paths[r.result.confusion_sha256])
    return content, pairs


def own_ious(path: Path) -> np.ndarray:
    """IoU of each class at the own shift, from the stored matrices."""
    with np.load(path) as npz:
        matrix = npz["matrices"][1]
    return np.diag(matrix) / (matrix.sum(0) + matrix.sum(1) - np.diag(matrix))


def test_the_difference_is_that_of_the_stored_matrices(tmp_path):
    """Fails if a difference is not that of the fold means of what lies on the disk, A less B."""
    records, paths = stored(tmp_path, zeta={}, alpha={})
    (content,) = gather(records, {})
    (pair,) = compare_content(content, ["zeta", "alpha"], lambda r: paths[r.result.confusion_sha256])
    means = {"zeta": [], "alpha": []}
    for record in records:
        iou = own_ious(paths[record.result.confusion_sha256])
        means[record.result.train.method].append(iou[record.result.train.fold])  # fold i hides class i
    assert pair.found["miou_unseen"].difference == pytest.approx(np.mean(means["zeta"]) - np.mean(means["alpha"]))
    assert (pair.folds, pair.seeds, pair.left_out) == ((0, 1), (0, 1, 2), 0)


def test_background_as_a_class_is_one_of_the_seen(tmp_path):
    """Fails if runs scored with background as a class cannot be compared, or background is left out of the mean."""
    background = {"background": "class"}
    records, paths = stored(tmp_path, zeta=dict(background), alpha=dict(background))
    (content,) = gather(records, {})
    (pair,) = compare_content(content, ["zeta", "alpha"], lambda r: paths[r.result.confusion_sha256])
    means = {"zeta": [], "alpha": []}
    for record in records:
        iou = own_ious(paths[record.result.confusion_sha256])
        assert len(iou) == 5  # four classes and background
        means[record.result.train.method].append(np.delete(iou, record.result.train.fold).mean())
    assert pair.found["miou_seen"].difference == pytest.approx(np.mean(means["zeta"]) - np.mean(means["alpha"]))


def test_runs_without_a_partner_are_told(tmp_path):
    """Fails if seeds that only one method has are compared, or left out in silence."""
    content, pairs = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={"seeds": (1, 2, 5)})
    assert pairs[0].seeds == (1, 2)
    (table,) = tables_of_pairs(content, pairs)
    assert any("4 runs without a partner left out" in note for note in table.notes)


def test_one_seed_says_what_it_is_about(tmp_path):
    """Fails if an interval that knows nothing of training is shown without a word."""
    content, pairs = compared(tmp_path, "zeta", "alpha", zeta={"seeds": (0,)}, alpha={"seeds": (0,)})
    (table,) = tables_of_pairs(content, pairs)
    assert any("about these weights" in note for note in table.notes)


def test_several_comparisons_are_corrected_and_said_so(tmp_path):
    """Fails if of several comparisons the smallest p decides as if it were the only one."""
    content, pairs = compared(tmp_path, "zeta", "alpha", "omega", zeta={}, alpha={}, omega={})
    (table,) = tables_of_pairs(content, pairs)
    for metric in METRICS:
        rows = table.frame[table.frame["metric"] == metric]
        assert rows["p_corrected"].min() == pytest.approx(min(1, 2 * rows["p"].min()))
        assert ((rows["verdict"] == "tie") == (rows["p_corrected"] >= 0.05)).all()
    assert any("Holm-corrected" in note for note in table.notes)
    (alone,) = tables_of_pairs(content, pairs[:1])
    assert alone.frame["p_corrected"].tolist() == alone.frame["p"].tolist()


def test_a_tie_is_below_what_is_detectable(tmp_path):
    """Fails if the verdict contradicts the interval beside it, for one comparison."""
    content, pairs = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={})
    (table,) = tables_of_pairs(content, pairs)
    for row in table.rows():
        assert (row["verdict"] == "tie") == (abs(row["difference"]) <= row["detectable"])


def test_a_class_won_is_named(tmp_path):
    """Fails if wins, losses and ties of the classes do not add up to all of them."""
    content, pairs = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={})
    (table,) = tables_of_pairs(content, pairs)
    lines = [note for note in table.notes if note.startswith("Classes ")]
    assert len(lines) == 2
    keys = [key for key in pairs[0].found if key not in METRICS]
    assert sum(not seen for _, seen in keys) == 2  # ant and bee are each hidden once
    assert sum(seen for _, seen in keys) == 4


def test_names_that_are_no_row(tmp_path):
    """Fails if a name that fits no row, or two, is guessed at."""
    records, paths = stored(tmp_path, zeta={}, alpha={"recipe": SHAPES}, alpha_k={"recipe": SHAPES, "config": {"k": 3}})
    (content,) = gather(records, {})

    def names(*given: str):
        return compare_content(content, given, lambda r: paths[r.result.confusion_sha256])

    with pytest.raises(UserError, match=r"several rows.*alpha \(shapes recipe\) \[k=3\]; alpha \(shapes recipe\)"):
        names("zeta", "alpha")
    with pytest.raises(UserError, match="no row has this name"):
        names("zeta", "nobody")
    with pytest.raises(UserError, match="not different"):
        names("zeta", "zeta")
    assert names("zeta", "alpha (shapes recipe)")[0].b == "alpha (shapes recipe)"
    assert has(content, ["zeta", "alpha (shapes recipe)"])
    assert not has(content, ["zeta", "nobody"])


def test_the_gate(tmp_path):
    """Fails if the gate lets a smaller difference through, or stops one that is large enough."""
    _, pairs = compared(tmp_path, "zeta", "alpha", zeta={}, alpha={})
    points = 100 * pairs[0].found["hiou"].difference
    assert below(pairs, points - 0.01) == []
    assert len(below(pairs, points + 0.01)) == 1


def test_partial_runs_are_told(tmp_path):
    """Fails if trial runs are compared as if they were results, or what the benchmark is no evidence of is left out."""
    content, pairs = compared(tmp_path, "zeta", "alpha", zeta={"partial": True}, alpha={})
    (table,) = tables_of_pairs(content, pairs)
    assert table.notes[0] == factory.NOTE
    assert any(note.startswith("Partial") for note in table.notes)
