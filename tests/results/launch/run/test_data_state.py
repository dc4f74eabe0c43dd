"""Runs know the files they were made of; what forbids numbers is found before a run is made, by every command."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
import harness
from benchmarks.training.checkpoint import BadCheckpoint, Checkpoints
from results.store.folders import find_records
from results.store.record import RunRecord
from splits.errors import UserError
from tests.unregister import forget_data_sets

CLASSES = ["cow", "sheep", "dog"]
NAMES = [f"img{n}" for n in range(6)]
BOXES = ((2, 3, 18, 22), (10, 30, 30, 60), (32, 5, 46, 40))


@pytest.fixture
def farm(tmp_path, monkeypatch):
    """Six photos of three rectangles each and their masks; the data set is forgotten afterwards."""
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    yield write(tmp_path / "farm")
    forget_data_sets()


def mask(ids=(1, 2, 3)) -> np.ndarray:
    found = np.zeros((48, 64), np.uint8)
    for id_, (top, left, bottom, right) in zip(ids, BOXES, strict=True):
        found[top:bottom, left:right] = id_
    return found


def write(folder: Path) -> Path:
    for kind in ("photos", "masks"):
        (folder / kind).mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(draw.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / f"photos/{name}.png")
        Image.fromarray(mask()).save(folder / f"masks/{name}.png")
    (folder / "train.txt").write_text("\n".join(NAMES[:3]))
    (folder / "val.txt").write_text("\n".join(NAMES[3:]))
    (folder / "farm.toml").write_text(
        'name = "farm"\nimages = "photos"\nmasks = "masks"\ntrain = "train.txt"\nval = "val.txt"\n'
        f"classes = {json.dumps(CLASSES)}\nunseen = ['dog']\nbackground = 0\nignore = 255\n"
    )
    return folder


def run(folder: Path, *words: str, command: str = "run") -> int:
    where = [] if command == "tables" else ["--benchmarks", str(folder / "farm.toml")]
    runs = ["--from" if command == "tables" else "--runs", str(folder.parent / "runs")]
    methods = ["--methods", "constant"] if command in ("run", "eval", "status") else []
    debug = ["--cluster", "debug"] if command in ("run", "eval") else []
    return harness.main([command, *where, *methods, *runs, *debug, *words])


def records(folder: Path) -> list[RunRecord]:
    found = list(find_records(folder.parent / "runs"))
    assert all(isinstance(record, RunRecord) for record in found), found
    return found


def relabel(folder: Path, names=NAMES[3:]) -> None:
    """Correct masks in place: what was called cow is sheep, and the other way round."""
    for name in names:
        Image.fromarray(mask((2, 1, 3))).save(folder / f"masks/{name}.png")


def test_a_run_of_changed_masks_is_stale(farm, capsys):
    """Fails when corrected masks leave the old numbers standing as done, or --stale makes them of the old masks."""
    assert run(farm) == 0
    (first,) = records(farm)
    assert len(first.result.eval_data_sha256) == len(first.result.train_data_sha256) == 64
    relabel(farm)
    capsys.readouterr()
    run(farm)
    shown = capsys.readouterr()
    assert "1 runs: 1 stale" in shown.out
    assert "constant ‡" in shown.out
    assert "stale: the data have changed since (runs of constant: 1)" in shown.out
    assert "--stale makes them again" in shown.err
    run(farm, command="status")
    assert "stale  (the data have changed since)" in capsys.readouterr().out
    assert records(farm) == [first]
    run(farm, "--stale")
    (again,) = records(farm)
    assert again.result.eval_data_sha256 != first.result.eval_data_sha256
    assert again.result.train_data_sha256 == first.result.train_data_sha256
    assert again.result.classes[0].fn != first.result.classes[0].fn
    capsys.readouterr()
    run(farm)
    assert "1 runs: 1 done" in capsys.readouterr().out


def test_changed_training_photos_count_too(farm, capsys):
    """Fails when photos replaced under masks that stayed are not noticed."""
    run(farm)
    Image.new("RGB", (64, 48)).save(farm / "photos/img0.png")
    run(farm, "--dry-run")
    assert "the data have changed since" in capsys.readouterr().out


def test_a_copy_elsewhere(farm, tmp_path, capsys):
    """Fails when a data set of the same name elsewhere takes over records of other content, or none of its own."""
    run(farm)
    capsys.readouterr()
    copy = tmp_path / "copy"
    shutil.copytree(farm, copy)
    run(copy)
    assert "1 done" in capsys.readouterr().out
    relabel(copy)
    run(copy)
    assert "1 stale" in capsys.readouterr().out


def predictions(folder: Path, name: str, ids=(0, 1, 2)) -> list[str]:
    """Index PNGs of the val images; the options that score them."""
    said = folder.parent / name
    said.mkdir(exist_ok=True)
    for image in NAMES[3:]:
        Image.fromarray(mask(ids)).save(said / f"{image}.png")
    (said / "classes.json").write_text(json.dumps(CLASSES))
    return ["--predictions", str(said), "--name", "mine", "--folds", "0"]


def test_predictions_scored_again(farm, capsys):
    """Fails when other predictions under one name make both rows contradict, or the same on new masks are refused."""
    assert run(farm, *predictions(farm, "first"), command="score") == 0
    assert run(farm, *predictions(farm, "second", (1, 1, 1)), command="score") == 2
    assert "other predictions were scored under this name" in capsys.readouterr().err
    (before,) = records(farm)
    relabel(farm)
    assert run(farm, *predictions(farm, "first"), command="score") == 0
    (after,) = records(farm)
    assert before.result.own.pacc == 1
    assert after.result.own.pacc < 1


def test_tables_mark_what_is_of_older_data(farm, capsys):
    """Fails when a row of the old masks stands unmarked beside one of the new."""
    run(farm)
    relabel(farm)
    time.sleep(1.1)  # records know the second in which they were made
    run(farm, *predictions(farm, "first"), command="score")
    capsys.readouterr()
    run(farm, command="tables")
    shown = capsys.readouterr().out
    assert "| constant ‡" in shown
    assert "| mine (imported) |" in shown
    assert "stale: the data have changed since (runs of constant: 1)" in shown


def test_stored_numbers_of_files_that_are_gone(farm, capsys):
    """Fails when old numbers stand as done without a word although a photo of theirs is not there any more."""
    run(farm)
    (farm / "photos/img4.png").unlink()
    capsys.readouterr()
    assert run(farm) == 0
    shown = capsys.readouterr()
    assert "1 runs: 1 done" in shown.out
    assert "warning: farm: the stored numbers are of its files as they were; now farm val: 1 of 3 images" in shown.err


def test_two_data_sets_of_one_name(farm, tmp_path, capsys):
    """Fails when of two data sets of one name in one command the first is passed over."""
    other = write(tmp_path / "copy")
    both = [str(folder / "farm.toml") for folder in (farm, other)]
    assert harness.main(["run", "--methods", "constant", "--benchmarks", *both, "--dry-run"]) == 2
    assert "copy/farm.toml: two data sets are called farm; give one another `name`" in capsys.readouterr().err
    with pytest.raises(UserError, match="two data sets are called farm"):
        harness.run(["constant"], benchmarks=both)
    assert harness.main(["run", "--methods", "constant", "--benchmarks", both[0], both[0], "--dry-run"]) == 0


def test_photos_and_masks_in_one_folder(farm, capsys):
    """Fails when masks beside their photos are called pictures of no listed id."""
    for name in NAMES:
        Image.open(farm / f"photos/{name}.png").save(farm / f"masks/{name}.jpg")
    text = (farm / "farm.toml").read_text().replace('"photos"', '"masks/{id}.jpg"')
    (farm / "farm.toml").write_text(text)
    assert harness.main(["data", "verify", str(farm / "farm.toml")]) == 0
    assert "of no listed id" not in capsys.readouterr().out


def test_checkpoints_of_other_data(tmp_path):
    """Fails when a training goes on over data that have changed, or one of data that nobody knew is refused."""
    before = Checkpoints(tmp_path, "spec", lambda path, data: path.write_bytes(data) and None, "sources", "a" * 64)
    before.save(3, {})
    assert before.latest()[0]["step"] == 3
    with pytest.raises(BadCheckpoint, match="other data"):
        Checkpoints(tmp_path, "spec", before.write, "sources", "b" * 64).latest()
    assert Checkpoints(tmp_path, "spec", before.write, "sources").latest()[0]["step"] == 3


def shared(folder):
    (folder / "val.txt").write_text("\n".join(NAMES[2:]))


def palettes(folder):
    for name, order in (("img3", (1, 2, 3)), ("img4", (2, 1, 3))):
        picture = Image.fromarray(mask(order))
        colours = {0: (0, 0, 0), order[0]: (200, 0, 0), order[1]: (0, 200, 0), order[2]: (0, 0, 200)}
        picture.putpalette([value for index in range(4) for value in colours[index]])
        picture.save(folder / f"masks/{name}.png")


def sizes(folder):
    Image.new("L", (64, 47)).save(folder / "masks/img4.png")


def illegal(folder):
    Image.new("L", (64, 48), 9).save(folder / "masks/img4.png")


def turned(folder):
    tags = Image.Exif()
    tags[0x0112] = 3
    Image.open(folder / "photos/img4.png").save(folder / "photos/img4.png", exif=tags)


def twice(folder):
    Image.open(folder / "photos/img4.png").save(folder / "photos/img4.jpg")


def columns(folder):
    (folder / "val.txt").write_text("img3 1\nimg4 -1\nimg5 0\n")


def itself(farm: Path) -> None:
    toml = farm / "farm.toml"
    toml.write_text(toml.read_text().replace('images = "photos"', 'images = "masks"'))


FAULTS = {
    shared: "train and val share 1 images, first img2",
    palettes: "chosen by a program",
    sizes: "64x47 pixels and its image 64x48",
    illegal: "holds ids 9",
    turned: "EXIF orientation 3",
    twice: "are both of image img4",
    columns: "more than an image id",
    itself: "are equal, byte for byte",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_command_finds_what_verify_finds(farm, capsys, fault):
    """Fails when a fault that `data verify` names lets `run`, `score`, `eval` or `predict` make a number of it."""
    score = predictions(farm, "first")
    fault(farm)
    assert harness.main(["data", "verify", str(farm / "farm.toml")]) == 1
    assert FAULTS[fault] in capsys.readouterr().out
    out = ["--methods", "clip", "--folds", "0", "--out", str(farm.parent / "out")]
    for command, words in (("run", []), ("eval", []), ("score", score), ("predict", out)):
        assert run(farm, *words, command=command) == 2
        assert FAULTS[fault] in capsys.readouterr().err
    assert not list((farm.parent / "runs").glob("*/*/fold*/evals"))


def test_what_readers_must_know_stands_in_the_record(farm, capsys):
    """Fails when values that are ignored by default alone, or a class that no image has, are known to nobody."""
    text = (farm / "farm.toml").read_text().replace("ignore = 255\n", "")
    (farm / "farm.toml").write_text(text)
    for name in NAMES:
        Image.fromarray(np.where(mask() == 3, 255, mask()).astype(np.uint8)).save(farm / f"masks/{name}.png")
    assert harness.main(["data", "verify", str(farm / "farm.toml")]) == 1
    words = "no image of dog, and mask value 255"
    assert words in capsys.readouterr().out
    run(farm)
    shown = capsys.readouterr()
    assert words in shown.err
    assert f"- Warning: {words}" in shown.out
    (record,) = records(farm)
    assert record.result.warnings[0].startswith(words)
    run(farm, command="tables")
    assert f"- Warning: {words}" in capsys.readouterr().out
    found = harness.evaluate(harness.load("clip"), str(farm / "farm.toml"), device="cpu")
    assert found.warnings[0].startswith(words)


def test_a_class_that_one_part_lacks_stands_in_the_record(farm, capsys):
    """Fails when a class that is scored as seen was never labelled, or one is not scored, and nobody is told."""
    for name, lacking in (("img0", 2), ("img1", 2), ("img2", 2), ("img3", 3), ("img4", 3), ("img5", 3)):
        Image.fromarray(np.where(mask() == lacking, 0, mask()).astype(np.uint8)).save(farm / f"masks/{name}.png")
    run(farm)
    (record,) = records(farm)
    assert record.result.warnings == (
        "train: no image of sheep, so no training labels it",
        "val: no image of dog, so nothing shows whether it is found",
    )
    assert "- Warning: train: no image of sheep" in capsys.readouterr().out
    harness.main(["data", "verify", str(farm / "farm.toml")])
    assert "note: train: no image of sheep" in capsys.readouterr().out


def test_pictures_of_changed_data(farm, capsys):
    """Fails when a sheet is drawn of files that no number may be made of, or by old numbers without a word."""
    clip = ("--methods", "clip", "--folds", "0")
    run(farm, *clip)
    relabel(farm)
    capsys.readouterr()
    assert run(farm, *clip, "--out", str(farm.parent / "sheets"), command="picture") == 0
    assert "warning: clip farm fold 0 seed 0: the data have changed since it was scored" in capsys.readouterr().err
    sizes(farm)
    assert run(farm, *clip, "--out", str(farm.parent / "sheets"), command="picture") == 2
    assert FAULTS[sizes] in capsys.readouterr().err


def test_predictions_of_a_program_that_numbers_colours(farm, capsys):
    """Fails when predictions whose palettes differ, or which a lossy format changed, are scored."""
    score = predictions(farm, "first")
    for name, order in (("img3", (0, 1, 2)), ("img4", (1, 0, 2))):
        picture = Image.fromarray(mask(order))
        colours = dict(zip(order, ((200, 0, 0), (0, 200, 0), (0, 0, 200)), strict=True))
        picture.putpalette([value for index in range(3) for value in colours[index]])
        picture.save(farm.parent / f"first/{name}.png")
    assert run(farm, *score, command="score") == 2
    assert "chosen by a program" in capsys.readouterr().err
    predictions(farm, "first")
    Image.fromarray(mask((0, 1, 2))).save(farm.parent / "first/img4.png", format="JPEG")
    assert run(farm, *score, command="score") == 2
    assert "is a JPEG" in capsys.readouterr().err


def test_verify_names_every_fault_and_what_is_beside(farm, capsys):
    """Fails when one of several faults hides another, or files of no id are not counted."""
    for fault in (shared, palettes, turned):
        fault(farm)
    Image.new("L", (64, 48), 9).save(farm / "masks/img5.png")
    Image.fromarray(mask()).save(farm / "masks/img1.png", format="JPEG")
    for name in ("Thumbs.db", "._img0.png", "extra.png"):
        (farm / "photos" / name).write_bytes(b"x")
    assert harness.main(["data", "verify", str(farm / "farm.toml")]) == 1
    shown = capsys.readouterr().out
    words = ("share 1 images", "chosen by a program", "EXIF orientation 3", "holds ids 9", "img1.png is a JPEG")
    assert all(shown.count(word) == 1 for word in words), shown
    assert "farm: 5 problems" in shown
    assert "note: 1 pictures are of no listed id: extra.png" in shown
    assert "note: 2 other files are no pictures: ._img0.png, Thumbs.db" in shown


def test_verify_says_what_it_did_not_look_at(farm, capsys):
    """Fails when a part whose listing is broken seems to have been looked at, or its files are called unlisted."""
    Image.new("RGB", (64, 48)).save(farm / "photos/img5.jpg")
    Image.new("L", (64, 48), 9).save(farm / "masks/img4.png")
    assert harness.main(["data", "verify", str(farm / "farm.toml")]) == 1
    shown = capsys.readouterr().out
    assert "img5.jpg and" in shown
    assert "are both of image img5; leave one" in shown
    assert "val: its files were not looked at; mend its line above, then verify again" in shown
    assert "of no listed id" not in shown


def test_classes_that_are_one_prompt_are_not_predicted(farm, capsys):
    """Fails when `predict` answers for two names that CLIP reads alike."""
    words = ["--methods", "clip", "--images", str(farm / "photos"), "--out", str(farm.parent / "out")]
    assert harness.main(["predict", *words, "--classes", "dog, Dog"]) == 2
    assert "alike" in capsys.readouterr().err
    assert not (farm.parent / "out").exists()
