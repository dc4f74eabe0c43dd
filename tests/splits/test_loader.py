"""The split facts: exact folds and lists, and no changed file goes unnoticed."""

import hashlib
import json
import lzma
import shutil
from collections import Counter
from pathlib import Path

import pytest

from splits import loader
from splits.errors import DataError, UserError
from splits.loader import BENCHMARKS, Fold, Split, load_split, read_facts, read_list

# One fold a line.
# fmt: off
VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle",  # fold 0
    "bus", "car", "cat", "chair", "cow",  # fold 1
    "diningtable", "dog", "horse", "motorbike", "person",  # fold 2
    "pottedplant", "sheep", "sofa", "train", "tvmonitor",  # fold 3
)
SHAPES = (
    "arrow", "bell", "bolt", "bottle", "crescent",  # fold 0
    "cross", "drop", "fish", "flower", "gear",  # fold 1
    "heart", "house", "key", "ladder", "mushroom",  # fold 2
    "ring", "spiral", "star", "tree", "wave",  # fold 3
)
# fmt: on
# Counts and sha256 as published with the lists, written down here a second time on purpose.
LISTS = {
    "voc2012_seg_train_1464": (1464, "aa623bd2c8ce4443a8aaae51c524c0eb165e8e44caf6aa9e3ad33d7b75a3ef20"),
    "voc2012_seg_val_1449": (1449, "cdc1326d12f69ce5153aa5da04a4d8783e146868d42d19f82f44e74b97ac907d"),
    "voc2012_seg_trainaug_10582": (10582, "d1326bd532648d73bc4b1bd275434eba81930982dc7401a65a8cecb26c028e24"),
}


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped files that a test may damage."""
    root = tmp_path / "splits"
    shutil.copytree(str(loader.ROOT), root)
    monkeypatch.setattr(loader, "ROOT", root)
    return root


def test_benchmarks_are_the_ones_promised() -> None:
    """Fails when a benchmark is renamed or lost: every stored run names one."""
    assert set(BENCHMARKS) >= {"pascal-5i", "voc-15-5", "shapes-5i"}
    assert all(load_split(name).name == name for name in BENCHMARKS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_folds_are_disjoint_and_cover(name: str) -> None:
    """Fails when a fold leaves out a class or trains on one it tests."""
    split = load_split(name)
    for index, fold in enumerate(split.folds):
        assert fold.index == index
        asked = tuple(c for c in split.classes if c in fold.classes)  # a tune fold does not ask about all
        assert fold.classes == asked
        assert split.tuning or asked == split.classes
        assert sorted(fold.seen + fold.unseen) == sorted(asked)
        assert [name in fold.seen for name in fold.classes] == list(fold.seen_mask)


@pytest.mark.parametrize(("name", "classes"), [("pascal-5i", VOC), ("shapes-5i", SHAPES)])
def test_5i_folds_are_contiguous(name: str, classes: tuple[str, ...]) -> None:
    """Fails when the order of classes or the rule "fold i hides ids 5i+1..5i+5" is broken (an interleaved mix-up)."""
    split = load_split(name)
    assert split.classes == classes
    assert split.ids == tuple(range(1, 21))
    assert [fold.unseen for fold in split.folds] == [classes[5 * i : 5 * i + 5] for i in range(4)]
    assert [fold.seen for fold in split.folds] == [classes[: 5 * i] + classes[5 * i + 5 :] for i in range(4)]


def test_every_class_is_unseen_in_exactly_one_fold() -> None:
    """Fails when the mean over folds would count a class twice or never."""
    for name in ("pascal-5i", "shapes-5i"):
        counts = Counter(c for fold in load_split(name).folds for c in fold.unseen)
        assert set(counts.values()) == {1}
        assert len(counts) == 20


def test_voc_15_5_is_fold_3() -> None:
    """Fails when the literature's split and fold 3, which must have one protocol hash, come apart."""
    literature, fold = load_split("voc-15-5"), load_split("pascal-5i").fold(3)
    assert literature.folds[0].unseen == fold.unseen == VOC[15:]
    assert literature.folds[0].seen == fold.seen
    assert len(literature.folds) == 1
    ours = load_split("pascal-5i")
    for field in ("dataset", "classes", "ids", "background_id", "ignore_id", "train_sha256", "val_sha256"):
        assert getattr(literature, field) == getattr(ours, field)


