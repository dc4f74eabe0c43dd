"""The literature's splits: folds, counts and lists as published, and the episodic pairs against the real masks."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splits.errors import UserError
from splits.loader import ids_sha256, load_split, read_facts, read_list
from splits.pairs import read_pairs

MASKS = Path(__file__).resolve().parents[3] / "shared/data/voc-val-masks/SegmentationClass"
# pairs and images of HSNet's val lists
PASCAL_VAL = [(346, 345), (451, 433), (725, 587), (346, 326)]
COCO_VAL = [(35783, 26052), (17912, 15305), (14563, 13138), (14315, 12640)]
COCO_TRN = [(95476, 62040), (133927, 74381), (141054, 73035), (141016, 73808)]


def test_coco_folds_are_interleaved() -> None:
    """Fails when the convention is the other one: class i + 4x belongs to fold i."""
    split = load_split("coco-20i")
    assert split.ids == tuple(range(1, 81))
    assert [f.unseen for f in split.folds] == [split.classes[i::4] for i in range(4)]
    assert split.folds[0].unseen[:5] == ("person", "airplane", "boat", "parking meter", "dog")


def test_coco_contiguous_folds() -> None:
    """Fails when the two conventions are mixed up."""
    split = load_split("coco-20i-contiguous")
    assert [f.unseen for f in split.folds] == [split.classes[20 * i : 20 * i + 20] for i in range(4)]
    assert split.classes == load_split("coco-20i").classes


def test_coco_stuff() -> None:
    """Fails when the 182 ids of the pixel maps are taken for the 171, or the unseen are not the literature's."""
    split, facts = load_split("coco-stuff-156-15"), read_facts("cocostuff_156_15")
    assert (len(split.folds[0].seen), len(split.folds[0].unseen)) == (156, 15)
    assert [split.classes.index(name) for name in split.folds[0].unseen] == facts["zegclip_novel_class_contiguous"]
    assert sorted(split.ids[split.classes.index(n)] for n in split.folds[0].unseen) == facts["unseen_raw182"]
    assert not set(split.ids) & set(facts["never_annotated_raw182"])
    assert split.ids[split.classes.index("stop sign")] == 12
    assert max(split.ids) == 181


def test_context() -> None:
    """Fails when a class's mask value is off by one, or background is no seen class in the 50/10 split."""
    plain, with_background = load_split("context-49-10"), load_split("context-50-10")
    assert plain.ids == tuple(range(1, 60))
    assert plain.background_id == 0
    assert with_background.ids == tuple(range(60))
    assert with_background.background_id is None
    assert with_background.classes == ("background", *plain.classes)
    assert with_background.folds[0].seen == ("background", *plain.folds[0].seen)
    assert plain.folds[0].unseen == with_background.folds[0].unseen
    expected = read_facts("pascal_context_49_10")["unseen10_index_0based_in_class59_order"]
    assert {n: plain.classes.index(n) for n in plain.folds[0].unseen} == expected


@pytest.mark.parametrize(("name", "hidden"), [("pascal-5i", 5), ("coco-20i", 20)])
def test_tune_splits_are_nested(name: str, hidden: int) -> None:
    """Fails when tuning sees a tested class, hides none of the seen, or scores images that it trains on or val ones."""
    base, tune = load_split(name), load_split(f"{name}-tune")
    for fold, inner in zip(base.folds, tune.folds, strict=True):
        assert inner.classes == fold.seen
        assert len(inner.unseen) == hidden
        assert set(inner.unseen) <= set(fold.seen)
    assert tune.tuning
    assert not base.tuning
    scored = tune.listed("val")
    assert scored is not None
    assert tune.val_sha256 == ids_sha256(scored)
    if name == "pascal-5i":
        trained = tune.listed("train")
        assert trained is not None
        assert (len(trained), len(scored)) == (9118, 1464)
        assert set(trained) | set(scored) == set(read_list("voc2012_seg_trainaug_10582"))
        assert not set(trained) & set(scored)
        assert not set(scored) & set(read_list("voc2012_seg_val_1449"))
        assert tune.train_sha256 == ids_sha256(trained) != base.train_sha256
    else:
        val2014 = {line.rpartition("_")[2] for line in read_list("repri_coco_val")}
        assert len(set(scored)) == 5000
        assert not set(scored) & val2014
        assert tune.train_without == tune.val_list


