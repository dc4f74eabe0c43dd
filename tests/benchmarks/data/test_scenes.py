"""The sets that open-vocabulary methods are scored on, in their official layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.data.coco import object_meaning
from benchmarks.data.datasets import expected_images, open_reader
from benchmarks.data.instances import RULE
from benchmarks.data.reader import Reader
from benchmarks.data.verify import verify_part
from benchmarks.data.whole_sets import prepare_set, verify_set
from benchmarks.labels import apply, evaluation_table
from splits.errors import DataError
from splits.loader import load_split, read_facts


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))


def put(image: Path, mask: Path, ids: np.ndarray) -> None:
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*ids.shape, 3), dtype=np.uint8)).save(image)
    Image.fromarray(ids).save(mask)


def opened(name: str, root: Path) -> Reader:
    return open_reader(load_split(name), "val", data_root=root, subset=True)


def named(name: str, reader: Reader) -> list[list[str | None]]:
    """The classes of the first mask by name, None where a pixel counts nowhere."""
    split = load_split(name)
    truth = apply(evaluation_table(split), reader.read(0).mask)
    return [[split.classes[c] if c < len(split.classes) else None for c in row] for row in truth]


def test_ade(tmp_path: Path) -> None:
    """Fails when ADE20K's 0 is a class, or its classes are shifted by one."""
    folder = tmp_path / "ADEChallengeData2016"
    put(
        folder / "images/validation/ADE_val_1.jpg",
        folder / "annotations/validation/ADE_val_1.png",
        np.array([[0, 1, 150]], np.uint8),
    )
    assert named("ade150", opened("ade150", tmp_path)) == [[None, "wall", "flag"]]


@pytest.mark.parametrize("made", [True, False])
def test_cityscapes(tmp_path: Path, made: bool) -> None:
    """Fails when label ids are taken for train ids, or the two kinds of files make two truths."""
    ids = np.array([[0, 18, 255, 13]] if made else [[7, 33, 4, 26]], np.uint8)
    name, kind = "frankfurt/frankfurt_000000_000294", "TrainIds" if made else "Ids"
    root = tmp_path / "cityscapes"
    put(root / f"leftImg8bit/val/{name}_leftImg8bit.png", root / f"gtFine/val/{name}_gtFine_label{kind}.png", ids)
    reader = opened("cityscapes", tmp_path)
    assert reader.ids == (name,)
    assert named("cityscapes", reader) == [["road", "bicycle", None, "car"]]
    assert reader.mask_rule == "gtFine, train ids"


def test_more_pictures_than_the_part_has(tmp_path: Path) -> None:
    """Fails when pictures of another part or edition are scored with those of val, and the whole counts as official."""
    images, masks = tmp_path / "cityscapes/leftImg8bit/val/ulm", tmp_path / "cityscapes/gtFine/val/ulm"
    put(images / "0_leftImg8bit.png", masks / "0_gtFine_labelTrainIds.png", np.zeros((1, 2), np.uint8))
    for number in range(1, 501):
        (images / f"{number}_leftImg8bit.png").hardlink_to(images / "0_leftImg8bit.png")
        (masks / f"{number}_gtFine_labelTrainIds.png").hardlink_to(masks / "0_gtFine_labelTrainIds.png")
    with pytest.raises(DataError, match=r"cityscapes: 501 images under .*, expected 500, each once"):
        open_reader(load_split("cityscapes"), "val", data_root=tmp_path)


@pytest.mark.parametrize(
    ("name", "folder", "image", "mask"),
    [
        ("ade847", "ADE20K_2021_17_01", "images_detectron2/validation", "annotations_detectron2/validation"),
        ("pc459", "VOCdevkit/VOC2010", "JPEGImages", "annotations_detectron2/pc459_val"),
    ],
)
def test_masks_of_16_bits(tmp_path: Path, name: str, folder: str, image: str, mask: str) -> None:
    """Fails when ids of 16 bits are cut, 65535 is a class, or class 255 is taken for ignored."""
    last = len(load_split(name).classes) - 1
    root = tmp_path / folder
    put(
        root / image / "2008_000001.jpg",
        root / mask / "2008_000001.tif",
        np.array([[0, 255, 256, last, 65535]], np.uint16),
    )
    if name == "pc459":
        (root / "ImageSets/SegmentationContext").mkdir(parents=True)
        (root / "ImageSets/SegmentationContext/val.txt").write_text("2008_000001\n")
    reader = opened(name, tmp_path)
    assert reader.read(0).mask.dtype == np.uint16
    classes = load_split(name).classes
    assert named(name, reader) == [[classes[0], classes[255], classes[256], classes[last], None]]
    report = verify_part(load_split(name), "val", data_root=tmp_path)
    assert not report.problems
    assert report.pixels[[0, 255, 256, last, 65535]].tolist() == [1] * 5
    assert report.pixels.sum() == 5
    put(root / image / "2008_000001.jpg", root / mask / "2008_000001.tif", np.array([[last + 1]], np.uint16))
    with pytest.raises(DataError, match=f"holds ids {last + 1}, expected 0..{last}, 65535"):
        opened(name, tmp_path).read(0)


