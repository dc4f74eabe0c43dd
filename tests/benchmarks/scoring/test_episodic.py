"""Episodic items: against sums over pixels written out, on made-up masks and on the real photos' lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from benchmarks.data.datasets import open_reader  # noqa: E402
from benchmarks.protocol import Inference  # noqa: E402
from benchmarks.scoring.episodic import OTHERS, chosen, evaluate_items, item_table  # noqa: E402
from benchmarks.scoring.metrics import fb_iou, iou_per_class  # noqa: E402
from methods.method import Images, Method, Vocabulary  # noqa: E402
from splits.errors import UserError  # noqa: E402
from splits.loader import load_split, read_list  # noqa: E402
from splits.pairs import read_pairs  # noqa: E402

SPLIT = load_split("pascal-5i")
UNSEEN = SPLIT.folds[0].unseen
MINI = Path(__file__).resolve().parents[4] / "shared/data/voc-mini"
WHOLE = Inference(short_side=12)


class Reds(Method):
    """A class is where a picture is red, the more so the later it stands in the alphabet; others score a half."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Vocabulary] = []

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        self.asked.append(vocabulary)
        red = images.pixels[:, 0].double() / 255
        gain = 0.6 + ord(vocabulary.names[1][0]) % 7 / 10
        return torch.stack([torch.full_like(red, 0.5), red * gain], dim=1)


def vocabulary() -> Vocabulary:
    return Vocabulary(UNSEEN, (False,) * 5, tuple(f"the {name}" for name in UNSEEN), ("a {}",))


@pytest.fixture(scope="module")
def pictures(random_reader):
    reader = random_reader(6, 12, 15, ids=(0, 1, 2, 3, 12, 255))
    items = [(reader.ids[i], UNSEEN[k]) for i, k in ((0, 0), (1, 0), (2, 1), (3, 2), (3, 0), (5, 4))]
    return reader, items


def slow(reader, items) -> tuple[dict[str, float], float]:
    """IoU of each class's foreground and FB-IoU, by sets of pixels."""
    inter = {name: np.zeros(2) for name in UNSEEN}
    union = {name: np.zeros(2) for name in UNSEEN}
    for id_, name in items:
        image, mask = reader.pairs[reader.ids.index(id_)]
        gain = 0.6 + ord(name[0]) % 7 / 10
        said = image[..., 0] / 255 * gain > 0.5
        truth, there = mask == SPLIT.ids[SPLIT.classes.index(name)], mask != 255
        for foreground in (0, 1):
            a, b = (said == foreground) & there, (truth == foreground) & there
            inter[name][foreground] += (a & b).sum()
            union[name][foreground] += (a | b).sum()
    iou = {name: inter[name][1] / union[name][1] for name in UNSEEN if union[name][1]}
    total = sum(inter.values()) / sum(union.values())
    return iou, float(total.mean())


def test_equal_to_sums_over_pixels(pictures) -> None:
    """Fails when an item is scored against another class, areas are averaged instead of summed, or 255 is counted."""
    reader, items = pictures
    method = Reds()
    found = evaluate_items(method, reader, SPLIT, items, vocabulary(), WHOLE)
    (matrix,) = found.matrices
    iou, both = slow(reader, items)
    ours = iou_per_class(matrix)[1::2]
    assert {name: v for name, v in zip(UNSEEN, ours, strict=True) if v == v} == pytest.approx(iou)
    assert np.isnan(ours[3])  # no item is of this class
    assert fb_iou(matrix) == pytest.approx(both)
    ignored = sum(int((reader.pairs[reader.ids.index(i)][1] == 255).sum()) for i, _ in items)
    assert (found.images, found.ignored_pixels) == (6, ignored)
    assert matrix.sum() + ignored == 6 * 12 * 15
    blocks = np.kron(np.eye(5, dtype=int), np.ones((2, 2), dtype=int))
    assert (matrix[blocks == 0] == 0).all()
    per_image = np.zeros_like(matrix)
    np.add.at(per_image, (found.per_image[:, 1], found.per_image[:, 2]), found.per_image[:, 3])
    np.testing.assert_array_equal(per_image, matrix)


