"""The VOC reader: the official layout as it is, and one line for everything that can be wrong with it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.data import voc
from benchmarks.data.datasets import data_roots, open_reader
from benchmarks.data.mask_file import read_mask
from splits.errors import DataError
from splits.loader import load_split, read_facts, read_list

SPLIT = load_split("pascal-5i")
TRAIN = read_list("voc2012_seg_trainaug_10582")
VAL = read_list("voc2012_seg_val_1449")
DATA = Path(__file__).resolve().parents[4] / "shared/data"  # small real data beside the checkout; not part of it
MINI, VAL_MASKS = DATA / "voc-mini", DATA / "voc-val-masks/SegmentationClass"
SIZE = (20, 30)  # height, width


def voc_palette() -> list[int]:
    """The VOC colours: bit k of an id gives bit 7 - k//3 of channel k % 3."""
    return [
        sum(((id_ >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
        for id_ in range(256)
        for channel in range(3)
    ]


def mask_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 1, 7, 20, 255], dtype=np.uint8), size=SIZE)


def put(folder: Path, id_: str, *, masks: str = "SegmentationClassAug", palette: bool = False, seed: int = 0) -> None:
    """One photo and its mask in the official layout."""
    for name in ("JPEGImages", masks):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"JPEGImages/{id_}.jpg")
    mask = Image.fromarray(mask_of(seed))
    if palette:
        mask.putpalette(voc_palette())
    mask.save(folder / masks / f"{id_}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with three val images, the list's first two swapped in time of writing."""
    folder = tmp_path / "root/VOCdevkit/VOC2012"
    for seed, id_ in enumerate((VAL[5], VAL[0], VAL[1])):
        put(folder, id_, seed=seed)
    return tmp_path / "root"


def folder_of(root: Path) -> Path:
    return root / "VOCdevkit/VOC2012"


def error_of(root: Path, index: int = 0) -> str:
    """The one line with which reading a sample fails."""
    reader = open_reader(SPLIT, "val", data_root=root, subset=True)
    with pytest.raises(DataError) as caught:
        reader.read(index)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("below", ["VOCdevkit/VOC2012", "VOC2012", "."])
def test_layouts(tmp_path: Path, below: str) -> None:
    """Fails when a root one level up or down is not recognised."""
    put(tmp_path / below, VAL[3])
    reader = open_reader(SPLIT, "val", data_root=tmp_path, subset=True)
    assert reader.ids == (VAL[3],)
    sample = reader.read(0)
    assert sample.id == VAL[3]
    assert (sample.image.shape, sample.image.dtype) == ((*SIZE, 3), np.uint8)
    assert (sample.mask.shape, sample.mask.dtype) == (SIZE, np.uint8)


def test_subset_keeps_the_order_of_the_list_and_is_marked(root: Path) -> None:
    """Fails when a partial set passes for the whole, or its hash depends on the order of files in the folder."""
    reader = open_reader(SPLIT, "val", data_root=root, subset=True)
    assert reader.ids == (VAL[0], VAL[1], VAL[5])
    assert reader.partial
    assert len(reader) == 3
    assert reader.content_sha256() != SPLIT.val_sha256
    fewer = open_reader(SPLIT, "val", data_root=root, subset=True)
    fewer.ids = fewer.ids[:2]
    assert fewer.content_sha256() != reader.content_sha256()


def test_missing_images_are_counted_and_the_first_named(root: Path) -> None:
    """Fails when an incomplete set trains silently, or the message does not help."""
    with pytest.raises(DataError) as caught:
        open_reader(SPLIT, "val", data_root=root)
    for part in ("1446 of 1449", f"JPEGImages/{VAL[2]}.jpg", "--subset", "host.robots.ox.ac.uk"):
        assert part in str(caught.value)


def test_missing_mask_is_named(root: Path) -> None:
    """Fails when a photo without mask is taken into a subset, or the whole set's message names the photo."""
    (folder_of(root) / f"SegmentationClassAug/{VAL[0]}.png").unlink()
    assert open_reader(SPLIT, "val", data_root=root, subset=True).ids == (VAL[1], VAL[5])
    with pytest.raises(DataError, match=rf"first SegmentationClassAug/{VAL[0]}\.png"):
        open_reader(SPLIT, "val", data_root=root)


def test_nothing_of_a_part_present(root: Path) -> None:
    """Fails when a subset of nothing is accepted (no train image is there)."""
    with pytest.raises(DataError, match="10582 of 10582") as caught:
        open_reader(SPLIT, "train", data_root=root, subset=True)
    assert "--subset" not in str(caught.value)


def test_whole_set_has_the_hash_of_the_list(tmp_path: Path) -> None:
    """Fails when a complete set is identified by anything but the published list's sha256."""
    folder = tmp_path / "VOC2012"
    put(folder, VAL[0])
    for id_ in VAL[1:]:
        (folder / f"JPEGImages/{id_}.jpg").touch()
        (folder / f"SegmentationClassAug/{id_}.png").touch()
    for subset in (False, True):
        reader = open_reader(SPLIT, "val", data_root=tmp_path, subset=subset)
        assert reader.content_sha256() == SPLIT.val_sha256
        assert not reader.partial


def test_masks_fall_back_to_segmentation_class(tmp_path: Path) -> None:
    """Fails when ids whose mask is only in SegmentationClass are lost, or that folder is preferred."""
    put(tmp_path, VAL[0], masks="SegmentationClass", seed=1)
    put(tmp_path, VAL[1], masks="SegmentationClass", seed=2)
    put(tmp_path, VAL[1], masks="SegmentationClassAug", seed=3)
    reader = open_reader(SPLIT, "val", data_root=tmp_path, subset=True)
    np.testing.assert_array_equal(reader.read(0).mask, mask_of(1))
    np.testing.assert_array_equal(reader.read(1).mask, mask_of(3))


def test_palette_masks_decode_to_ids(tmp_path: Path) -> None:
    """Fails when a palette PNG yields its colours' grey values instead of its indices."""
    put(tmp_path, VAL[0], palette=True, seed=4)
    reader = open_reader(SPLIT, "val", data_root=tmp_path, subset=True)
    np.testing.assert_array_equal(reader.read(0).mask, mask_of(4))


def test_greyscale_photo_becomes_rgb(root: Path) -> None:
    """Fails when one of VOC's grey photos has one channel."""
    path = folder_of(root) / f"JPEGImages/{VAL[0]}.jpg"
    Image.open(path).convert("L").save(path)
    image = open_reader(SPLIT, "val", data_root=root, subset=True).read(0).image
    assert image.shape == (*SIZE, 3)
    assert (image[..., 0] == image[..., 2]).all()


def test_colour_mask(root: Path) -> None:
    """Fails when a mask drawn in colours is read as ids."""
    path = folder_of(root) / f"SegmentationClassAug/{VAL[0]}.png"
    mask = Image.fromarray(mask_of(0))
    mask.putpalette(voc_palette())
    mask.convert("RGB").save(path)
    assert "mode RGB" in error_of(root)
    mask.convert("RGB").convert("L").save(path)
    assert "turned grey" in error_of(root)


def test_illegal_ids(root: Path) -> None:
    """Fails when ids 21..254 pass, or are not named."""
    mask = mask_of(0)
    mask[0, 0], mask[3, 3] = 21, 254
    Image.fromarray(mask).save(folder_of(root) / f"SegmentationClassAug/{VAL[0]}.png")
    message = error_of(root)
    assert "ids 21, 254" in message
    assert "0..20, 255" in message


def test_sixteen_bit_mask(root: Path) -> None:
    """Fails when two bytes a pixel are cut down to one."""
    Image.fromarray(mask_of(0).astype(np.uint16) * 256).save(folder_of(root) / f"SegmentationClassAug/{VAL[0]}.png")
    assert "holds ids 256" in error_of(root)


def test_size_mismatch(root: Path) -> None:
    """Fails when a mask that belongs to another picture is used."""
    Image.fromarray(mask_of(0).T.copy()).save(folder_of(root) / f"SegmentationClassAug/{VAL[0]}.png")
    message = error_of(root)
    assert "30x20" in message
    assert "20x30" in message


@pytest.mark.parametrize("file", ["JPEGImages/{}.jpg", "SegmentationClassAug/{}.png"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.7])
def test_truncated_files(root: Path, file: str, keep: float) -> None:
    """Fails when half a file is filled up with grey, or ends in a stack trace."""
    path = folder_of(root) / file.format(VAL[0])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    message = error_of(root)
    assert "cannot be decoded" in message
    assert str(path) in message


@pytest.mark.parametrize("file", ["JPEGImages/{}.jpg", "SegmentationClassAug/{}.png"])
def test_no_picture_and_vanished_file(root: Path, file: str) -> None:
    """Fails when a web page saved as picture, or a file deleted after the start, ends in a stack trace."""
    reader = open_reader(SPLIT, "val", data_root=root, subset=True)
    path = folder_of(root) / file.format(VAL[0])
    path.write_text("<html>404</html>")
    assert "cannot be decoded" in error_of(root)
    path.unlink()
    with pytest.raises(DataError, match="is missing"):
        reader.read(0)


def test_no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when the message does not say how to give a root."""
    monkeypatch.delenv("ZSS_DATA_ROOT", raising=False)
    with pytest.raises(DataError, match="--data-root DIR or set ZSS_DATA_ROOT"):
        open_reader(SPLIT, "val")


def test_wrong_roots(tmp_path: Path) -> None:
    """Fails when a root that does not exist, or holds no VOC, is not named together with where was looked."""
    with pytest.raises(DataError, match="is no folder"):
        open_reader(SPLIT, "val", data_root=tmp_path / "nowhere")
    with pytest.raises(DataError, match="VOCdevkit/VOC2012/JPEGImages"):
        open_reader(SPLIT, "val", data_root=tmp_path)


def test_several_roots_from_the_environment(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when only the first of several roots is searched, or the option does not win over the variable."""
    import os

    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("ZSS_DATA_ROOT", os.pathsep.join([str(empty), str(root)]))
    assert len(open_reader(SPLIT, "val", subset=True)) == 3
    with pytest.raises(DataError):
        open_reader(SPLIT, "val", data_root=empty, subset=True)
    assert data_roots(os.pathsep.join([str(root), str(empty)])) == (root, empty)
    assert data_roots(None, {}) == ()


def test_first_root_wins(root: Path, tmp_path: Path) -> None:
    """Fails when roots are not searched in the order given."""
    other = tmp_path / "other"
    put(other / "VOC2012", VAL[7])
    assert voc.found(SPLIT, [other, root]) == other / "VOC2012"
    assert voc.found(SPLIT, [root, other]) == folder_of(root)
    with pytest.raises(DataError, match="no VOC 2012 found"):
        voc.found(SPLIT, [tmp_path / "nowhere"])


def test_unknown_part(root: Path) -> None:
    """Fails when a part that VOC has not (yet) ends in a stack trace."""
    with pytest.raises(DataError, match="no part 'tune'"):
        open_reader(SPLIT, "tune", data_root=root)


@pytest.mark.skipif(not MINI.is_dir(), reason="the small real data set is not beside the checkout")
@pytest.mark.parametrize(("part", "count", "listed"), [("train", 300, TRAIN), ("val", 150, VAL)])
def test_real_photos(part: str, count: int, listed: tuple[str, ...]) -> None:
    """Fails when real VOC files are not read as they are: counts, order, and the void border in every official mask."""
    reader = open_reader(SPLIT, part, data_root=MINI, subset=True)
    assert len(reader) == count
    assert reader.partial
    assert list(reader.ids) == [id_ for id_ in listed if id_ in set(reader.ids)]
    pixels = np.zeros(256, dtype=np.int64)
    for index in range(0, count, 5):
        sample = reader.read(index)
        assert sample.image.shape == (*sample.mask.shape, 3)
        pixels += np.bincount(sample.mask.ravel(), minlength=256)
        if part == "val":
            assert (sample.mask == 255).any()
    assert pixels[21:255].sum() == 0


@pytest.mark.skipif(not MINI.is_dir(), reason="the small real data set is not beside the checkout")
def test_real_pixel_counts() -> None:
    """Fails when masks are decoded to other ids: the val pixels of three classes, counted independently."""
    reader = open_reader(SPLIT, "val", data_root=MINI, subset=True)
    pixels = sum(np.bincount(reader.read(index).mask.ravel(), minlength=256) for index in range(len(reader)))
    assert {id_: int(pixels[id_]) for id_ in (0, 2, 17, 255)} == {0: 18179935, 2: 38254, 17: 993673, 255: 1610630}


@pytest.mark.skipif(not VAL_MASKS.is_dir(), reason="the real val masks are not beside the checkout")
def test_every_real_val_mask() -> None:
    """Fails when a class is decoded as another: images per class of all 1,449 masks against the recorded counts."""
    images = np.zeros(256, dtype=np.int64)
    for id_ in VAL:
        mask = read_mask(VAL_MASKS / f"{id_}.png", SPLIT.legal_ids)
        images += np.bincount(mask.ravel(), minlength=256) > 0
    assert {str(id_): int(images[id_]) for id_ in SPLIT.ids} == read_facts("voc2012_images_per_class")["val"]
    assert images[255] == 1449


def test_no_reader_for_a_data_set() -> None:
    """Fails when a benchmark whose data set has no reader yet ends in a stack trace."""
    import dataclasses

    with pytest.raises(DataError, match="no reader"):
        open_reader(dataclasses.replace(SPLIT, dataset="mapillary"), "val")
