"""A run of a brought-along method keeps the method's file: nothing that asks its weights needs it again."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("torch")
import harness
from methods.registry import METHODS
from results.launch.plan.method_copies import DIGEST, FOLDER, kept_method
from results.store.folders import CorruptRecord, find_records
from tests.unregister import forget

pytestmark = pytest.mark.usefixtures("forgotten", "torch_as_it_was")

EXAMPLE = Path(__file__).parents[3] / "examples" / "adapter.py"
SMALL = ("--methods", "adapter", "--folds", "0", "--limit", "3", "--device", "cpu")
HERE = ("--cluster", "debug")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Runs with one of a method whose file is gone, and forgotten in this process."""
    file = Path(shutil.copy(EXAMPLE, tmp_path / "mine.py"))
    words = (
        "run",
        *SMALL,
        *HERE,
        "--set",
        "recipe.batch=2",
        "--method-file",
        str(file),
        "--runs",
        str(tmp_path / "runs"),
    )
    assert harness.main(words) == 0
    file.unlink()
    unknown()
    return tmp_path / "runs"


def unknown() -> None:
    forget(METHODS.keys() - {"adapter"}, ())


def run_in(root: Path) -> Path:
    (found,) = root.glob("*/adapter/*")
    return found


def test_the_weights_are_asked_without_the_file(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when `eval`, `predict` or `picture` of such a run wants its file, or scores with another."""
    key, runs = run_in(root).name.rpartition("-")[2], ("--runs", str(root))
    commands = (
        ("eval", "--run", key, "--limit", "3", "--device", "cpu", "--flips", *HERE),
        ("predict", "--run", key, "--benchmarks", "shapes-5i", "--limit", "2", "--out", str(tmp_path / "o")),
        ("picture", *SMALL[:6], "--set", "recipe.batch=2", "--images", "2", "--out", str(tmp_path / "p")),
    )
    for words in commands:
        unknown()
        code = harness.main([*words, *runs])
        printed = capsys.readouterr().err
        assert code == 0, printed
        assert f"note: adapter as kept in {run_in(root) / FOLDER / 'mine.py'}" in printed
    usual, flipped = sorted(find_records(root), key=lambda r: r.result.evaluation.side.inference.flips)
    assert usual.result.weights_sha256 == flipped.result.weights_sha256
    assert usual.provenance.sources_sha256 == flipped.provenance.sources_sha256


def test_a_copy_that_was_changed_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when other code than that of the run passes for it."""
    kept = kept_method(run_in(root))
    assert kept is not None
    assert kept.source == EXAMPLE.read_text()
    Path(kept.path).write_text(kept.source.replace("20.0", "10.0"))
    with pytest.raises(CorruptRecord, match="has changed since its run was made; give the method's file"):
        kept_method(run_in(root))
    assert harness.main(["predict", "--run", str(run_in(root)), "--images", str(root), "--out", "o"]) == 2
    assert "has changed since" in capsys.readouterr().err


def test_two_versions_are_no_choice_of_ours(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a method's name stands for whichever file is found first."""
    other = root / "shapes-5i/adapter/fold1-seed0-00000000"
    shutil.copytree(run_in(root), other)
    (other / FOLDER / "mine.py").write_text("METHODS = {}\n")
    digest = hashlib.sha256((other / FOLDER / "mine.py").read_bytes()).hexdigest()
    (other / FOLDER / f"mine.py{DIGEST}").write_text(f"{digest}  mine.py\n")
    assert harness.main(["status", *SMALL[:4], "--runs", str(root)]) == 2
    assert "hold 2 versions of mine.py; give the one you mean with --method-file" in capsys.readouterr().err


def test_a_method_that_fails_to_predict_is_told_by_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a fault of the user's file ends a command that makes no run in a stack trace."""
    file, whole = tmp_path / "mine.py", EXAMPLE.read_text()
    wrong = whole.replace("adapted = dense +", "adapted = [][3] +")
    wrong = wrong.replace("needs=", "trained=False, needs=").replace("        recipe={", "        # recipe={")
    file.write_text(wrong)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    line = next(n for n, text in enumerate(wrong.splitlines(), 1) if "[][3]" in text)
    words = ("predict", "--methods", "adapter", "--method-file", str(file), "--images", str(tmp_path / "a.png"))
    assert harness.main([*words, "--out", str(tmp_path / "o")]) == 2
    printed = capsys.readouterr().err
    assert f"error: {file} line {line}: IndexError: list index out of range" in printed
    assert "Traceback" not in printed


def test_a_method_that_fails_is_told_by_its_line_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails when a user's own fault is a stack trace of ours, or is held against the run once it is mended."""
    file, whole = tmp_path / "mine.py", EXAMPLE.read_text()
    line = next(n for n, text in enumerate(whole.splitlines(), 1) if "known = labels" in text)
    file.write_text(whole.replace("known = labels < FIRST_CODE", "known = labels < {}['codes']"))
    words = ("run", *SMALL, *HERE, "--set", "recipe.batch=2", "--method-file", str(file), "--runs", str(tmp_path / "r"))
    assert harness.main(words) == 1
    printed = capsys.readouterr().err
    assert f"failed: {file} line {line}: KeyError: 'codes'" in printed
    assert "Traceback" not in printed
    assert "--retry" not in printed
    unknown()
    file.write_text(whole)
    assert harness.main(words) == 0, capsys.readouterr().err