def test_pascal_facts_agree_with_one_another() -> None:
    """Fails when names and ids of the fact files drift apart."""
    facts, ids = read_facts("pascal_5i"), read_facts("pascal_5i")["class_ids"]
    for fold in facts["folds"].values():
        assert [ids[name] for name in fold["names"]] == fold["ids"]
    assert facts["images_per_class_measured"] == read_facts("voc2012_images_per_class")
    gzlss = read_facts("voc12_gzlss")["voc12_15_5"]
    assert [ids[name] for name in gzlss["unseen"]] == gzlss["unseen_ids"]
    assert [ids[name] for name in gzlss["seen"]] == gzlss["seen_ids"]


def test_shapes_facts_agree_with_the_world() -> None:
    """Fails when the renderer's classes are not those of the split: every label would be another shape's."""
    from benchmarks.shapes import world

    assert load_split("shapes-5i").classes == world.NAMES
    for fold in read_facts("shapes_5i")["folds"].values():
        assert [SHAPES[id_ - 1] for id_ in fold["ids"]] == fold["names"]


@pytest.mark.parametrize("name", LISTS)
def test_lists_are_the_published_ones(name: str) -> None:
    """Fails when a list loses, gains, repeats or reorders an image."""
    lines, sha256 = LISTS[name]
    ids = read_list(name)
    assert len(ids) == len(set(ids)) == lines
    assert hashlib.sha256("".join(f"{id_}\n" for id_ in ids).encode()).hexdigest() == sha256


def test_lists_of_pascal() -> None:
    """Fails when training reads val images or the official train images are not among the 10,582."""
    split = load_split("pascal-5i")
    assert split.train_list is not None
    assert split.val_list is not None
    train, val = read_list(split.train_list), read_list(split.val_list)
    assert (len(train), len(val)) == (10582, 1449)
    assert not set(train) & set(val)
    assert set(read_list("voc2012_seg_train_1464")) < set(train)
    assert (split.train_sha256, split.val_sha256) == (
        LISTS["voc2012_seg_trainaug_10582"][1],
        LISTS["voc2012_seg_val_1449"][1],
    )


