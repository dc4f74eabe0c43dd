"""`import harness`: what it gives to Python is what the commands store and print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import harness
from splits.errors import UserError

PROJECT = Path(__file__).resolve().parents[3]
REFERENCE = PROJECT / "results" / "reference"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, torch_as_before_the_module: None) -> tuple[Path, pd.DataFrame]:
    """Short runs of two methods, made from Python."""
    root = tmp_path_factory.mktemp("runs")
    return root, harness.run(["zegclip", "clip"], folds=[0], limit=6, root=root, device="cpu")


def test_importing_loads_no_torch() -> None:
    """Fails when `import harness`, or looking at records, waits for torch."""
    code = (
        "import sys; sys.modules['torch'] = None; import harness\n"
        f"frame = harness.records({str(REFERENCE)!r}, methods=['clip'])\n"
        "assert len(frame) and harness.metrics([[0, 1]], [[0, 1]], seen=[True, False]).hiou == 1\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_offered_is_an_attribute_error() -> None:
    """Fails when a misspelt name is answered with something else than what there is."""
    with pytest.raises(AttributeError, match=r"no attribute 'recrods'.*records"):
        harness.recrods  # noqa: B018
    assert set(harness.__all__) <= set(dir(harness))
    assert all(callable(getattr(harness, name)) and getattr(harness, name).__doc__ for name in harness.__all__)


def test_records_are_those_that_are_stored(made) -> None:
    """Fails when `run` returns other rows than `records` reads, or leaves a run out."""
    root, frame = made
    assert sorted(frame["method"]) == ["clip", "zegclip"]
    pd.testing.assert_frame_equal(harness.records(root).drop(columns="stale"), frame.drop(columns="stale"))
    assert set(harness.records(root, methods=["clip"])["method"]) == {"clip"}
    assert "result.own.hiou" in harness.records(root, every_field=True)


def test_scores_in_memory_are_those_of_the_record(made) -> None:
    """Fails when `evaluate` scores otherwise than the command: other images, classes, shift or labels."""
    root, frame = made
    for row in frame.to_dict("records"):
        method = harness.load(root / row["run"] if row["method"] == "zegclip" else "clip", root=root)
        found = harness.evaluate(method, "shapes-5i", fold=0, limit=6, device="cpu")
        for name in ("pacc", "miou_seen", "miou_unseen", "hiou"):
            assert (getattr(found.own, name) or np.nan) == pytest.approx(row[name] or np.nan, abs=0, nan_ok=True)
        assert found.protocol_hash == row["protocol_hash"]
        assert found.partial


def test_another_fold_says_what_was_labelled(made) -> None:
    """Fails when weights are scored on another fold without a word about the classes they were taught."""
    root, frame = made
    (run,) = frame[frame["method"] == "zegclip"]["run"]
    found = harness.evaluate(harness.load(root / run), "shapes-5i", fold=1, limit=2, device="cpu")
    assert "labelled in its training" in found.contamination


def test_segmenting_is_what_predict_writes(made, tmp_path: Path) -> None:
    """Fails when `segment` gives other classes than `predict` for the same image, from a file, an array or Pillow."""
    root, frame = made
    (run,) = frame[frame["method"] == "zegclip"]["run"]
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    (tmp_path / "photos").mkdir()
    picture.save(tmp_path / "photos" / "one.png")
    out, words = tmp_path / "said", ["star", "key", "umbrella"]
    command = ["predict", "--run", str(root / run), "--images", str(tmp_path / "photos"), "--device", "cpu"]
    assert harness.main([*command, "--classes", ",".join(words), "--out", str(out)]) == 0
    written = np.asarray(Image.open(out / "index" / "one.png"))
    method = harness.load(root / run)
    for image in (tmp_path / "photos" / "one.png", picture, np.asarray(picture)):
        np.testing.assert_array_equal(harness.segment(method, image, words, device="cpu"), written)
    with pytest.raises(UserError, match="no known scale"):
        harness.segment(method, Image.new("F", (4, 4)))
    with pytest.raises(UserError, match="classes: star stands there twice"):
        harness.segment(method, picture, ["star", "key", "star"], device="cpu")
    for empty in (np.zeros((4, 4)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(UserError, match=r"\(H, W, 3\) uint8"):
            harness.segment(method, empty)
    with pytest.raises(UserError, match=r"got the text 'star, key'; write \['star', 'key'\]"):
        harness.segment(method, picture, "star, key")  # eight letters, each of which would be a class
    with pytest.raises(UserError, match="star: one class alone is said of every pixel"):
        harness.segment(method, picture, ["star"])
    for below in (float("nan"), float("inf")):
        with pytest.raises(UserError, match="expected a finite score"):
            harness.segment(method, picture, words, background_below=below, device="cpu")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seeds": [2**63]}, "a seed of 9223372036854775808"),
        ({"seeds": [-1]}, "a seed of -1"),
        ({"limit": 0}, "a limit"),
    ],
)
def test_numbers_that_no_run_can_have(tmp_path: Path, wrong, words) -> None:
    """Fails when a number that no option would take is planned with, or ends in a stack trace."""
    with pytest.raises(UserError, match=words):
        harness.run(["clip"], folds=[0], root=tmp_path, **wrong)


def test_tables_and_comparisons_are_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when Python gets another table or another difference than the command line prints."""
    tables = harness.tables(REFERENCE, methods=["clip", "zegclip"])
    assert harness.main(["tables", "--from", str(REFERENCE), "--methods", "clip", "zegclip", "--show", "main"]) == 0
    printed = capsys.readouterr().out
    assert tables
    assert all(table.markdown() in printed for table in tables)
    (compared, *_) = harness.compare("zegclip", "clip", root=REFERENCE, folds=[0, 1])
    command = ["compare", "zegclip", "clip", "--from", str(REFERENCE), "--folds", "0", "1"]
    assert harness.main(command) == 0
    assert compared.markdown() in capsys.readouterr().out


