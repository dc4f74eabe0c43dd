"""From pictures in an official layout to a record without unseen classes, its tables and its check."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from PIL import Image

import harness
from benchmarks.catalogue import Data
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run.job import Job
from results.store.confusion import counted
from results.store.folders import find_stored
from results.store.verify import problems
from results.tables.tables import build_tables
from splits.loader import read_list
from tests.results.launch.in_process import made, record_of


@pytest.fixture
def voc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two val images of VOC 2012, drawn: background, two objects, a border."""
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "VOCdevkit/VOC2012"
    for name in ("JPEGImages", "SegmentationClass"):
        (folder / name).mkdir(parents=True)
    for number, id_ in enumerate(read_list("voc2012_seg_val_1449")[:2]):
        picture = np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"JPEGImages/{id_}.jpg")
        mask = np.zeros((60, 80), np.uint8)
        mask[10:30, 10:40], mask[30:50, 40:70], mask[:2] = 12, 15, 255
        Image.fromarray(mask).save(folder / f"SegmentationClass/{id_}.png")
    return tmp_path


@pytest.mark.usefixtures("torch_as_it_was")
def test_a_record_of_every_class(voc: Path) -> None:
    """Fails when background is left out of mIoU, a shift is swept that cannot matter, or a record does not hold."""
    request = Request(methods=("clip",), benchmarks=("voc21",), data=Data(str(voc), subset=True))
    (run,) = plan(request)
    job = Job(run=run, root=voc / "runs", data=request.data)
    assert made(job)[0] == "done"
    record = record_of(job)
    own, ious = record.result.own, {c.name: c.iou for c in record.result.classes}
    defined = [iou for iou in ious.values() if iou is not None]
    assert own.miou == pytest.approx(fmean(defined), abs=1e-12)
    assert own.miou_foreground == pytest.approx(
        fmean(iou for name, iou in ious.items() if name != "background" and iou is not None), abs=1e-12
    )
    assert own.miou_seen == own.miou
    assert (own.miou_unseen, own.hiou) == (None, None)
    assert record.result.labelled_pixels == 2 * 58 * 80
    assert record.result.train.recipe.iterations == 0
    (stored,) = find_stored(voc / "runs")
    assert counted(stored.confusion, ("matrices",))["matrices"].shape == (1, 21, 21)
    assert list(problems([stored])) == []
    (table,) = [t for t in build_tables([record]) if t.name == "main"]
    assert [column.header for column in table.columns] == ["method", "mIoU", "pAcc", "seeds"]
    assert not any("undefined" in note for note in table.notes)


@pytest.mark.usefixtures("torch_as_it_was")
def test_scores_in_memory_are_those_of_the_record(voc: Path) -> None:
    """Fails when Python scores background and synonyms otherwise than the command that stores a record."""
    request = Request(methods=("clip",), benchmarks=("voc21",), data=Data(str(voc), subset=True))
    (run,) = plan(request)
    job = Job(run=run, root=voc / "runs", data=request.data)
    assert made(job)[0] == "done"
    method = harness.load("clip", root=voc / "runs")
    found = harness.evaluate(method, "voc21", data_root=voc, subset=True, device="cpu")
    stored = record_of(job).result
    assert [c.iou for c in found.classes] == [c.iou for c in stored.classes]
    assert found.own == stored.own