@pytest.mark.parametrize("fold", range(4))
def test_pairs_are_those_published(fold: int) -> None:
    """Fails when a pair is lost, or its class is counted from another number."""
    pascal, coco = load_split("pascal-5i"), load_split("coco-20i")
    pairs = read_pairs(pascal, fold)
    assert (len(pairs), len({i for i, _ in pairs})) == PASCAL_VAL[fold]
    assert {c for _, c in pairs} == set(pascal.folds[fold].unseen)
    assert {i for i, _ in pairs} <= set(read_list("voc2012_seg_val_1449"))
    trained = read_pairs(pascal, fold, "trn")
    assert {c for _, c in trained} == set(pascal.folds[fold].unseen)  # HSNet's trn list i is of fold i's classes
    assert {i for i, _ in trained} <= set(read_list("voc2012_seg_trainaug_10582"))
    big = read_pairs(coco, fold)
    assert (len(set(big)), len({i for i, _ in big})) == COCO_VAL[fold]
    assert {c for _, c in big} == set(coco.folds[fold].unseen)
    assert all(len(i) == 12 and i.isdigit() for i, _ in big)
    seen = read_pairs(coco, fold, "trn")
    assert (len(set(seen)), len({i for i, _ in seen})) == COCO_TRN[fold]
    assert {c for _, c in seen} == set(coco.folds[fold].seen)


def test_pairs_elsewhere() -> None:
    """Fails when the literature's fold has other items under its other name, or a benchmark without lists some."""
    assert read_pairs(load_split("voc-15-5"), 0) == read_pairs(load_split("pascal-5i"), 3)
    with pytest.raises(UserError, match="no episodic lists"):
        read_pairs(load_split("coco-20i-contiguous"), 0)
    with pytest.raises(UserError, match="no fold 4"):
        read_pairs(load_split("pascal-5i"), 4)


def test_fusioner_lists_hold_more_than_hsnets() -> None:
    """Fails when a list is another's: Fusioner keeps every class of a training image, HSNet those of some size."""
    for fold in range(4):
        ours, fewer = (set(read_list(f"{who}_pascal_trn_fold{fold}")) for who in ("fusioner", "hsnet"))
        assert fewer < ours
    assert set(read_list("pfenet_pascal_train_5953")) < set(read_list("voc2012_seg_trainaug_10582"))


@pytest.mark.skipif(not MASKS.is_dir(), reason="the real val masks are not beside the checkout")
def test_every_pair_has_its_class_in_the_real_mask() -> None:
    """Fails when a pair names a class that is not in the image: ids counted from 0, or another fold's list."""
    split = load_split("pascal-5i")
    present = {}
    images, pairs = Counter[int](), Counter[int]()
    for id_ in read_list("voc2012_seg_val_1449"):
        mask = np.asarray(Image.open(MASKS / f"{id_}.png"))
        present[id_] = np.bincount(mask.ravel(), minlength=256)
        for fold in split.folds:
            there = [n for n in fold.unseen if present[id_][split.ids[split.classes.index(n)]]]
            images[fold.index] += bool(there)
            pairs[fold.index] += len(there)
    assert [images[i] for i in range(4)] == [433, 479, 647, 354]
    assert [pairs[i] for i in range(4)] == [440, 514, 804, 390]
    for fold in range(4):
        smallest = min(present[i][split.ids[split.classes.index(c)]] for i, c in read_pairs(split, fold))
        assert smallest >= 1024