@pytest.mark.usefixtures("torch_as_it_was")
def test_a_shift_that_was_tuned_has_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when Python leaves a kind of table out that the command prints."""
    asked = ["--methods", "clip", "--limit", "2", "--runs", str(tmp_path), "--cluster", "debug", "--device", "cpu"]
    for part in ("val", "tune"):
        assert harness.main(["run", *asked, "--part", part]) == 0
    capsys.readouterr()
    (table,) = harness.tables(tmp_path, show=("calibrated",))
    assert harness.main(["tables", "--from", str(tmp_path), "--show", "calibrated"]) == 0
    assert table.markdown() in capsys.readouterr().out


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_metrics_are_those_of_counting_by_hand(data) -> None:
    """Fails when maps in memory are scored otherwise than by going through their pixels one by one."""
    classes = data.draw(st.integers(2, 5))
    seen = data.draw(st.lists(st.booleans(), min_size=classes, max_size=classes))
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    values = st.integers(0, classes - 1)
    size = shape[0] * shape[1]
    truths, predictions = [], []
    for _ in range(data.draw(st.integers(1, 3))):
        drawn = data.draw(st.lists(st.one_of(values, st.just(255)), min_size=size, max_size=size))
        truths.append(np.array(drawn).reshape(shape))
        predictions.append(np.array(data.draw(st.lists(values, min_size=size, max_size=size))).reshape(shape))
    found = harness.metrics(truths, predictions, seen=seen)
    pairs = [
        (int(t), int(p))
        for truth, said in zip(truths, predictions, strict=True)
        for t, p in zip(truth.flat, said.flat, strict=True)
        if t != 255
    ]
    for c in range(classes):
        hit = sum(t == p == c for t, p in pairs)
        union = sum(c in pair for pair in pairs)
        assert found.iou[c] == pytest.approx(hit / union if union else np.nan, nan_ok=True)
    if pairs:
        assert found.pacc == pytest.approx(sum(t == p for t, p in pairs) / len(pairs))


@pytest.mark.parametrize(
    ("truth", "prediction", "words"),
    [
        ([[0, 1]], [[0], [1]], "map 0 is"),
        ([[0, 9]], [[0, 1]], r"the truth holds \[9\]"),
        ([[0, 1]], [[0, 255]], r"the prediction holds \[255\]"),
        ([[0.5, 1.0]], [[0, 1]], "of integers"),
        ([[0, 1], [0]], [[0, 1], [0]], "the truth is .* got rows of several lengths"),
        ([[[0, 1]]], [[[0, 1], [0]]], "the prediction is .* got rows of several lengths"),
    ],
)
def test_maps_that_are_none_are_refused(truth, prediction, words) -> None:
    """Fails when sizes that do not fit, or indices that are no class, give a number."""
    with pytest.raises(UserError, match=words):
        harness.metrics(truth, prediction, seen=[True, False])


@pytest.mark.parametrize("seen", [[], [0, 1], [1.0, 0.0], ["yes", "no"], [[True, False]], True, 2, [[True], []]])
def test_flags_that_are_none_are_refused(seen) -> None:
    """Fails when indices of the seen classes, say, are taken for flags, which gives other means."""
    with pytest.raises(UserError, match="`seen` is True or False for each class"):
        harness.metrics([[0, 1]], [[0, 1]], seen=seen)
    assert harness.metrics([[0, 1]], [[0, 1]], seen=np.array([True, False])).hiou == 1


def test_a_fold_without_records_is_named() -> None:
    """Fails when a comparison on a fold that nothing was scored on ends in a stack trace, or in all folds."""
    with pytest.raises(UserError, match=r"--folds 7: no record is of that fold; there are: 0-3"):
        harness.compare("zegclip", "clip", root=REFERENCE, folds=[7])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: harness.tables(REFERENCE, show="main"), "show is a list, got 'main'; write ['main']"),
        (lambda: harness.tables(REFERENCE, show=["mian"]), "show: there is no 'mian'; did you mean main"),
        (lambda: harness.tables(REFERENCE, by="folds"), "by: there is no 'folds'; did you mean fold"),
        (lambda: harness.tables(REFERENCE, methods="clip"), "methods is a list, got 'clip'"),
        (lambda: harness.records(REFERENCE, benchmarks="shapes-5i"), "benchmarks is a list"),
        (lambda: harness.compare("clip", "zegclip", root=REFERENCE, folds=0), "folds is a list, got 0; write [0]"),
        (lambda: harness.run("clip", root="runs"), "methods is a list, got 'clip'"),
        (lambda: harness.run(["clip"], folds=0, root="runs"), "folds is a list, got 0"),
        (lambda: harness.run(["clip"], seeds=[0.5], root="runs"), "seeds holds 0.5; expected whole numbers"),
        (lambda: harness.run(["clip"], seeds=[True], root="runs"), "seeds holds True"),
        (lambda: harness.run(["clip"], settings="recipe.lr=1", root="runs"), "settings is a list"),
        (lambda: harness.load("clip", method_files="mine.py"), "method_files is a list"),
    ],
)
def test_a_text_or_a_number_is_no_list(tmp_path: Path, monkeypatch, call, words) -> None:
    """Fails when letters pass for names, an unknown kind of table is no table at all, or a stack trace answers."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(words)):
        call()
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_numbers() -> None:
    """Fails when folds that an array holds are refused, or taken for others."""
    by_list, by_array = (
        harness.compare("zegclip", "clip", root=REFERENCE, folds=folds) for folds in ([0, 2], np.array([0, 2]))
    )
    assert [table.markdown() for table in by_list] == [table.markdown() for table in by_array]
