"""The command line from end to end, as a person uses it: in processes of its own, on the built-in world."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from methods.zegclip.released import released_name
from results.store.folders import find_records
from results.store.record import RunRecord

PROJECT = Path(__file__).resolve().parent.parent
PHOTOS = PROJECT.parent / "shared" / "data" / "voc-mini"
COCO = PROJECT.parent / "shared" / "data" / "coco-mini"
ALL = ("constant", "random", "clip", "zegclip-baseline", "zegclip", "clipteacher", "clip-to-seg", "chimera-seg")
SMALL = ("--limit", "12", "--folds", "0")


def harness(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One call of the harness, to its end."""
    command = [sys.executable, str(PROJECT / "harness.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=cwd, env=_environment())


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """One call of the harness, left running in a process group of its own."""
    command = [sys.executable, str(PROJECT / "harness.py"), *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        start_new_session=True,
        preexec_fn=_hear_interrupts,
    )


def _hear_interrupts() -> None:
    """A shell that starts the tests with & has them, and what they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "ZSS_DATA_ROOT"} | {"OMP_NUM_THREADS": "1"}


def records(root: Path) -> dict[str, RunRecord]:
    found = {}
    for record in find_records(root):
        assert isinstance(record, RunRecord), record
        train = record.result.train
        found[f"{train.method} {train.fold} {train.seed} {record.result.evaluation.key}"] = record
    return found


def wait_for(condition, process: subprocess.Popen[str], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """All methods, one fold, cut short: where they lie, and what was printed."""
    root = tmp_path_factory.mktemp("runs")
    done = harness("--methods", "all", *SMALL, "--runs", root, "--jobs", "1", cwd=root)
    assert done.returncode == 0, done.stderr
    return root, done.stdout


def test_all_methods_reach_the_table(finished: tuple[Path, str]) -> None:
    """Fails when a method of the comparison is not run, not scored or not tabulated, or a trial run is not marked."""
    root, printed = finished
    assert {r.result.train.method for r in records(root).values()} == set(ALL)
    table = [line for line in printed.splitlines() if line.startswith("| ")]
    assert all(any(name in line and "†" in line for line in table) for name in ALL)
    assert "8 runs: 8 done" in printed


def test_a_finished_grid_is_only_printed(finished: tuple[Path, str]) -> None:
    """Fails when a finished run is made again, or its table is printed differently."""
    root, printed = finished
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    again = harness("--methods", "all", *SMALL, "--runs", root, "--device", "cpu")
    assert again.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()} == before
    assert again.stdout[again.stdout.index("**") :] == printed[printed.index("**") :]


def test_records_do_not_depend_on_jobs_or_folder(finished: tuple[Path, str], tmp_path: Path) -> None:
    """Fails when something shared between processes, the time or the place of a run gets into its result."""
    root, _ = finished
    assert harness("--methods", "all", *SMALL, "--runs", tmp_path, "--jobs", "2").returncode == 0
    first, second = records(root), records(tmp_path)
    assert first.keys() == second.keys()
    for key, record in first.items():
        assert record.result.digest() == second[key].result.digest(), key


def test_status_and_tables_of_what_is_there(finished: tuple[Path, str]) -> None:
    """Fails when stored runs are not found again by the commands that only look."""
    root, _ = finished
    status = harness("status", *SMALL, "--runs", root)
    assert "8 runs: 8 done" in status.stdout
    tables = harness("tables", "--from", root, "--by", "fold", "--methods", "zegclip")
    assert "zegclip" in tables.stdout
    assert "constant" not in tables.stdout
    assert harness("tables", "--from", root, "--format", "csv", "--show", "main").stdout.count("\n") > len(ALL)


def test_eval_scores_again_without_training(finished: tuple[Path, str]) -> None:
    """Fails when another evaluation side trains again, or overwrites the first one's record."""
    root, _ = finished
    weights = next((root / "shapes-5i" / "zegclip").glob("*/model.safetensors"))
    before = weights.stat().st_mtime_ns
    done = harness("eval", "--methods", "zegclip", *SMALL, "--flips", "--runs", root)
    assert done.returncode == 0, done.stderr
    assert weights.stat().st_mtime_ns == before
    mine = [r for r in records(root).values() if r.result.train.method == "zegclip"]
    assert sorted(r.result.evaluation.side.inference.flips for r in mine) == [False, True]
    assert len({r.result.weights_sha256 for r in mine}) == 1
    assert len({r.result.protocol_hash for r in mine}) == 2


def test_eval_refuses_what_was_never_trained(tmp_path: Path) -> None:
    """Fails when `eval` quietly trains, or scores initial weights."""
    done = harness("eval", "--methods", "constant", *SMALL, "--runs", tmp_path)
    assert done.returncode == 2
    assert "no finished weights" in done.stderr
    assert not list(tmp_path.iterdir())


def test_pictures_are_drawn_from_finished_runs(finished: tuple[Path, str], tmp_path: Path) -> None:
    """Fails when finished weights cannot be loaded and asked again."""
    root, _ = finished
    done = harness(
        "picture", "--methods", "clip", "zegclip", *SMALL, "--runs", root, "--out", tmp_path, "--images", "2"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shapes-5i-fold0-seed0.png").read_bytes().startswith(b"\x89PNG")


def test_pseudo_masks_are_drawn_without_a_run(tmp_path: Path) -> None:
    """Fails when mining cannot be looked at, or a method without it ends in a stack trace."""
    small = ["--folds", "0", "--out", tmp_path, "--images", "2", "--pseudo-masks"]
    done = harness("picture", "--methods", "clip-to-seg", *small)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pseudo-shapes-5i-clip-to-seg-fold0-seed0.png").read_bytes().startswith(b"\x89PNG")
    refused = harness("picture", "--methods", "zegclip", *small)
    assert refused.returncode == 2
    assert "zegclip mines no pseudo masks; choose clip-to-seg or clipteacher" in refused.stderr


def released(weights: Path, folder: Path) -> Path:
    """The same weights as the released code stores them: its names, wrapped, with tensors that are never read."""
    state = {released_name(name, 3): value.clone() for name, value in load_file(weights).items()}
    state |= {f"decode_head.decoder_1.layers.{i}.norm1.weight": torch.ones(64) for i in range(3)}
    torch.save({"meta": {"iter": 300}, "state_dict": state}, folder / "released.pth")
    return folder / "released.pth"


@pytest.mark.parametrize("form", ["ours", "released"])
def test_weights_of_a_finished_run_score_the_same(form: str, finished: tuple[Path, str], tmp_path: Path) -> None:
    """Fails when weights brought in by --weights, in either form, score differently or pass for a training."""
    root, _ = finished
    weights = next((root / "shapes-5i" / "zegclip").glob("*/model.safetensors"))
    given = weights if form == "ours" else released(weights, tmp_path)
    done = harness("--methods", "zegclip", *SMALL, "--weights", given, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    mark = "" if form == "ours" else ", training unknown"  # the released form has no card
    assert f"zegclip (imported weights{mark})" in done.stdout
    (record,) = records(tmp_path / "runs").values()
    (first,) = [
        r
        for r in records(root).values()
        if r.result.train.method == "zegclip" and r.result.evaluation.digest() == record.result.evaluation.digest()
    ]
    assert record.result.own == first.result.own
    assert record.result.confusion_sha256 == first.result.confusion_sha256
    assert record.result.train.recipe.iterations == 0


def test_other_templates_are_told(tmp_path: Path) -> None:
    """Fails when --templates does not reach the text encoder, or a table does not tell which were used."""
    args = ("--methods", "clip", *SMALL, "--runs", tmp_path)
    assert "6 text templates" in harness(*args).stdout
    assert "15 text templates" in harness(*args, "--templates", "multi").stdout
    shapes, multi = records(tmp_path).values()
    assert shapes.result.own != multi.result.own


@pytest.mark.parametrize("setting", ["transductive", "transductive-known-extent", "fully-supervised"])
def test_other_settings_name_themselves(setting: str, tmp_path: Path) -> None:
    """Fails when a setting other than the inductive one cannot be run, or a table does not name it."""
    args = ("--methods", "constant", "zegclip", *SMALL, "--runs", tmp_path, "--jobs", "2")
    done = harness(*args, "--setting", setting)
    assert done.returncode == 0, done.stderr
    assert f"generalised, {setting}" in done.stdout


LONG = ("--methods", "zegclip", "--folds", "1", "--limit", "60", "--jobs", "1")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a run that nothing happened to."""
    root = tmp_path_factory.mktemp("undisturbed")
    assert harness(*LONG, "--runs", root).returncode == 0
    (record,) = records(root).values()
    return record.result.digest()


def _reached(root: Path, step: int) -> bool:
    return any(int(p.stem.split("-")[1]) >= step for p in root.rglob("checkpoint-*.pt"))


def test_killed_in_training_goes_on_to_the_same_record(tmp_path: Path, undisturbed: str) -> None:
    """Fails when a run whose every process was killed cannot be gone on with, or ends with other numbers."""
    process = start(*LONG, "--runs", tmp_path)
    wait_for(lambda: _reached(tmp_path, 18), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "interrupted" in harness("status", *LONG[:-2], "--runs", tmp_path).stdout
    done = harness(*LONG, "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    (record,) = records(tmp_path).values()
    assert record.result.digest() == undisturbed
    assert record.provenance.scoring.attempts == 2


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted_by_a_person_goes_on_to_the_same_record(times: int, tmp_path: Path, undisturbed: str) -> None:
    """Fails when Ctrl-C, once or in haste, loses the steps made, counts as a failure, or does not say how to go on."""
    process = start(*LONG, "--runs", tmp_path)
    wait_for(lambda: _reached(tmp_path, 6), process)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "to go on: python" in said
    (state,) = tmp_path.glob("shapes-5i/*/*/state.json")
    assert json.loads(state.read_text())["state"] == "interrupted"
    assert harness(*LONG, "--runs", tmp_path).returncode == 0
    (record,) = records(tmp_path).values()
    assert record.result.digest() == undisturbed


def test_two_harnesses_make_each_run_once(tmp_path: Path) -> None:
    """Fails when two harnesses over one folder both make a run, or one gives up what the other is at."""
    grid = ("--methods", "constant", "random", "--limit", "12", "--runs", tmp_path)
    both = [start(*grid), start(*grid)]
    for process in both:
        out, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert "8 runs: 8 done" in out
    attempts = [r.provenance.scoring.attempts for r in records(tmp_path).values()]
    assert attempts == [1] * 8


def test_a_corrupt_record_is_told_and_made_again(finished: tuple[Path, str], tmp_path: Path) -> None:
    """Fails when a damaged record stops everything, is used, or cannot be mended by running again."""
    args = ("--methods", "random", *SMALL, "--runs", tmp_path)
    assert harness(*args).returncode == 0
    (path,) = tmp_path.rglob("record.json")
    path.write_text(path.read_text()[:-200])
    status = harness("status", *args)
    assert "cannot be read as JSON" in status.stdout
    assert harness(*args).returncode == 1
    assert harness(*args, "--retry").returncode == 0
    assert len(records(tmp_path)) == 1


def test_a_corrupt_checkpoint_falls_back_to_the_one_before(tmp_path: Path, undisturbed: str) -> None:
    """Fails when a damaged checkpoint ends the run or is gone on from."""
    process = start(*LONG, "--runs", tmp_path)
    wait_for(lambda: _reached(tmp_path, 18), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    newest = max(tmp_path.rglob("checkpoint-*.pt"), key=lambda p: int(p.stem.split("-")[1]))
    newest.write_bytes(newest.read_bytes()[:-100])
    assert harness(*LONG, "--runs", tmp_path).returncode == 0
    (record,) = records(tmp_path).values()
    assert record.result.digest() == undisturbed


def test_a_slip_ends_in_one_line(tmp_path: Path) -> None:
    """Fails when a process of its own answers a slip otherwise than `tests/test_mistakes.py` sees it, within one."""
    done = harness("--methods", "zegclop", "--runs", tmp_path / "runs")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "did you mean zegclip" in done.stderr


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the real photos are not here")
def test_real_photos_train_and_score(tmp_path: Path) -> None:
    """Fails when the official layout of VOC 2012 cannot be run, or the table hides whose CLIP made it."""
    real = ("--benchmarks", "pascal-5i", "--data-root", PHOTOS, "--subset")
    small = ("--folds", "3", "--limit", "4", "--set", "recipe.batch=4")
    done = harness("--methods", "all", *real, *small, "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mean nothing on photos" in done.stderr
    assert {r.result.train.method for r in records(tmp_path).values()} == set(ALL)
    assert all(r.result.partial for r in records(tmp_path).values())


@pytest.mark.skipif(not COCO.is_dir(), reason="the real photos are not here")
def test_coco_trains_and_scores_under_every_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when COCO cannot be run, a choice does not reach the record, or background is not scored."""
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    real = (
        "--benchmarks",
        "coco-20i",
        "--year",
        "2017",
        "--data-root",
        COCO,
        "--subset",
        "--folds",
        "1",
        "--limit",
        "2",
    )
    runs = ("--methods", "zegclip", "--runs", tmp_path / "runs")
    choices = ("--training-images", "drop", "--crop-decision", "full", "--border", "unlabelled")
    done = harness("run", *runs, *real, *choices)
    assert done.returncode == 0, done.stderr
    assert "images with unseen classes dropped" in done.stdout
    scored = harness("eval", *runs, *real, *choices, "--background", "class", "--background-below", "0.5")
    assert scored.returncode == 0, scored.stderr
    assert "background is a seen class (best score below 0.5)" in scored.stdout
    found = [r.result for r in records(tmp_path / "runs").values()]
    assert len(found) == 2
    for result in found:
        side = result.train.side
        assert (side.data.dataset, side.data.year, side.data.partial) == ("coco", "2017", True)
        assert (side.training_images, side.crop_decision, side.border) == ("drop", "full", "unlabelled")
    with_background = [r for r in found if r.evaluation.side.background == "class"]
    assert [len(r.classes) for r in with_background] == [81]
    assert all(r.classes[80].name == "background" and r.classes[80].seen for r in with_background)
    assert all(r.classes[80].tp + r.classes[80].fn > r.labelled_pixels / 4 for r in with_background)
    assert {r.ignored_pixels for r in with_background} == {0}
    assert len({r.protocol_hash for r in found}) == 2


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the real photos are not here")
def test_tuning_sees_nothing_of_the_tested_classes(tmp_path: Path) -> None:
    """Fails when the tune split of real photos cannot be run, or asks about a class that its fold is tested on."""
    real = ("--benchmarks", "pascal-5i-tune", "--data-root", PHOTOS, "--subset", "--folds", "3", "--limit", "3")
    done = harness("run", "--methods", "constant", *real, "--runs", tmp_path, "--class-names", "renamed")
    assert done.returncode == 0, done.stderr
    assert "For choosing constants, no result" in done.stdout
    (found,) = (r.result for r in records(tmp_path).values())
    names = [c.name for c in found.classes]
    assert len(names) == 15
    assert not {"pottedplant", "sheep", "sofa", "train", "tvmonitor"} & set(names)
    assert "airplane" in found.train.side.queries.texts


def test_debug_runs_in_this_process_without_a_debugger(tmp_path: Path) -> None:
    """Fails when debug starts processes, opens a debugger at a failing run, or makes another record than local."""
    bad = harness(
        "--methods", "clip", "zegclip", *SMALL, "--runs", tmp_path, "--cluster", "debug", "--set", "recipe.lr=1e30"
    )
    assert bad.returncode == 1
    assert "Pdb" not in bad.stdout + bad.stderr
    assert "2 runs: 1 done, 1 failed" in bad.stdout
    assert not (tmp_path / ".jobs").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--time", "1:00:00"),
        ("--detach",),
        ("--cluster", "slurm", "--jobs", "2"),
        ("--cluster", "debug", "--gpus", "1"),
        ("--methods", "zegclip", "--ranks", "2", "--nodes", "2"),
    ],
)
def test_options_of_another_executor_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Fails when an option that the chosen executor does not obey is silently ignored."""
    done = harness("--methods", "random", *SMALL, "--runs", tmp_path, *arguments)
    assert done.returncode == 2
    assert "belongs to --cluster" in done.stderr
