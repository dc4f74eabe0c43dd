"""Training batches: every image once an epoch, the same from any start and with any workers, blind to unseen labels."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("mmseg")
from benchmarks.labels import VOID, evaluation_table, training_table  # noqa: E402
from benchmarks.training.augmentation import PHOTOS, Augmentation  # noqa: E402
from benchmarks.training.batches import TrainSet, batches, order, share_of  # noqa: E402
from splits.errors import DataError  # noqa: E402
from splits.loader import load_split  # noqa: E402

SPLIT = load_split("pascal-5i")
FOLD = SPLIT.fold(3)  # hides ids 16..20
TABLE = training_table(SPLIT, FOLD, setting="inductive")
FULL = evaluation_table(SPLIT)
SMALL = PHOTOS.model_copy(update={"resize": (128, 32), "crop": 32})


@settings(max_examples=80, deadline=None)
@given(count=st.integers(1, 17), batch=st.integers(1, 12), seed=st.integers(0, 2**40), epochs=st.integers(1, 4))
def test_each_image_once_an_epoch(count: int, batch: int, seed: int, epochs: int) -> None:
    """Fails when an image is left out (drop_last) or repeated within an epoch, also where a batch spans two."""
    stream = (draw for draws in order(count, seed=seed, batch=batch, start=0) for draw in draws)
    drawn = list(islice(stream, count * epochs))
    for epoch in range(epochs):
        part = drawn[epoch * count : (epoch + 1) * count]
        assert {e for e, _ in part} == {epoch}
        assert sorted(index for _, index in part) == list(range(count))


@settings(max_examples=80, deadline=None)
@given(count=st.integers(1, 17), batch=st.integers(1, 12), start=st.integers(0, 60), seed=st.integers(0, 9))
def test_independent_of_the_start(count: int, batch: int, start: int, seed: int) -> None:
    """Fails when a resumed run sees other images than the one that was not broken off."""
    whole = list(islice(order(count, seed=seed, batch=batch, start=0), start + 5))
    assert list(islice(order(count, seed=seed, batch=batch, start=start), 5)) == whole[start:]
    assert all(len(draws) == batch for draws in whole)


@settings(max_examples=60, deadline=None)
@given(ranks=st.integers(1, 5), each=st.integers(1, 4), count=st.integers(1, 17), start=st.integers(0, 20))
def test_ranks_share_the_batch(ranks: int, each: int, count: int, start: int) -> None:
    """Fails when the shares of the ranks, in their order, are not the batch that one process would take."""
    for draws in islice(order(count, seed=3, batch=ranks * each, start=start), 4):
        shares = [share_of(draws, rank, ranks) for rank in range(ranks)]
        assert {len(share) for share in shares} == {each}
        assert [draw for share in shares for draw in share] == draws


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_does_not_depend_on_who_draws_it(random_reader, workers: int) -> None:
    """Fails when the augmentation of a picture depends on the rank, on its place in the share, or on a worker."""
    reader = random_reader(6, 40, 50)
    data = TrainSet(reader, TABLE, SMALL, full_table=FULL, crop_decision="masked", seed=1)
    (images, labels), *_ = islice(batches(data, 6, seed=2, batch=4, start=3, workers=0), 1)
    parts = [next(batches(data, 6, seed=2, batch=4, start=3, workers=workers, rank=rank, ranks=2)) for rank in range(2)]
    assert torch.equal(torch.cat([part.pixels for part, _ in parts]), images.pixels)
    assert torch.equal(torch.cat([part for _, part in parts]), labels)


def test_epochs_and_seeds_shuffle_differently() -> None:
    """Fails when epochs repeat, seeds share an order, or nothing is shuffled at all."""
    orders = {
        tuple(index for _, index in draws)
        for seed in range(5)
        for draws in islice(order(40, seed=seed, batch=40, start=0), 5)
    }
    assert len(orders) == 25
    assert tuple(range(40)) not in orders
    firsts = [next(order(40, seed=seed, batch=40, start=0))[0][1] for seed in range(200)]
    assert len(set(firsts)) > 30


def test_order_does_not_touch_global_states() -> None:
    """Fails when shuffling draws from, or moves, a global random state."""
    np.random.seed(3)
    torch.manual_seed(3)
    one = next(order(30, seed=1, batch=30, start=0))
    states = np.random.random(), torch.rand(1)
    np.random.seed(3)
    torch.manual_seed(3)
    assert states[0] == np.random.random()
    assert torch.equal(states[1], torch.rand(1))
    assert next(order(30, seed=1, batch=30, start=0)) == one


def blocks(seed: int, height: int = 45, width: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A noisy picture; a mask of blocks of seen, unseen, background and border ids."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.array([0, 3, 7, 15, 16, 18, 20, 255], dtype=np.uint8), size=(5, 5))
    mask = np.kron(ids, np.ones((height // 5, width // 5), dtype=np.uint8))
    return rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8), mask


@pytest.fixture(scope="module")
def reader(make_reader):
    return make_reader(blocks(seed) for seed in range(7))


def data(reader, augmentation: Augmentation = SMALL, *, seed: int = 0, crop_decision="masked", table=TABLE) -> TrainSet:
    return TrainSet(reader, table, augmentation, full_table=FULL, crop_decision=crop_decision, seed=seed)


def drawn(reader, steps: int, *, start: int = 0, workers: int = 0, seed: int = 0, batch: int = 3, **kwargs) -> list:
    source = batches(data(reader, seed=seed, **kwargs), 7, seed=seed, batch=batch, start=start, workers=workers)
    return list(islice(source, steps))


def same(one: list, other: list) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.pixels, b.pixels)
        and torch.equal(x, y)
        and ((a.sizes is None and b.sizes is None) or torch.equal(a.sizes, b.sizes))
        for (a, x), (b, y) in zip(one, other, strict=True)
    )


def test_shapes(reader) -> None:
    """Fails when a batch is not what the interface of the methods says."""
    images, labels = drawn(reader, 1)[0]
    assert images.pixels.shape == (3, 3, 32, 32)
    assert labels.shape == (3, 32, 32)
    assert images.pixels.dtype == labels.dtype == torch.uint8
    assert set(labels.unique().tolist()) <= {2, 6, 14, 254, 255}


def test_workers_do_not_matter(reader) -> None:
    """Fails when worker processes change a byte, the order, or the global random state of the run."""
    torch.manual_seed(11)
    untouched = torch.rand(1)
    torch.manual_seed(11)
    alone = drawn(reader, 8)
    assert torch.equal(torch.rand(1), untouched)
    torch.manual_seed(11)
    helped = drawn(reader, 8, workers=2)
    assert torch.equal(torch.rand(1), untouched)
    assert same(alone, helped)


def test_restarts_do_not_matter(reader) -> None:
    """Fails when the batches of a resumed run differ."""
    whole = drawn(reader, 9)
    for start in (1, 4, 7):
        assert same(drawn(reader, 9 - start, start=start), whole[start:])
    assert not same(drawn(reader, 9, seed=1), whole)


def test_augmentation_differs_between_epochs(reader) -> None:
    """Fails when an image is cut the same way in every epoch."""
    first, second = drawn(reader, 2, batch=7)
    lots = [{images.pixels[i].numpy().tobytes() for i in range(7)} for images, _ in (first, second)]
    assert not lots[0] & lots[1]


def test_sizes_are_told_where_there_is_padding(make_reader) -> None:
    """Fails when a method takes padding for picture, or is told of padding where there is none."""
    reader = make_reader([blocks(0, 20, 60), blocks(1, 45, 60)])
    cut = Augmentation(crop=32)
    images, labels = next(batches(data(reader, cut), 2, seed=0, batch=2, start=0, workers=0))
    assert sorted(images.sizes.tolist()) == [[20, 32], [32, 32]]
    small = images.sizes[:, 0].argmin()
    assert (labels[small, 20:] == VOID).all()
    assert not images.valid()[small, 20:].any()
    whole = make_reader([blocks(1), blocks(2)])
    assert next(batches(data(whole, cut), 2, seed=0, batch=2, start=0, workers=0))[0].sizes is None


class Broken:
    """A reader whose second picture is damaged."""

    ids = ("a", "b")

    def read(self, index: int):
        raise DataError("image b.jpg cannot be decoded; copy it again")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_sample_is_one_line(workers: int) -> None:
    """Fails when the reason why a picture cannot be read drags the trace of a worker process along."""
    source = batches(data(Broken()), 2, seed=0, batch=2, start=0, workers=workers)
    with pytest.raises(DataError) as raised:
        next(source)
    assert str(raised.value) == "image b.jpg cannot be decoded; copy it again"


def test_a_mask_of_another_data_set_is_one_line(make_reader) -> None:
    """Fails when stray ids are trained on, or told by a trace."""
    image, mask = blocks(0)
    mask[0, 0] = 77
    with pytest.raises(DataError, match=r"ids 77, expected 0\.\.20, 255"):
        next(batches(data(make_reader([(image, mask)])), 1, seed=0, batch=1, start=0, workers=0))


# -- leakage: what a method gets must not depend on where unseen classes are, or which


def permuted(mask: np.ndarray) -> np.ndarray:
    swap = np.arange(256, dtype=np.uint8)
    swap[16:21] = [20, 16, 17, 18, 19]
    return swap[mask]


def erased(mask: np.ndarray) -> np.ndarray:
    return np.where((mask >= 16) & (mask <= 20), np.uint8(0), mask)


@pytest.mark.parametrize("change", [permuted, erased])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_blind_to_unseen_classes(make_reader, change, workers: int) -> None:
    """Fails when labels, pixels, crops or sizes tell which unseen class stands where, or that one does."""
    plain = make_reader(blocks(seed) for seed in range(7))
    other = make_reader((image, change(mask)) for image, mask in plain.pairs)
    assert any((a[1] != b[1]).any() for a, b in zip(plain.pairs, other.pairs, strict=True))
    assert same(drawn(plain, 14, workers=workers), drawn(other, 14, workers=workers))


@pytest.mark.parametrize("setting", ["transductive", "transductive-known-extent"])
def test_transductive_batches_do_not_tell_which(make_reader, setting) -> None:
    """Fails when a transductive setting hands out unseen classes, or the plain one tells where they end."""
    table = training_table(SPLIT, FOLD, setting=setting)
    plain = make_reader(blocks(seed) for seed in range(7))
    told = {}
    for change in (permuted, erased):
        other = make_reader((image, change(mask)) for image, mask in plain.pairs)
        told[change] = not same(drawn(plain, 7, table=table), drawn(other, 7, table=table))
    assert not told[permuted]
    assert told[erased] == (setting == "transductive-known-extent")


def test_the_test_above_can_see_a_leak(make_reader) -> None:
    """Fails when the masks of these tests are such that even the released decision on full labels would pass."""
    plain = make_reader(blocks(seed) for seed in range(7))
    other = make_reader((image, erased(mask)) for image, mask in plain.pairs)
    assert not same(drawn(plain, 14, crop_decision="full"), drawn(other, 14, crop_decision="full"))


def test_full_labels_are_out_of_reach_of_the_masked_decision(reader) -> None:
    """Fails when the set keeps a table of all classes although nothing may look at it."""
    kept = [value for value in vars(data(reader)).values() if isinstance(value, np.ndarray)]
    assert len(kept) == 1
    assert np.array_equal(kept[0], TABLE)


@pytest.mark.parametrize("stop_at", [None, 3])
def test_workers_and_restarts_give_the_same_weights(reader, make_recipe, tmp_path, stop_at) -> None:
    """Fails when the number of loader processes, or a break, shows in a single bit of the trained weights."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
    from torch import nn

    from benchmarks.training.checkpoint import Checkpoints
    from benchmarks.training.train import Stopped, train
    from methods.method import Method

    class Tiny(Method):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.2))
            self.head = nn.Conv2d(4, 15, 1)

        def losses(self, images, labels, *, progress):
            logits = self.head(self.body(images.normalised((127,) * 3, (60,) * 3)))
            labels = torch.where(labels < 253, labels.long(), -100)
            return {"ce": nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum") / 100}

    def trained(workers: int, stop_at: int | None = None) -> tuple[dict, list]:
        method, reached = Tiny(), [0]
        folder = tmp_path / str((workers, stop_at is None))
        folder.mkdir(exist_ok=True)
        result = train(
            method,
            lambda start: batches(data(reader), 7, seed=0, batch=3, start=start, workers=workers),
            make_recipe(iterations=6, batch=3),
            seed=0,
            fabric=Fabric(accelerator="cpu", devices=1, plugins=[LightningEnvironment()]),
            checkpoints=Checkpoints(folder, "spec", lambda path, content: path.write_bytes(content) and None),
            watch=lambda progress: reached.append(progress.step),
            stop=lambda: reached[-1] == stop_at,
        )
        return method.state_dict(), result.curve

    alone = trained(0)
    if stop_at is not None:
        with pytest.raises(Stopped):
            trained(2, stop_at)
        (tmp_path / "(2, False)").rename(tmp_path / "(2, True)")
    helped = trained(2)
    assert alone[1] == helped[1]
    assert all(torch.equal(alone[0][name], helped[0][name]) for name in alone[0])
