"""Mask ids to labels: every setting as in the papers, nothing unseen in the inductive one."""

import dataclasses

import numpy as np
import pytest

from benchmarks import labels
from benchmarks.labels import (
    ILLEGAL,
    MOST_CLASSES,
    UNLABELLED,
    UNSEEN_EXTENT,
    VOID,
    apply,
    class_indices,
    code,
    evaluation_table,
    training_table,
)
from methods.label_codes import IGNORED
from splits.errors import DataError, UserError
from splits.loader import BENCHMARKS, Fold, Split, load_split

PASCAL = load_split("pascal-5i")
SETTINGS = ("inductive", "transductive", "transductive-known-extent", "fully-supervised")
SEEN_OF_FOLD_1 = [1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]  # fold 1 hides ids 6..10


def expected(setting: str, id_: int) -> int:
    """The label table of the papers for fold 1, written out slowly."""
    if id_ == 0:
        return 255
    if id_ == 255:
        return 254
    if 6 <= id_ <= 10 and setting != "fully-supervised":
        return 253 if setting == "transductive-known-extent" else 255
    return SEEN_OF_FOLD_1.index(id_) if setting == "inductive" else id_ - 1


@pytest.mark.parametrize("setting", SETTINGS)
def test_training_table(setting: str) -> None:
    """Fails when a class gets another's index, an unseen class a label it must not have, or a stray id passes."""
    table = training_table(PASCAL, PASCAL.fold(1), setting=setting)
    assert (table.shape, table.dtype) == ((256,), np.uint8)
    legal = [*range(21), 255]
    assert [int(table[id_]) for id_ in legal] == [expected(setting, id_) for id_ in legal]
    assert all(table[id_] == ILLEGAL for id_ in range(21, 255))


def test_codes_are_those_of_the_methods() -> None:
    """Fails when the codes here and those that the methods read come apart."""
    method = pytest.importorskip("methods.method")
    assert (method.UNLABELLED, method.VOID, method.UNSEEN_EXTENT) == (UNLABELLED, VOID, UNSEEN_EXTENT)
    assert ILLEGAL < method.FIRST_CODE


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_and_fold(name: str, setting: str) -> None:
    """Fails when the vocabulary's order and the labels disagree in any fold of any benchmark."""
    split = load_split(name)
    if len(split.classes) > MOST_CLASSES:  # nothing is trained on these
        with pytest.raises(UserError, match="labels of a training are bytes"):
            training_table(split, split.fold(0), setting=setting)
        return
    for fold in split.folds:
        table = training_table(split, fold, setting=setting)
        vocabulary = fold.seen if setting == "inductive" else fold.classes
        for name_, id_ in zip(split.classes, split.ids, strict=True):
            if name_ in fold.seen or (setting == "fully-supervised" and name_ in fold.classes):
                assert vocabulary[table[id_]] == name_
            else:
                assert table[id_] >= UNSEEN_EXTENT


def test_border_switch() -> None:
    """Fails when VOC's border, which outlines unseen objects too, cannot be made plain unlabelled."""
    plain = training_table(PASCAL, PASCAL.fold(0), setting="inductive", border="unlabelled")
    void = training_table(PASCAL, PASCAL.fold(0), setting="inductive")
    assert (plain[255], void[255]) == (255, 254)
    assert (plain[:255] == void[:255]).all()


def test_background_as_class() -> None:
    """Fails when background as a class collides with a class or is not the last index."""
    assert training_table(PASCAL, PASCAL.fold(0), setting="inductive", background="class")[0] == 15
    assert training_table(PASCAL, PASCAL.fold(0), setting="fully-supervised", background="class")[0] == 20
    assert evaluation_table(PASCAL, background="class")[0] == 20


@pytest.mark.parametrize(("name", "classes"), [("ade847", 847), ("pc459", 459)])
def test_labels_of_16_bits(name: str, classes: int) -> None:
    """Fails when class 255 is taken for ignored, 65535 for a class, or labels are cut to bytes."""
    table = evaluation_table(load_split(name))
    assert (table.dtype, table.shape) == (np.uint16, (65536,))
    assert table[:classes].tolist() == list(range(classes))
    assert table[65535] == code(IGNORED, np.uint16) == 65535
    mask = np.array([[0, 255, 256, classes - 1, 65535]], np.uint16)
    labels = apply(table, mask)
    assert labels.tolist() == [[0, 255, 256, classes - 1, 65535]]
    assert class_indices(labels).tolist() == [[True] * 4 + [False]]
    with pytest.raises(DataError, match=rf"ids {classes}, 65534, expected 0..{classes - 1}, 65535"):
        apply(table, np.array([[classes, 65534]], np.uint16))


