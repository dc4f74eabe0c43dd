"""Predictions of other systems on their way to a table, on a data set of three photos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
import harness
from tests.unregister import forget_data_sets

CLASSES = ["cow", "sheep", "dog"]


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A quarter of each mask is a class, ids 1 to 3, the rest is background; forgotten afterwards."""
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("t0", "v0", "v1"):
        Image.new("RGB", (32, 32), (90, 60, 30)).save(tmp_path / f"photos/{name}.png")
        Image.fromarray(truth()).save(tmp_path / f"masks/{name}.png")
    (tmp_path / "train.txt").write_text("t0")
    (tmp_path / "val.txt").write_text("v0\nv1")
    (tmp_path / "farm.toml").write_text(
        'name = "farm"\nimages = "photos"\nmasks = "masks"\ntrain = "train.txt"\nval = "val.txt"\n'
        f"classes = {json.dumps(CLASSES)}\nunseen = ['dog']\nbackground = 0\nignore = 255\n"
    )
    yield tmp_path
    forget_data_sets()


def truth() -> np.ndarray:
    mask = np.zeros((32, 32), np.uint8)
    mask[:16, :16], mask[:16, 16:], mask[16:, :16] = 1, 2, 3
    return mask


def scored(farm: Path, indices: np.ndarray, name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `score` prints of predictions that are these indices for every image."""
    said = farm / name
    said.mkdir()
    (said / "classes.json").write_text(json.dumps(CLASSES))
    for image in ("v0", "v1"):
        Image.fromarray(indices.astype(np.uint8)).save(said / f"{image}.png")
    words = ("--benchmarks", str(farm / "farm.toml"), "--folds", "0", "--runs", str(farm / "runs"))
    assert harness.main(["score", "--predictions", str(said), "--name", name, *words]) == 0
    return capsys.readouterr().out


def test_indices_that_are_one_too_high_are_named(farm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when predictions saved as index + 1 score 0 on every class without a word, or right ones are suspected.

    The last class is said nowhere, so that no index is out of range.
    """
    right = np.maximum(truth().astype(int), 1) - 1
    off = np.where(right == 2, 1, right + 1)
    printed = scored(farm, off, "off", capsys)
    assert "Below the floor: off (imported) fold 0 seed 0 has mIoU(S) 0.00" in printed
    assert "label offset? the class indices look 1 too high: read as index - 1, mIoU(S) would be 75.00." in printed
    assert "Below the floor" not in scored(farm, right, "right", capsys)


def test_one_class_said_everywhere_is_no_offset(farm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a rare class said of every pixel is called a label offset: shifted it would be the floor itself."""
    for name in ("v0", "v1"):
        Image.fromarray(np.where(np.indices((32, 32))[0] < 9, 1, 2).astype(np.uint8)).save(farm / f"masks/{name}.png")
    printed = scored(farm, np.zeros((32, 32)), "nothing", capsys)
    assert "Below the floor: nothing (imported)" in printed
    assert "label offset?" not in printed
    assert "another order of the classes" in printed


def test_own_files_beside_those_of_predict(farm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when predictions of one's own in the folder of `predict --out` are passed over and `index` is scored.

    What `predict` writes beside `index` is none of them.
    """
    for made in ("index", "overlays"):
        (farm / "said" / made).mkdir(parents=True)
        for image in ("v0", "v1"):
            Image.fromarray(np.zeros((32, 32), np.uint8)).save(farm / f"said/{made}/{image}.png")
    (farm / "said/classes.json").write_text(json.dumps(CLASSES))
    Image.new("RGB", (8, 8)).save(farm / "said/sheet.png")
    words = ("--benchmarks", str(farm / "farm.toml"), "--folds", "0", "--runs", str(farm / "runs"))
    command = ["score", "--predictions", str(farm / "said"), "--name", "mine", *words]
    assert harness.main(command) == 0
    Image.fromarray(np.maximum(truth(), 1) - 1).save(farm / "said/v0.png")
    assert harness.main(command) == 2
    assert "holds predictions, first v0.png, beside those of `predict` in index" in capsys.readouterr().err


def test_predict_tells_what_a_record_would(farm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when `predict` on the images of a data set leaves out the warnings of `run` on its names and masks."""
    text = (farm / "farm.toml").read_text()
    (farm / "farm.toml").write_text(text.replace('"cow"', '"brown_cow"').replace("ignore = 255", ""))
    mask = truth()
    mask[-1, -1] = 255
    Image.fromarray(mask).save(farm / "masks/v0.png")
    words = ("--benchmarks", str(farm / "farm.toml"), "--folds", "0", "--clip", "tiny-shapes/builtin")
    assert harness.main(["predict", "--methods", "clip", *words, "--out", str(farm / "out"), "--limit", "1"]) == 0
    printed = capsys.readouterr().out
    assert "warning: CLIP reads the underscore as a sign of its own in 'brown_cow'" in printed
    assert "is ignored as nobody named it" in printed
