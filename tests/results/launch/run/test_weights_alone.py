"""Finished weights need the scored part alone: a folder with val photos and no training image is enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import harness
from benchmarks.catalogue import Data, benchmark, source
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run.build import build, clip_of
from results.launch.run.weights import imported
from results.store.folders import Stored, find_stored
from splits.errors import DataError, UserError

pytestmark = pytest.mark.usefixtures("torch_as_it_was")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two val photos of VOC with masks, no other file."""
    folder = tmp_path / "root" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClassAug"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for id_ in (benchmark("pascal-5i").split.listed("val") or ())[:2]:
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(folder / f"JPEGImages/{id_}.jpg")
        mask = np.repeat(np.arange(20, dtype=np.uint8), 240).reshape(60, 80)
        Image.fromarray(mask).save(folder / f"SegmentationClassAug/{id_}.png")
    return tmp_path / "root"


def weights(folder: Path, root: Path, dtype: torch.dtype = torch.float32) -> Path:
    """What a training of ZegCLIP on VOC would leave, as it begins."""
    spec = plan(_request(root, "f" * 64))[0].train
    method = build(spec, clip_of(spec.clip), finished=True)
    path = folder / "model.safetensors"
    save_file({name: value.to(dtype).contiguous() for name, value in method.trained_state().items()}, path)
    return path


def _request(root: Path, sha256: str = "", **changes) -> Request:
    asked = {"methods": ("zegclip",), "benchmarks": ("pascal-5i",), "folds": (0,), "weights": sha256} | changes
    return Request(**asked, data=Data(root=str(root), subset=True))


def call(*words: str | Path) -> int:
    return harness.main([*map(str, words), "--device", "cpu", "--cluster", "debug"])


def test_run_and_eval_score_weights_on_val_photos_alone(root, tmp_path, capsys):
    """Fails if planning opens the train list of weights that are there already."""
    file = weights(tmp_path, root)
    common = ("--folds", "0", "--weights", file, "--data-root", root, "--subset", "--runs", tmp_path / "runs")
    assert call("run", "--methods", "zegclip", "--benchmarks", "pascal-5i", *common) == 0
    assert call("eval", "--methods", "zegclip", "--benchmarks", "pascal-5i", "--short-side", "64", *common) == 0
    assert call("run", "--methods", "zegclip", "--benchmarks", "pascal-5i", *common[:2], *common[4:]) == 2
    assert "are missing under" in capsys.readouterr().err
    records = [found.record.result for found in find_stored(tmp_path / "runs") if isinstance(found, Stored)]
    assert {result.images for result in records} == {2}
    assert {result.contamination for result in records} == {"unknown"}
    official = source(benchmark("pascal-5i"), "train", Data())
    assert {result.train.side.data.ids_sha256 for result in records} == {official.ids_sha256}


def test_what_trains_nothing_needs_no_training_image(root):
    """Fails if read-outs without training are refused for photos that they never read, or a training is not."""
    assert plan(_request(root, methods=("clip", "sclip")))
    with pytest.raises(DataError, match="missing under"):
        plan(_request(root, methods=("clip", "zegclip")))


def test_half_precision_is_said_as_often_as_weights_are_scored(root, tmp_path, capsys):
    """Fails if weights rounded to bfloat16 stand in a table as they were trained, also when they are scored again."""
    file = weights(tmp_path, root, torch.bfloat16)
    common = ("--folds", "0", "--weights", file, "--data-root", root, "--subset", "--runs", tmp_path / "runs")
    for size in ("64", "96"):
        size_and = ("--short-side", size, *common)
        assert (
            call("eval" if size == "96" else "run", "--methods", "zegclip", "--benchmarks", "pascal-5i", *size_and) == 0
        )
        assert "the imported weights are stored in bfloat16, rounded to 8 significant bits" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", [lambda value: value.to_sparse(), lambda value: value.to("meta")])
def test_tensors_that_are_not_plain_are_a_line(root, tmp_path, spoil):
    """Fails if sparse tensors, or tensors without values, end in the words of a library."""
    spec = plan(_request(root, "f" * 64))[0].train
    method = build(spec, clip_of(spec.clip), finished=True)
    path = tmp_path / "weights.pt"
    torch.save({name: spoil(value.detach()) for name, value in method.trained_state().items()}, path)
    with pytest.raises(UserError, match=r"weights\.pt: holds tensors that are sparse or without values; save them"):
        imported(method, path)