def put_coco(root: Path, ending: str, ids: list[list[int]], maps: str = "annotations") -> None:
    name = "val2017/000000000139"
    put(root / f"coco/images/{name}.jpg", root / f"coco/{maps}/{name}{ending}.png", np.array(ids, np.uint8))


def test_coco_object_by_both_ways(tmp_path: Path) -> None:
    """Fails when the maps and what GroupViT's script makes of them give two truths, or unlabelled pixels are left out.

    Raw ids: person 0, bicycle 1, fire hydrant 10, stop sign 12, toothbrush 89, banner 91, unlabelled 255.
    """
    expected = [["person", "bicycle", "fire hydrant", "stop sign", "toothbrush", "background", "background"]]
    put_coco(tmp_path / "raw", "", [[0, 1, 10, 12, 89, 91, 255]])
    put_coco(tmp_path / "made", "_instanceTrainIds", [[1, 2, 11, 12, 80, 0, 0]])
    readers = [opened("coco-object", tmp_path / which) for which in ("raw", "made")]
    assert [named("coco-object", reader) for reader in readers] == [expected, expected]
    assert readers[0].mask_rule == readers[1].mask_rule
    assert readers[0].mask_rule != RULE


def test_ranks_of_things() -> None:
    """Fails when a thing that never occurs is counted among the ranks, or is taken for a class."""
    meaning = object_meaning()
    never = {int(id_) for id_ in read_facts("cocostuff_156_15")["never_annotated_raw182"]}
    assert sorted(v for v in meaning.values() if v) == list(range(1, 81))
    assert not never & meaning.keys()
    raw = read_facts("cocostuff_156_15")["raw182"]
    classes = load_split("coco-object").classes
    assert all(classes[rank] == raw[str(id_)] for id_, rank in meaning.items() if rank)


def test_stuff_of_files_that_were_made(tmp_path: Path) -> None:
    """Fails when mmsegmentation's ids in order are read as those of the maps, or both kinds of files as two images."""
    put_coco(tmp_path / "made", "_labelTrainIds", [[0, 11, 170, 255]])
    put_coco(tmp_path / "raw", "", [[0, 12, 181, 255]])
    put_coco(tmp_path / "both", "", [[0, 12, 181, 255]])
    put_coco(tmp_path / "both", "_labelTrainIds", [[0, 11, 170, 255]])
    found = [opened("coco-stuff", tmp_path / which) for which in ("made", "raw", "both")]
    assert [reader.ids for reader in found] == [("000000000139",)] * 3
    assert [named("coco-stuff", reader) for reader in found] == [[["person", "stop sign", "wood", None]]] * 3


def test_counts_and_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when part of a set passes for the whole, or nobody is told what to put where."""
    sizes = {"ade150": 2000, "cityscapes": 500, "ade847": 2000, "pc459": 5104, "pc60": 5104, "voc21": 1449}
    assert {name: expected_images(load_split(name), "val") for name in sizes} == sizes
    assert {expected_images(load_split(name), "val", "2017") for name in ("coco-object", "coco-stuff")} == {5000}
    folder = tmp_path / "ADEChallengeData2016"
    put(folder / "images/validation/a.jpg", folder / "annotations/validation/a.png", np.array([[0, 1, 150]], np.uint8))
    with pytest.raises(DataError, match="1999 of 2000 images or their masks are missing"):
        open_reader(load_split("ade150"), "val", data_root=tmp_path)
    with pytest.raises(DataError, match=r"no Cityscapes found; looked for .*gtFine/val; put there leftImg8bit"):
        opened("cityscapes", tmp_path)
    with pytest.raises(DataError, match="has no part 'train'"):
        open_reader(load_split("ade150"), "train", data_root=tmp_path)
    assert not verify_set("ade150", data_root=str(tmp_path), jobs=1)
    prepare_set("ade150", data_root=str(tmp_path), jobs=1, subset=True)
    said = capsys.readouterr().out
    assert "val: 1 of 2000 images are there" in said
    assert "train" not in said
    assert "1 images of 2000: partial, ready (ADEChallengeData2016)" in said
