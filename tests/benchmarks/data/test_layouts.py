"""COCO-Stuff and PASCAL-Context in their layouts, and readers that leave images out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.data.datasets import expected_images, open_reader
from benchmarks.data.folders import FolderReader
from benchmarks.data.limited import Limited, Without
from benchmarks.labels import apply, evaluation_table
from splits.errors import DataError
from splits.loader import load_split

STUFF, CONTEXT = load_split("coco-stuff-156-15"), load_split("context-50-10")


def put(image: Path, mask: Path, ids: np.ndarray) -> None:
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*ids.shape, 3), dtype=np.uint8)).save(image)
    Image.fromarray(ids).save(mask)


def stuff(root: Path, ids: np.ndarray, *, maps: str = "stuffthingmaps") -> Path:
    for number in (3, 8):
        name = f"val2017/{number:012d}"
        put(root / f"coco/{name}.jpg", root / f"coco/{maps}/{name}.png", ids)
    return root


@pytest.mark.parametrize("maps", ["stuffthingmaps", "annotations"])
def test_stuff(tmp_path: Path, maps: str) -> None:
    """Fails when the 182 ids are taken for the 171, or unlabelled pixels for a class."""
    ids = np.array([[0, 12, 181], [20, 255, 100]], dtype=np.uint8)
    reader = open_reader(STUFF, "val", data_root=stuff(tmp_path, ids, maps=maps), subset=True)
    assert (reader.ids, reader.year, reader.partial) == (("000000000003", "000000000008"), "2017", True)
    truth = apply(evaluation_table(STUFF), reader.read(0).mask)
    named = [[STUFF.classes[c] if c < 171 else None for c in row] for row in truth]
    assert named == [["person", "stop sign", "wood"], ["cow", None, "carpet"]]
    assert expected_images(STUFF, "train") == 118287


@pytest.mark.parametrize("id_", [11, 25, 90, 182, 254])
def test_ids_that_stuff_never_has(tmp_path: Path, id_: int) -> None:
    """Fails when ids that no pixel map holds (those never annotated, or another coding's) are taken for classes."""
    reader = open_reader(STUFF, "val", data_root=stuff(tmp_path, np.full((2, 2), id_, np.uint8)), subset=True)
    with pytest.raises(DataError, match=f"holds ids {id_}"):
        reader.read(0)


def test_stuff_that_is_not_whole(tmp_path: Path) -> None:
    """Fails when a photo without map is not missed."""
    root = stuff(tmp_path, np.zeros((2, 2), np.uint8))
    (root / "coco/stuffthingmaps/val2017/000000000003.png").unlink()
    assert open_reader(STUFF, "val", data_root=root, subset=True).ids == ("000000000008",)
    with pytest.raises(DataError, match=r"first stuffthingmaps/val2017/000000000003\.png"):
        open_reader(STUFF, "val", data_root=root)
    with pytest.raises(DataError, match="no COCO 2017 found"):
        open_reader(STUFF, "train", data_root=root)
    with pytest.raises(DataError, match="no part 'test'"):
        open_reader(STUFF, "test", data_root=root)


def context(root: Path, ids: np.ndarray, listed: str = "2008_000002\n2008_000003\n") -> Path:
    folder = root / "VOCdevkit/VOC2010"
    for id_ in ("2008_000002", "2008_000003"):
        put(folder / f"JPEGImages/{id_}.jpg", folder / f"SegmentationClassContext/{id_}.png", ids)
    (folder / "ImageSets/SegmentationContext").mkdir(parents=True, exist_ok=True)
    (folder / "ImageSets/SegmentationContext/val.txt").write_text(listed)
    return root


def test_context(tmp_path: Path) -> None:
    """Fails when classes are off by one, or background is a class in 49/10 or none in 50/10."""
    root = context(tmp_path, np.array([[0, 1], [50, 59]], dtype=np.uint8))
    mask = open_reader(CONTEXT, "val", data_root=root, subset=True).read(0).mask
    assert [CONTEXT.classes[c] for c in apply(evaluation_table(CONTEXT), mask).ravel()] == [
        "background",
        "aeroplane",
        "diningtable",
        "wood",
    ]
    plain = load_split("context-49-10")
    assert apply(evaluation_table(plain), mask).tolist() == [[255, 0], [49, 58]]
    assert [expected_images(CONTEXT, part) for part in ("train", "val")] == [4996, 5104]


def test_wrong_context(tmp_path: Path) -> None:
    """Fails when a list of other length, a missing list, or no data set ends in a stack trace or is accepted."""
    with pytest.raises(DataError, match="no PASCAL-Context found"):
        open_reader(CONTEXT, "val", data_root=tmp_path)
    root = context(tmp_path, np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match="5102 of 5104"):
        open_reader(CONTEXT, "val", data_root=root)
    with pytest.raises(DataError, match=r"train\.txt cannot be read"):
        open_reader(CONTEXT, "train", data_root=root)
    context(tmp_path, np.zeros((2, 2), np.uint8), "2008_000002\n2008_000002\n")
    with pytest.raises(DataError, match="expected 5104, each once"):
        open_reader(CONTEXT, "val", data_root=root, subset=True)
    context(tmp_path, np.full((2, 2), 60, np.uint8))
    with pytest.raises(DataError, match=r"holds ids 60, expected 0\.\.59"):
        open_reader(CONTEXT, "val", data_root=root, subset=True).read(0)


def test_more_images_than_the_official_part_has(tmp_path: Path) -> None:
    """Fails when files of another part or edition, beside all that belong there, are scored under the set's name."""
    reader = open_reader(STUFF, "val", data_root=stuff(tmp_path, np.zeros((2, 2), np.uint8)), subset=True)
    assert isinstance(reader, FolderReader)
    assert not FolderReader(replace(reader.part, count=2), STUFF.legal_ids, "").partial
    with pytest.raises(DataError, match=r"2 images under .*, expected 1; is it another edition"):
        FolderReader(replace(reader.part, count=1), STUFF.legal_ids, "", subset=True)


def test_images_without_some_classes(tmp_path: Path) -> None:
    """Fails when an image with an unseen class is kept, one without is dropped, or an empty rest trains."""
    root = context(tmp_path, np.zeros((2, 2), np.uint8))
    target = root / "VOCdevkit/VOC2010/SegmentationClassContext/2008_000003.png"
    Image.fromarray(np.array([[0, 1], [2, 3]], dtype=np.uint8)).save(target)
    reader = open_reader(CONTEXT, "val", data_root=root, subset=True)
    kept = Without(reader, [3, 40])
    assert kept.ids == ("2008_000002",)
    assert kept.partial
    np.testing.assert_array_equal(kept.read(0).mask, kept.mask(0))
    assert Without(reader, [7]).ids == reader.ids
    assert Without(reader, [7], limit=1).ids == reader.ids[:1]
    assert Without(reader, [7], limit=1).partial
    assert Limited(kept, 5).mask(0).shape == (2, 2)
    with pytest.raises(DataError, match="each of the 2 training images holds an unseen class"):
        Without(reader, [0])
