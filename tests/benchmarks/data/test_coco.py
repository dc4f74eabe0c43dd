"""COCO: masks drawn from instances by the one rule, and one line for everything that can be wrong with the files."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pycocotools import mask as rle

from benchmarks.data import instances
from benchmarks.data.coco import CocoReader
from benchmarks.data.datasets import expected_images, open_reader
from benchmarks.data.instances import RULE, draw, prepared
from benchmarks.data.reader import Reader
from benchmarks.data.whole_sets import verify_set
from splits.errors import DataError, UserError
from splits.loader import load_split, read_facts

SPLIT = load_split("coco-20i")
CATEGORIES = read_facts("coco_20i")["coco_category_ids"]
MINI = Path(__file__).resolve().parents[4] / "shared/data/coco-mini"
mini = pytest.mark.skipif(not MINI.is_dir(), reason="the small real COCO is not beside the checkout")
HEIGHT, WIDTH = 40, 60


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    instances.prepared.cache_clear()
    return tmp_path / "cache"


def square(left: int, top: int, side: int) -> list[float]:
    return [left, top, left + side, top, left + side, top + side, left, top + side]


def annotation(id_: int, image: int, name: str, shape, crowd: int = 0) -> dict:
    return {"id": id_, "image_id": image, "category_id": CATEGORIES[name], "segmentation": shape, "iscrowd": crowd}


def crowd_runs() -> dict:
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[30:, 40:] = 1
    flat, counts, value = mask.ravel(order="F"), [], 0
    run = 0
    for pixel in flat:
        if pixel != value:
            counts.append(run)
            run, value = 0, pixel
        run += 1
    return {"counts": [*counts, run], "size": [HEIGHT, WIDTH]}


def made(root: Path, year: str = "2017", part: str = "val", change=lambda data: None) -> Path:
    """Three images: overlapping objects with a crowd, none at all, a greyscale one."""
    name, prefix = f"{part}{year}", f"COCO_{part}2014_" if year == "2014" else ""
    (root / name).mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    images = []
    for id_, mode in ((9, "RGB"), (4, "RGB"), (7, "L")):
        file = f"{prefix}{id_:012d}.jpg"
        Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).convert(mode).save(root / name / file)
        images.append({"id": id_, "file_name": file, "height": HEIGHT, "width": WIDTH})
    data = {
        "images": images,
        "annotations": [
            annotation(1, 9, "dog", [square(5, 5, 20)]),
            annotation(2, 9, "cat", [square(15, 15, 20), square(40, 2, 6)]),
            annotation(3, 9, "person", crowd_runs(), crowd=1),
            annotation(4, 7, "toothbrush", [square(0, 0, 10)]),
        ],
        "categories": [{"id": id_, "name": name_} for name_, id_ in CATEGORIES.items()],
    }
    change(data)
    (root / f"annotations/instances_{name}.json").write_text(json.dumps(data))
    return root


def reader_of(root: Path, part: str = "val", year: str = "2017", **options) -> Reader:
    return open_reader(SPLIT, part, data_root=root, subset=True, year=year, **options)


def line(root: Path, part: str = "val", year: str = "2017") -> str:
    with pytest.raises(UserError) as raised:
        read_all(root, part, year)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def read_all(root: Path, part: str, year: str) -> None:
    reader = reader_of(root, part, year)
    for index in range(len(reader)):
        reader.read(index)


def test_rule(tmp_path: Path) -> None:
    """Fails when the first object wins an overlap, a polygon is dropped, a crowd is drawn or an id is COCO's own."""
    reader = reader_of(made(tmp_path))
    assert reader.ids == ("000000000004", "000000000007", "000000000009")
    assert (reader.mask_rule, reader.year, reader.partial) == (RULE, "2017", True)
    mask = reader.read(2).mask
    dog, cat = (SPLIT.ids[SPLIT.classes.index(name)] for name in ("dog", "cat"))
    assert (mask[10, 10], mask[20, 20], mask[5, 43], mask[35, 50]) == (dog, cat, cat, 0)
    assert set(np.unique(mask)) == {0, dog, cat}
    assert set(np.unique(reader.read(1).mask)) == {0, 80}
    assert not reader.read(0).mask.any()
    assert reader.read(1).image.shape == (HEIGHT, WIDTH, 3)


def test_both_editions_have_the_same_ids(tmp_path: Path) -> None:
    """Fails when the 2014 files' prefix becomes part of an image's id, or an edition's year is not told."""
    old = reader_of(made(tmp_path / "old", "2014"), year="")
    assert (old.ids, old.year) == (("000000000004", "000000000007", "000000000009"), "2014")
    assert not old.read(0).mask.any()


@pytest.mark.parametrize("below", ["coco", "COCO2017", "."])
def test_places(tmp_path: Path, below: str) -> None:
    """Fails when one of the usual folders is not looked into."""
    made(tmp_path / below)
    assert len(reader_of(tmp_path)) == 3


def test_images_in_a_folder_of_their_own(tmp_path: Path) -> None:
    """Fails when `images/val2017` is not found."""
    made(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "val2017").rename(tmp_path / "images/val2017")
    assert len(reader_of(tmp_path)) == 3