def test_ids_of_16_bits_and_few_classes() -> None:
    """Fails when a mask of 16 bits is looked up in a table of bytes by what is left of its ids."""
    fold = Fold(0, ("a", "b"), ("a", "b"), ())
    fields = dict.fromkeys(("background_id", "train_list", "val_list", "train_sha256", "val_sha256"))
    split = Split("x", "d", ("a", "b"), (7, 700), ignore_id=65535, folds=(fold,), note="", **fields)
    table = evaluation_table(split)
    assert table.dtype == np.uint8
    assert apply(table, np.array([[7, 700, 65535]], np.uint16)).tolist() == [[0, 1, 255]]
    with pytest.raises(DataError, match="ids 263"):  # 7 + 256
        apply(evaluation_table(PASCAL), np.array([[263]], np.uint16))


def test_ids_of_a_byte_and_many_classes() -> None:
    """Fails when an id above 255 is taken for class 252, where that is a class, instead of refused."""
    names = tuple(f"c{index}" for index in range(253))
    fields = dict.fromkeys(("background_id", "ignore_id", "train_list", "val_list", "train_sha256", "val_sha256"))
    split = Split("x", "d", names, tuple(range(253)), folds=(Fold(0, names, names, ()),), note="", **fields)
    table = evaluation_table(split)
    assert (table.dtype, table.shape) == (np.uint16, (256,))
    assert apply(table, np.array([[0, 252]], np.uint16)).tolist() == [[0, 252]]
    with pytest.raises(DataError, match=r"ids 700, expected 0\.\.252"):
        apply(table, np.array([[700]], np.uint16))


def test_evaluation_table() -> None:
    """Fails when truth is shifted by one, or background or border are counted."""
    table = evaluation_table(PASCAL)
    assert table[:21].tolist() == [255, *range(20)]
    assert table[255] == 255
    assert set(table[21:255].tolist()) == {ILLEGAL}


def test_permuting_unseen_ids_changes_no_inductive_label() -> None:
    """Fails when an inductive label tells one unseen class from another, or from background."""
    mask = np.random.default_rng(0).choice(np.array([*range(21), 255], dtype=np.uint8), size=(40, 40))
    for fold in PASCAL.folds:
        table = training_table(PASCAL, fold, setting="inductive")
        unseen = [PASCAL.ids[PASCAL.classes.index(name)] for name in fold.unseen]
        swap = np.arange(256, dtype=np.uint8)
        swap[unseen] = unseen[1:] + unseen[:1]
        gone = np.arange(256, dtype=np.uint8)
        gone[unseen] = 0
        assert (apply(table, swap[mask]) == apply(table, mask)).all()
        assert (apply(table, gone[mask]) == apply(table, mask)).all()
        assert set(np.unique(apply(table, mask))) == {*range(15), 254, 255}


def test_apply_names_illegal_ids() -> None:
    """Fails when a stray id becomes a label, or is not named."""
    table = evaluation_table(PASCAL)
    with pytest.raises(DataError, match=r"ids 21, 254, expected 0\.\.20, 255"):
        apply(table, np.array([[0, 21], [254, 3]], dtype=np.uint8))
    shapes = load_split("shapes-5i")
    with pytest.raises(DataError, match=r"ids 255, expected 0\.\.20"):
        apply(evaluation_table(shapes), np.array([[255]], dtype=np.uint8))


def test_masks_without_background_or_border() -> None:
    """Fails when a data set whose 255 is "unlabelled" (COCO-Stuff) or that has neither cannot be expressed."""
    base: dict = {**vars(PASCAL), "classes": ("a", "b"), "ids": (0, 1), "folds": (Fold(0, ("a", "b"), ("a",), ("b",)),)}
    stuff = dataclasses.replace(PASCAL, **(base | {"background_id": 255, "ignore_id": None}))
    assert training_table(stuff, stuff.folds[0], setting="inductive")[[0, 1, 255]].tolist() == [0, 255, 255]
    bare = dataclasses.replace(PASCAL, **(base | {"background_id": None, "ignore_id": None}))
    assert evaluation_table(bare)[[0, 1, 255]].tolist() == [0, 1, ILLEGAL]


def test_wrong_choices() -> None:
    """Fails when a misspelt setting falls through to some default."""
    for wrong in ({"setting": "induktive"}, {"background": "x"}, {"border": "x"}):
        with pytest.raises(ValueError, match="there are"):
            training_table(PASCAL, PASCAL.fold(0), **({"setting": "inductive"} | wrong))
    with pytest.raises(ValueError, match="other classes"):
        training_table(PASCAL, load_split("shapes-5i").fold(0), setting="inductive")
    assert labels.IGNORED == 255


@pytest.mark.parametrize("setting", SETTINGS)
def test_tune_folds_know_nothing_of_the_tested_classes(setting: str) -> None:
    """Fails when a class on which the fold is tested has a label, or is scored, while constants are chosen."""
    split = load_split("pascal-5i-tune")
    for fold, tested in zip(split.folds, PASCAL.folds, strict=True):
        ids = [split.ids[split.classes.index(name)] for name in tested.unseen]
        assert not set(tested.unseen) & set(fold.classes)
        assert set(training_table(split, fold, setting=setting)[ids].tolist()) == {255}
        truth = evaluation_table(split, fold)
        assert set(truth[ids].tolist()) == {255}
        assert {fold.classes[truth[i]] for i in split.ids if i not in ids} == set(fold.classes)