def test_every_shipped_file_has_its_checksum() -> None:
    """Fails when a file ships unverified, or its recorded size or number of lines is wrong."""
    root = Path(str(loader.ROOT))
    recorded = json.loads((root / "checksums.json").read_text())
    shipped = [*root.glob("facts/*"), *root.glob("lists/*")]
    assert {path.relative_to(root).as_posix() for path in shipped} == set(recorded)
    for path in shipped:
        entry, data = recorded[path.relative_to(root).as_posix()], path.read_bytes()
        assert (entry["sha256"], entry["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
        text = lzma.decompress(data) if path.suffix == ".xz" else data
        assert entry["lines"] == len(text.splitlines())
        if path.suffix == ".xz":
            assert entry["sha256_uncompressed"] == hashlib.sha256(text).hexdigest()
        assert entry["source"]


def test_changed_list_is_refused(copied: Path) -> None:
    """Fails when one dropped image goes unnoticed, or the message does not tell file, seen and expected sha256."""
    path = copied / "lists/voc2012_seg_val_1449.txt"
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")
    seen = hashlib.sha256(path.read_bytes()).hexdigest()
    for use in (lambda: read_list("voc2012_seg_val_1449"), lambda: load_split("pascal-5i")):
        with pytest.raises(DataError) as caught:
            use()
        message = str(caught.value)
        for part in ("voc2012_seg_val_1449.txt", seen, LISTS["voc2012_seg_val_1449"][1]):
            assert part in message
        assert "\n" not in message


def test_changed_facts_are_refused(copied: Path) -> None:
    """Fails when an edited fold is believed."""
    path = copied / "facts/pascal_5i.json"
    path.write_text(path.read_text().replace('"sofa"', '"couch"'))
    with pytest.raises(DataError, match=r"pascal_5i\.json was changed"):
        load_split("pascal-5i")


def test_missing_and_unknown_files(copied: Path) -> None:
    """Fails when a lost file ends in a stack trace."""
    (copied / "lists/voc2012_seg_val_1449.txt").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_list("voc2012_seg_val_1449")
    with pytest.raises(DataError, match="no shipped file"):
        read_list("voc2012_seg_test")


def test_packed_list(copied: Path) -> None:
    """Fails when a compressed list is not read as its lines, or not verified."""
    path = copied / "lists/big.txt.xz"
    path.write_bytes(lzma.compress(b"a\nb\n"))
    sums = json.loads((copied / "checksums.json").read_text())
    sums["lists/big.txt.xz"] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (copied / "checksums.json").write_text(json.dumps(sums))
    assert read_list("big") == ("a", "b")
    path.write_bytes(lzma.compress(b"a\n"))
    with pytest.raises(DataError, match="was changed"):
        read_list("big")


@pytest.mark.parametrize("classes", [["a", "b", "c"], {"0": "a", "1": "b", "2": "c"}, {"a": 0, "b": 1, "c": 2}])
def test_new_benchmark_is_data_alone(copied: Path, classes: list[str] | dict) -> None:
    """Fails when a form that facts have classes in needs code, or unseen loses the order of the classes."""
    facts = json.dumps({"classes": classes, "deep": {"unseen": ["c", "a"]}})
    (copied / "facts/new.json").write_text(facts)
    sums = json.loads((copied / "checksums.json").read_text())
    sums["facts/new.json"] = {"sha256": hashlib.sha256(facts.encode()).hexdigest()}
    (copied / "checksums.json").write_text(json.dumps(sums))
    entry = {"dataset": "d", "classes": "new:classes", "unseen": "new:deep.unseen", "background_id": 255}
    entry |= {"ignore_id": None, "train_list": None, "val_list": None, "note": ""}
    (copied / "benchmarks.json").write_text(json.dumps({"new": entry}))
    split = load_split("new")
    assert (split.classes, split.ids) == (("a", "b", "c"), (0, 1, 2))
    assert [(fold.seen, fold.unseen) for fold in split.folds] == [(("b",), ("a", "c"))]


def test_unknown_benchmark_and_fold() -> None:
    """Fails when a typing error is not answered with the names that exist."""
    with pytest.raises(UserError, match="pascal-5i"):
        load_split("pascal-5")
    with pytest.raises(UserError, match="0, 1, 2, 3"):
        load_split("pascal-5i").fold(4)
    with pytest.raises(UserError, match="no fold -1"):
        load_split("pascal-5i").fold(-1)


@pytest.mark.parametrize(
    ("seen", "unseen"),
    [
        (("a", "b"), ("b", "c")),
        (("a",), ("b",)),
        (("b", "a"), ("c",)),
        ((), ("a", "b", "c")),
        (("a", "b"), ("x",)),
        (("a", "a", "b"), ("c",)),
    ],
)
def test_inconsistent_folds_are_refused(seen: tuple[str, ...], unseen: tuple[str, ...]) -> None:
    """Fails when an overlap, a gap, another order, an empty side, a stranger or a repetition passes."""
    with pytest.raises(DataError):
        Fold(0, ("a", "b", "c"), seen, unseen)


def test_inconsistent_splits_are_refused() -> None:
    """Fails when two classes share a mask value, a value does not fit 16 bits, or folds are misnumbered."""
    fold = Fold(0, ("a", "b"), ("a",), ("b",))
    good: dict = {
        "name": "x",
        "dataset": "d",
        "classes": ("a", "b"),
        "ids": (1, 2),
        "background_id": 0,
        "ignore_id": 255,
    }
    good |= {"folds": (fold,), "note": ""} | dict.fromkeys(("train_list", "val_list", "train_sha256", "val_sha256"))
    assert Split(**good).legal_ids == {0, 1, 2, 255}
    for change in (
        {"ids": (1, 1)},
        {"ids": (1, 65536)},
        {"ids": (0, 1)},
        {"ids": (1,)},
        {"folds": (Fold(1, ("a", "b"), ("a",), ("b",)),)},
        {"folds": ()},
    ):
        with pytest.raises(DataError):
            Split(**(good | change))