def test_only_the_given_class_is_asked(pictures) -> None:
    """Fails when an item lets a method choose among classes, or a seen-score shift reaches it."""
    reader, items = pictures
    method = Reds()
    method.seen_shift = 0.3
    found = evaluate_items(method, reader, SPLIT, items, vocabulary(), WHOLE)
    assert [v.names for v in method.asked] == [(OTHERS, name) for _, name in items]
    assert [v.texts for v in method.asked] == [(OTHERS, f"the {name}") for _, name in items]
    assert not any(any(v.seen) for v in method.asked)
    method.seen_shift = 0.0
    again = evaluate_items(method, reader, SPLIT, items, vocabulary(), WHOLE)
    np.testing.assert_array_equal(found.matrices, again.matrices)


def test_order_of_items_does_not_matter(pictures) -> None:
    """Fails when an item's counts depend on those before it."""
    reader, items = pictures
    one = evaluate_items(Reds(), reader, SPLIT, items, vocabulary(), WHOLE)
    other = evaluate_items(Reds(), reader, SPLIT, items[::-1], vocabulary(), WHOLE)
    np.testing.assert_array_equal(one.matrices, other.matrices)


def test_truth_of_an_item() -> None:
    """Fails when another class, seen or unseen, is not `others`, or the border counts."""
    table = item_table(SPLIT, "bird")
    assert table[[0, 3, 4, 20, 255]].tolist() == [0, 1, 0, 0, 255]
    assert set(table[21:255].tolist()) == {252}
    coco = load_split("coco-20i")
    assert item_table(coco, "person")[[0, 1, 80, 255]].tolist() == [0, 1, 0, 252]


class Ids:
    """A reader as far as its ids."""

    def __init__(self, ids) -> None:
        self.ids = tuple(ids)

    def __len__(self) -> int:
        return len(self.ids)


def test_which_items() -> None:
    """Fails when the 1,000 are not the list gone round from its start, or a missing image is scored."""
    pairs = read_pairs(SPLIT, 0)
    everything = Ids(read_list("voc2012_seg_val_1449"))
    assert chosen(pairs, everything, hsnet=False, limit=None) == pairs
    thousand = chosen(pairs, everything, hsnet=True, limit=None)
    assert len(thousand) == 1000
    assert thousand[:346] == thousand[346:692] == pairs
    assert thousand[692:] == pairs[:308]
    some = chosen(pairs, Ids([pairs[4][0]]), hsnet=False, limit=None)
    assert some[0] == pairs[4]
    assert {id_ for id_, _ in some} == {pairs[4][0]}
    assert chosen(pairs, everything, hsnet=True, limit=3) == pairs[:3]
    with pytest.raises(UserError, match="none of the 346 listed items"):
        chosen(pairs, Ids(["x"]), hsnet=False, limit=None)


@pytest.mark.skipif(not MINI.is_dir(), reason="the small photo set is not beside this checkout")
def test_a_perfect_answer_on_real_photos() -> None:
    """Fails when the lists' ids or classes do not fit the data set's: an answer that is the truth scores 1."""
    reader = open_reader(SPLIT, "val", data_root=MINI, subset=True)
    fold = SPLIT.folds[3]
    items = chosen(read_pairs(SPLIT, 3), reader, hsnet=False, limit=12)

    class Knows(Method):
        def __init__(self) -> None:
            super().__init__()
            self.todo = list(items)

        def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
            id_, name = self.todo.pop(0)
            mask = reader.mask(reader.ids.index(id_))
            hit = torch.from_numpy(mask == SPLIT.ids[SPLIT.classes.index(name)]).double()
            assert hit.any(), f"{id_} holds no {name}"
            return torch.stack([1 - hit, hit])[None]

    names = Vocabulary(fold.unseen, (False,) * 5, fold.unseen, ("{}",))
    short = min(reader.read(reader.ids.index(items[0][0])).mask.shape)
    same = [i for i in items if min(reader.read(reader.ids.index(i[0])).mask.shape) == short]
    method = Knows()
    method.todo = list(same)
    (matrix,) = evaluate_items(method, reader, SPLIT, same, names, Inference(short_side=short)).matrices
    assert fb_iou(matrix) == 1
    assert np.nanmin(iou_per_class(matrix)) == 1
