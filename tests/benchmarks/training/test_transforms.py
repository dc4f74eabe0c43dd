"""The training pipeline: aligned, repeatable, blind to unseen labels."""

import pickle
import random

import numpy as np
import pytest

from benchmarks.labels import UNLABELLED, VOID, apply, evaluation_table, training_table
from benchmarks.training.augmentation import PHOTOS, Augmentation, sample_seed
from benchmarks.training.transforms import TrainPipeline
from splits.loader import load_split

pytest.importorskip("mmseg")

SPLIT = load_split("pascal-5i")
FOLD = SPLIT.fold(3)  # hides ids 16..20
TABLE = training_table(SPLIT, FOLD, setting="inductive")
FULL = evaluation_table(SPLIT)
SMALL = PHOTOS.model_copy(update={"resize": (256, 64), "crop": 64})  # the papers' pipeline at an eighth of its size


def scene(seed: int, height: int = 75, width: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """A noisy picture and a mask of large blocks of seen, unseen, background and border ids."""
    rng = np.random.default_rng(seed)
    blocks = rng.choice(np.array([0, 3, 7, 12, 15, 16, 18, 20, 255], dtype=np.uint8), size=(5, 5))
    mask = np.kron(blocks, np.ones((height // 5, width // 5), dtype=np.uint8))
    return rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8), mask


def run(
    pipeline: TrainPipeline, image: np.ndarray, mask: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, tuple]:
    return pipeline(image, apply(TABLE, mask), apply(FULL, mask), seed)


def same(one: tuple, other: tuple) -> bool:
    return bool(np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1]) and one[2] == other[2])


def test_shapes_and_types() -> None:
    """Fails when a batch cannot be stacked from what comes out."""
    for seed in range(5):
        image, labels, size = run(TrainPipeline(SMALL), *scene(seed), seed)
        assert (image.shape, labels.shape) == ((3, 64, 64), (64, 64))
        assert image.dtype == labels.dtype == np.uint8
        assert image.flags.c_contiguous
        assert labels.flags.c_contiguous
        assert all(isinstance(side, int) and 0 < side <= 64 for side in size)


def test_nothing_asked_nothing_done() -> None:
    """Fails when the built-in recipe, which augments nothing, changes a picture."""
    image, mask = scene(0)
    out, labels, size = run(TrainPipeline(Augmentation()), image, mask, 1)
    np.testing.assert_array_equal(out, image.transpose(2, 0, 1))
    np.testing.assert_array_equal(labels, apply(TABLE, mask))
    assert size == mask.shape


def test_deterministic_whatever_came_before() -> None:
    """Fails when a sample depends on the global random state, on earlier samples, or on the pipeline object."""
    wanted = [run(TrainPipeline(SMALL), *scene(i), sample_seed(0, 1, i)) for i in range(4)]
    pipeline = TrainPipeline(SMALL)
    for i in (3, 1, 0, 2, 3):
        np.random.seed(i)
        random.seed(i)
        assert same(run(pipeline, *scene(i), sample_seed(0, 1, i)), wanted[i])
    again = pickle.loads(pickle.dumps(pipeline))
    assert same(run(again, *scene(2), sample_seed(0, 1, 2)), wanted[2])


def test_global_random_states_are_left_alone() -> None:
    """Fails when augmenting moves the state that others draw from, also when it ends in an error."""
    np.random.seed(7)
    random.seed(7)
    wanted = np.random.random(), random.random()
    np.random.seed(7)
    random.seed(7)
    run(TrainPipeline(SMALL), *scene(0), 3)
    broken = TrainPipeline(SMALL)
    broken.__dict__["_steps"] = [lambda results: 1 / 0]
    with pytest.raises(ZeroDivisionError):
        run(broken, *scene(0), 3)
    assert (np.random.random(), random.random()) == wanted


def test_seeds_differ() -> None:
    """Fails when epochs repeat one another, or seeds of different (seed, epoch, index) meet."""
    seeds = {sample_seed(s, e, i) for s in range(6) for e in range(6) for i in range(30)}
    assert len(seeds) == 6 * 6 * 30
    outcomes = {run(TrainPipeline(SMALL), *scene(0), sample_seed(0, epoch, 0))[0].tobytes() for epoch in range(8)}
    assert len(outcomes) == 8


def test_high_bits_of_the_seed_count() -> None:
    """Fails when only 32 bits of a seed are used."""
    one, other = (run(TrainPipeline(SMALL), *scene(0), 5 + (high << 32)) for high in (0, 1))
    assert not same(one, other)


def test_image_and_labels_stay_aligned() -> None:
    """Fails when picture and labels are cut or mirrored differently: the picture carries its own coordinates."""
    rows, columns = np.mgrid[0:90, 0:120].astype(np.uint8)
    image = np.stack([rows, columns, rows + columns], axis=-1)
    labels = (rows // 16 * 8 + columns // 16).astype(np.uint8) % 15
    pipeline, mirrored = TrainPipeline(Augmentation(crop=48, flip=0.5)), set()
    for seed in range(20):
        out, cut, size = pipeline(image, labels, None, seed)
        assert size == (48, 48)
        y, x = out[0].astype(int), out[1].astype(int)
        np.testing.assert_array_equal(cut, (y // 16 * 8 + x // 16) % 15)
        np.testing.assert_array_equal(out[2], y + x)
        mirrored.add(bool(x[0, 0] > x[0, 1]))
    assert mirrored == {True, False}


def test_resized_image_and_labels_stay_aligned() -> None:
    """Fails when one of the two is resized or cut differently: labels are painted into the picture as grey values."""
    labels = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((30, 30), dtype=np.uint8))
    image = np.repeat(labels[:, :, None] * np.uint8(20), 3, axis=2)
    pipeline = TrainPipeline(SMALL.model_copy(update={"photometric": False}))
    for seed in range(20):
        out, cut, (height, width) = pipeline(image, labels, None, seed)
        wrong = np.abs(out[0].astype(int) - cut.astype(int) * 20)[:height, :width] > 10
        assert wrong.mean() < 0.1  # the blended edges alone; one pixel off is 0.12
        assert set(np.unique(cut)) <= {*range(12), VOID}


def test_scale_range() -> None:
    """Fails when pictures are not resized to half up to twice the short side."""
    image, mask = scene(0, 100, 100)
    pipeline = TrainPipeline(Augmentation(resize=(256, 64)))
    sides = [run(pipeline, image, mask, seed)[1].shape[0] for seed in range(60)]
    assert 32 <= min(sides) < 45
    assert 110 < max(sides) <= 128


def test_padding() -> None:
    """Fails when padding can be learned from: labels 254, pixels 0, and the real size told."""
    image, mask = scene(1, 40, 100)
    image[image == 0] = 1
    out, labels, size = run(TrainPipeline(Augmentation(crop=64)), image, mask, 0)
    assert size == (40, 64)
    assert (labels[40:] == VOID).all()
    assert (out[:, 40:] == 0).all()
    assert out[:, :40].all()
    assert (labels[:40] != VOID).any()


def test_labels_survive_as_they_are() -> None:
    """Fails when an unseen class comes through, or resizing mixes labels into ones that are not there."""
    for seed in range(10):
        image, mask = scene(seed)
        labels = run(TrainPipeline(SMALL), image, mask, seed)[1]
        assert set(np.unique(labels)) <= set(np.unique(apply(TABLE, mask))) | {VOID}
        assert set(np.unique(labels)) <= {2, 6, 11, 14, VOID, UNLABELLED}


def permuted(mask: np.ndarray) -> np.ndarray:
    """The unseen ids exchanged among themselves."""
    swap = np.arange(256, dtype=np.uint8)
    swap[16:21] = [20, 16, 17, 18, 19]
    return swap[mask]


def erased(mask: np.ndarray) -> np.ndarray:
    """Every unseen pixel made background."""
    return np.where((mask >= 16) & (mask <= 20), np.uint8(0), mask)


@pytest.mark.parametrize("change", [permuted, erased])
def test_unseen_labels_decide_nothing(change) -> None:
    """Fails when which unseen class stands where, or that one stands there at all, changes anything."""
    pipeline = TrainPipeline(SMALL)
    for seed in range(25):
        image, mask = scene(seed)
        assert same(run(pipeline, image, mask, seed), run(pipeline, image, change(mask), seed))


def test_full_crop_decision_leaks() -> None:
    """Fails when "full" (the released ZegCLIP) is the same as "masked", or the test above could not see a leak."""
    pipeline = TrainPipeline(SMALL, crop_decision="full")
    changed = [
        not same(run(pipeline, *scene(s), s), run(pipeline, scene(s)[0], erased(scene(s)[1]), s)) for s in range(25)
    ]
    assert any(changed)


def test_crops_avoid_a_single_class() -> None:
    """Fails when cat_max_ratio does not act: most crops of one small object in a large one must show both."""
    labels = np.zeros((200, 200), dtype=np.uint8)
    labels[:, :60] = 1
    image = np.zeros((200, 200, 3), dtype=np.uint8)

    def share(config: Augmentation) -> float:
        pipeline = TrainPipeline(config)
        return float(np.mean([len(np.unique(pipeline(image, labels, None, s)[1])) > 1 for s in range(60)]))

    assert share(Augmentation(crop=64)) > 0.9
    assert share(Augmentation(crop=64, cat_max_ratio=1.0)) < 0.7


def test_photometric_changes_pixels_alone() -> None:
    """Fails when colours move labels, or the channels come back in another order."""
    image, mask = scene(2)
    image[...] = (200, 100, 40)  # red first
    pipeline = TrainPipeline(Augmentation(photometric=True))
    outs = [run(pipeline, image, mask, seed) for seed in range(40)]
    assert all(np.array_equal(out[1], apply(TABLE, mask)) for out in outs)
    assert len({out[0].tobytes() for out in outs}) > 20
    assert all(out[0].reshape(3, -1).mean(axis=1).argmax() == 0 for out in outs)  # hue moves by 36 degrees at most


def test_photometric_is_mmsegmentations_own() -> None:
    """Fails when the colour transform sees red where it expects blue: saturation and hue would turn the other way."""
    from mmseg.datasets.transforms import PhotoMetricDistortion

    image, mask = scene(4)
    state = np.random.get_state()
    for seed in range(10):
        np.random.seed([seed, 0])
        theirs = PhotoMetricDistortion()({"img": np.ascontiguousarray(image[..., ::-1])})["img"][..., ::-1]
        ours = run(TrainPipeline(Augmentation(photometric=True)), image, mask, seed)[0]
        np.testing.assert_array_equal(ours.transpose(1, 2, 0), theirs)
    np.random.set_state(state)


def test_inputs_are_not_changed() -> None:
    """Fails when a data set kept in memory is augmented in place."""
    image, mask = scene(0)
    labels = apply(TABLE, mask)
    before = image.copy(), labels.copy()
    for config in (SMALL, Augmentation(), Augmentation(flip=1.0)):
        out, cut, _ = TrainPipeline(config)(image, labels, None, 0)
        out[:], cut[:] = 0, 0
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_bad_inputs() -> None:
    """Fails when swapped or misshapen arrays are augmented anyway."""
    image, mask = scene(0)
    pipeline = TrainPipeline(SMALL)
    for wrong in (
        (mask, mask, None),
        (image, mask[:-1], None),
        (image, mask, mask[:, :-1]),
        (image[..., :2], mask, None),
    ):
        with pytest.raises(ValueError, match="expected"):
            pipeline(*wrong, 0)
    with pytest.raises(ValueError, match="uint8"):
        pipeline(image.astype(np.float32), mask, None, 0)
    with pytest.raises(ValueError, match="needs the full labels"):
        TrainPipeline(SMALL, crop_decision="full")(image, mask, None, 0)
    with pytest.raises(ValueError, match="there are"):
        TrainPipeline(SMALL, crop_decision="half")  # type: ignore[arg-type]


def test_configuration_is_a_value() -> None:
    """Fails when a misspelt or impossible setting is accepted, or a default no longer has the digest it had."""
    for wrong in ({"crops": 512}, {"crop": 0}, {"flip": 1.5}, {"cat_max_ratio": 0}):
        with pytest.raises(ValueError, match="validation error"):
            Augmentation(**wrong)
    assert Augmentation().essence() == {}
    assert PHOTOS.essence() == {"resize": [2048, 512], "crop": 512, "flip": 0.5, "photometric": True}