def test_photos_that_are_missing_are_left_out(tmp_path: Path) -> None:
    """Fails when a missing photo is no partial set, or is not named."""
    (made(tmp_path) / "val2017/000000000007.jpg").unlink()
    assert reader_of(tmp_path).ids == ("000000000004", "000000000009")
    with pytest.raises(DataError, match=r"4998 of 5000 .* first val2017/000000000007\.jpg"):
        open_reader(SPLIT, "val", data_root=tmp_path, year="2017")


def test_drawn_once(tmp_path: Path, cache: Path) -> None:
    """Fails when masks are drawn anew for each reader, or other annotations get old masks."""
    reader_of(made(tmp_path)).read(0)
    first = {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")}
    prepared.cache_clear()
    reader_of(tmp_path).read(0)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")} == first
    assert len(first) == 3
    file = tmp_path / "annotations/instances_val2017.json"
    file.write_text(file.read_text().replace('"iscrowd": 1', '"iscrowd": 0'))
    prepared.cache_clear()
    assert reader_of(tmp_path).read(2).mask[35, 50] == 1


def _draw(root: str, start, folder: str) -> None:
    os.environ["ZSS_CACHE"] = folder
    start.wait(30)
    prepared(Path(root) / "annotations/instances_val2017.json").draw()


def test_two_processes_at_once(tmp_path: Path, cache: Path) -> None:
    """Fails when two runs that draw the same masks get in each other's way, or leave half a set or rubbish behind."""
    made(tmp_path)
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    workers = [context.Process(target=_draw, args=(str(tmp_path), start, str(cache))) for _ in range(3)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    (folder,) = (cache / "coco").glob("*/")
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", "masks", "masks.lock"]
    assert len(list((folder / "masks").iterdir())) == 3


@pytest.mark.parametrize("how", ["changed", "another image's", "redrawn by others"])
def test_a_drawn_mask_that_was_changed_is_refused(tmp_path: Path, cache: Path, how: str) -> None:
    """Fails when a prepared mask is trusted whatever it holds by now."""
    made(tmp_path)
    reader = reader_of(tmp_path)
    reader.prepare()
    first, second = reader.mask_path(0), reader.mask_path(1)
    if how == "changed":
        with Image.open(first) as image:
            pixels, text = np.array(image), PngInfo()
            text.add_text("sha256", image.text["sha256"])
        Image.fromarray((pixels + 1) % 5).save(first, pnginfo=text)
    elif how == "another image's":
        first.write_bytes(second.read_bytes())
    else:
        Image.fromarray(np.zeros((3, 4), np.uint8)).save(first)
    with pytest.raises(DataError, match="is not as the harness drew it"):
        reader.mask(0)


@pytest.mark.parametrize(
    "damage", [lambda t: t[: len(t) // 2], lambda t: t.replace("true", "false", 1), lambda t: "[]"]
)
def test_a_damaged_index_is_made_again(tmp_path: Path, cache: Path, damage) -> None:
    """Fails when a cut or edited index ends in a trace, or its images are believed."""
    made(tmp_path)
    source = (tmp_path / "annotations/instances_val2017.json").resolve()
    before = prepared(source).pictures
    (index,) = cache.rglob("index.json")
    index.write_text(damage(index.read_text()))
    prepared.cache_clear()
    assert prepared(source).pictures == before


def test_an_interrupted_drawing_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    """Fails when masks drawn up to an interruption pass for all of them."""
    made(tmp_path)

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reader_of(tmp_path).prepare(interrupt)
    assert not list(cache.rglob("*.png"))
    told: list[tuple[int, int]] = []
    reader_of(tmp_path).prepare(lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_wrong_edition(tmp_path: Path) -> None:
    """Fails when 2014 asked of a folder with 2017 ends in a search for files, or is not answered with the year."""
    made(tmp_path, "2017")
    message = line(tmp_path, year="2014")
    assert "no COCO 2014 found" in message
    assert "give --year 2017" in message
    assert "has no year '2015'" in line(tmp_path, year="2015")
    with pytest.raises(UserError, match="leave --year out"):
        open_reader(load_split("pascal-5i"), "val", data_root=tmp_path, year="2017")


def test_a_part_that_was_not_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a root of val photos alone cannot be verified as what is wanted."""
    made(tmp_path, "2017")
    wanted = {"data_root": str(tmp_path), "year": "2017", "jobs": 1}
    assert not verify_set(SPLIT.name, **wanted)
    assert verify_set(SPLIT.name, **wanted, subset=True)
    assert f"note: {SPLIT.name}: no COCO 2017 found" in capsys.readouterr().out


def test_tune_list_on_another_parts_file(tmp_path: Path) -> None:
    """Fails when a list whose images are none of the file's makes an empty data set."""
    made(tmp_path, "2017", "train")
    with pytest.raises(DataError, match="none of the 5000 listed images"):
        open_reader(load_split("coco-20i-tune"), "val", data_root=tmp_path, subset=True, year="2017")


def _without(name: str):
    def change(data: dict) -> None:
        data["categories"] = [c for c in data["categories"] if c["name"] != name]

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without("tv"), "1 of COCO's 80 categories are missing: tv (72)"),
        (lambda data: data.pop("annotations"), "is no instances file"),
        (lambda data: data["annotations"][0].update(category_id=12), "of category 12"),
        (lambda data: data["annotations"][0].update(segmentation=[[1.0, 2.0]]), "cannot be drawn"),
        (lambda data: data["annotations"][0].update(segmentation={"size": [1, 1]}), "cannot be drawn"),
        (lambda data: data["images"][0].update(height=HEIGHT + 1), f"its mask {WIDTH}x{HEIGHT + 1}"),
        (lambda data: data["annotations"][0].update(segmentation=[]), "cannot be drawn (its segmentation is empty"),
        (lambda data: data["annotations"][0].update(segmentation=None), "its segmentation is None"),
        (lambda data: data["images"].append({**data["images"][1], "id": 9}), "image id 9 is given to"),
    ],
    ids=["category", "no annotations", "unknown category", "two points", "no counts", "size", "empty", "null", "ids"],
)
def test_wrong_annotations(tmp_path: Path, change, told: str) -> None:
    """Fails when annotations that cannot be those of COCO train silently, or end in a stack trace."""
    made(tmp_path, change=change)
    assert told in line(tmp_path)


def test_endings_in_any_case_and_an_entry_twice(tmp_path: Path) -> None:
    """Fails when photos are missing that end in .JPG, as their file says, or an entry that stands twice is refused."""

    def change(data: dict) -> None:
        data["images"].append(dict(data["images"][0]))
        for image in data["images"]:
            image["file_name"] = image["file_name"].replace(".jpg", ".JPG")

    made(tmp_path, change=change)
    for photo in (tmp_path / "val2017").iterdir():
        photo.rename(photo.with_suffix(".JPG"))
    assert reader_of(tmp_path).ids == ("000000000004", "000000000007", "000000000009")
    read_all(tmp_path, "val", "2017")


def test_broken_files(tmp_path: Path) -> None:
    """Fails when half a file ends in a stack trace."""
    file = made(tmp_path) / "annotations/instances_val2017.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:300])
    assert "cannot be read" in line(tmp_path)
    file.unlink()
    assert "instances_val2017.json" in line(tmp_path)
    file.write_bytes(whole)
    photo = tmp_path / "val2017/000000000004.jpg"
    photo.write_bytes(photo.read_bytes()[:200])
    assert "cannot be decoded" in line(tmp_path)


def test_expected_images() -> None:
    """Fails when the numbers of the editions are mixed up."""
    assert [expected_images(SPLIT, p) for p in ("train", "val")] == [82783, 40504]
    assert [expected_images(SPLIT, p, "2017") for p in ("train", "val")] == [118287, 5000]
    tune = load_split("coco-20i-tune")
    assert [expected_images(tune, p) for p in ("train", "val")] == [77783, 5000]


@mini
def test_real_masks_are_pycocotools_own() -> None:
    """Fails when a real mask differs from pycocotools' own decoding of each object, laid over one another in order."""
    from pycocotools.coco import COCO

    official = COCO(str(MINI / "annotations/instances_val2017.json"))
    reader = reader_of(MINI)
    assert isinstance(reader, CocoReader)
    assert len(reader) == 110
    order = {category: index + 1 for index, category in enumerate(sorted(official.getCatIds()))}
    crowds = 0
    for index, id_ in enumerate(reader.ids):
        sample = reader.read(index)
        expected = np.zeros(sample.mask.shape, dtype=np.uint8)
        for note in official.loadAnns(official.getAnnIds(int(id_))):
            crowds += note["iscrowd"]
            if not note["iscrowd"]:
                expected[official.annToMask(note) > 0] = order[note["category_id"]]
        np.testing.assert_array_equal(sample.mask, expected)
    assert crowds == 10


@mini
def test_real_train_part() -> None:
    """Fails when images without an object, or greyscale ones, are lost, or two drawing processes leave some out."""
    reader = reader_of(MINI, "train")
    told: list[tuple[int, int]] = []
    reader.prepare(lambda done, total: told.append((done, total)), jobs=2)
    assert told[-1] == (200, 200)
    assert isinstance(reader, CocoReader)
    empty = [p.id for p in reader.pictures if not p.annotated]
    assert (len(reader), len(empty)) == (200, 2)
    for id_ in empty:
        assert not reader.read(reader.ids.index(id_)).mask.any()
    assert {reader.read(index).image.shape[2] for index in range(0, 200, 10)} == {3}


def test_compressed_runs() -> None:
    """Fails when runs as pycocotools writes them are not read."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F")
    mask[3:9, 4:11] = 1
    runs = rle.encode(mask)
    note = annotation(1, 1, "zebra", {"size": runs["size"], "counts": runs["counts"].decode()})
    drawn = draw([note], HEIGHT, WIDTH)
    assert ((drawn == SPLIT.ids[SPLIT.classes.index("zebra")]) == (mask == 1)).all()
