import dataclasses
import hashlib
import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.shapes.clip import pools, pretrain
from benchmarks.shapes.paint import paint
from benchmarks.shapes.silhouettes import OPAQUE, SIDE, silhouette
from benchmarks.shapes.world import CLIP_PARTS, NAMES, PARTS, Part, Picture, Placed, Scene, render_picture, render_scene

PINNED = {
    (11, 0, 64): ("f6a887113b1b40bd", "c3e929d751feb14f"),
    (12, 1, 64): ("d3ccb08a5f9770bb", "4e14b94ebd0e0339"),
    (13, 499, 64): ("07d4add0ce2cf3ba", "27f60641649540f0"),
    (13, 7, 96): ("794e5d72cfe7da26", "73d5b24f965a0cb5"),
    (21, 6, 48): ("8a4d9a2345e97cef", "522df69aba3d7826"),
    (11, 1499, 128): ("64de6711df128580", "a698c87aca322374"),
}


def _digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()[:16]


def _covers(placed: Placed, x: float, y: float) -> bool:
    """Whether a point of the scene lies on the object: rotate back, mirror back, look the texel up."""
    turn = math.radians(placed.degrees)
    dx, dy = x - placed.centre[0], y - placed.centre[1]
    across, down = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
    if placed.mirror:
        across = -across
    column, row = (math.floor((a / e + 0.5) * SIDE) for a, e in zip((across, down), placed.extent, strict=True))
    return 0 <= row < SIDE and 0 <= column < SIDE and silhouette(NAMES[placed.label - 1])[row, column] > OPAQUE // 2


def _slow_shares(placed: Placed, row: int, column: int) -> float:
    offsets = [(k + 0.5) / 5 for k in range(5)]
    return sum(_covers(placed, column + a, row + b) for a in offsets for b in offsets) / 25


@pytest.mark.parametrize(("seed", "index", "size"), PINNED)
def test_bytes_are_pinned(seed, index, size):
    # Fails when any byte of a picture or mask changes: stored results would no longer be about the same world.
    scene = render_scene(seed, index, size=size)
    picture = render_picture(seed, index, size=size, hardness=0.7)
    assert (_digest(scene.image, scene.mask), _digest(picture.image)) == PINNED[seed, index, size]


@pytest.mark.parametrize(("index", "size"), [(0, 64), (3, 64), (5, 64), (8, 64), (2, 96), (5, 48)])
def test_masks_equal_a_slow_drawing(index, size):
    # Fails when rotation, mirroring, scale, centring or the order of occlusion of the fast renderer is wrong.
    scene = render_scene(77, index, size=size)
    doubtful = 0
    for row in range(size):
        for column in range(size):
            shares = [_slow_shares(placed, row, column) for placed in scene.objects]
            if any(0.25 < share < 0.75 for share in shares):
                doubtful += 1  # the two drawings filter an edge differently
                continue
            on_top = [o.label for o, share in zip(scene.objects, shares, strict=True) if share > 0.5]
            assert scene.mask[row, column] == (on_top[-1] if on_top else 0), (row, column)
    assert doubtful < 0.15 * size * size


def test_slow_drawing_covers_mirrors_and_occlusion():
    # Fails when the scenes of the test above stop containing what it is there to check.
    scenes = [render_scene(77, index) for index in (0, 3, 5, 8)]
    assert any(o.mirror and o.degrees for s in scenes for o in s.objects)
    assert any(len(s.objects) == 3 for s in scenes)


def test_later_objects_occlude_earlier_ones():
    # Fails when an object painted later does not take the pixels that it shares with an earlier one.
    canvas, mask = np.full((3, 64, 64), 200, dtype=np.int16), np.zeros((64, 64), dtype=np.uint8)
    for name in ("cross", "heart"):
        placed = Placed(NAMES.index(name) + 1, (32.0, 32.0), (40.0, 40.0), 0, False)
        paint(canvas, mask, placed, iter([0.5] * 64), 0.0)
    assert mask[32, 32] == NAMES.index("heart") + 1
    assert mask[49, 32 - 5] == NAMES.index("cross") + 1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**40), index=st.integers(0, 2**40), size=st.sampled_from((16, 33, 48, 64, 96, 128, 256)))
def test_scene_invariants(seed, index, size):
    # Fails on overflow at odd sizes, illegal ids, repeated classes, hidden state between calls, objects out of range.
    scene, again = (render_scene(seed, index, size=size) for _ in range(2))
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == scene.mask.dtype == np.uint8
    assert scene.mask.shape == (size, size)
    labels = [o.label for o in scene.objects]
    assert 1 <= len(labels) <= 3
    assert len(set(labels)) == len(labels)
    assert set(np.unique(scene.mask)) <= {0, *labels}
    assert set(labels) <= set(range(1, len(NAMES) + 1))
    for placed in scene.objects:
        assert 20 * 0.999 <= max(placed.extent) * 64 / size <= 44 * 1.001
        assert abs(placed.degrees) <= 30
        assert all(0 <= c <= size for c in placed.centre)
    assert np.array_equal(scene.image, again.image)
    assert np.array_equal(scene.mask, again.mask)
    assert scene.objects == again.objects


@settings(max_examples=40, deadline=None)
@given(index=st.integers(0, 2**40), size=st.sampled_from((16, 32, 48, 64, 96)), hardness=st.floats(0, 1))
def test_picture_invariants(index, size, hardness):
    # Fails when a picture's class does not follow from its index, or a level of the curriculum breaks the drawing.
    picture = render_picture(3, index, size=size, hardness=hardness)
    assert picture.image.shape == (size, size, 3)
    assert picture.image.dtype == np.uint8
    assert picture.names == (NAMES[index % len(NAMES)],)
    assert np.array_equal(picture.image, render_picture(3, index, size=size, hardness=hardness).image)


def test_objects_are_darker_than_the_background():
    # Fails when colours overflow or lose their polarity, on which the tiny CLIP depends.
    scenes = [render_scene(79, index) for index in range(50)]
    light = np.mean([s.image[s.mask == 0].mean() for s in scenes])
    dark = np.mean([s.image[s.mask > 0].mean() for s in scenes])
    assert light > 165
    assert dark < 120


def test_same_scene_at_every_size():
    # Fails when a draw depends on the size and shifts the ones after it.
    small, large = render_scene(11, 4, size=64), render_scene(11, 4, size=128)
    assert [o.label for o in small.objects] == [o.label for o in large.objects]
    assert all(
        np.allclose(np.multiply(a.centre, 2), b.centre) for a, b in zip(small.objects, large.objects, strict=True)
    )
    assert (small.mask == large.mask[::2, ::2]).mean() > 0.95


def test_all_classes_occur_about_equally():
    # Fails when labels are drawn with a bias, which would weigh the classes of the folds differently.
    counts = np.zeros(len(NAMES) + 1, dtype=int)
    for index in range(400):
        for placed in render_scene(80, index, size=16).objects:
            counts[placed.label] += 1
    assert counts[0] == 0
    assert counts[1:].min() > 0.5 * counts[1:].mean()


def test_parts_never_share_a_scene():
    # Fails when two parts get one seed, or the seed does not reach the draws: test scenes would be trained on.
    assert {name: part.count for name, part in PARTS.items()} == {"train": 1500, "tune": 300, "val": 500}
    seeds = [part.seed for part in (*PARTS.values(), *CLIP_PARTS.values())]
    assert len(set(seeds)) == len(seeds)
    scenes = [(p.seed, i) for p in PARTS.values() for i in range(p.count)]
    scenes += [(CLIP_PARTS[name].seed, i) for name in ("gate", "check") for i in range(CLIP_PARTS[name].count)]
    digests = {_digest(render_scene(seed, index, size=16).image) for seed, index in scenes}
    digests |= {_digest(render_picture(CLIP_PARTS["pretrain"].seed, index, size=16).image) for index in range(2000)}
    assert len(digests) == len(scenes) + 2000


def test_pictures_and_scenes_of_one_seed_differ():
    # Fails when a scene and a picture share a random stream, so that a seed used for both would leak.
    assert not np.array_equal(render_scene(5, 5).image, render_picture(5, 5).image)


def test_pictures_say_what_but_not_where():
    # Fails when a mask, a box or a placing slips into what the tiny CLIP is trained on.
    assert [f.name for f in dataclasses.fields(Picture)] == ["image", "names"]
    assert {f.name for f in dataclasses.fields(Scene)} == {"image", "mask", "objects"}
    for module in (pretrain, pools):
        source = inspect.getsource(module)
        for word in (".mask", ".objects", "render_scene", "Scene", "Placed"):
            assert word not in source, (module.__name__, word)


@pytest.mark.parametrize(("seed", "index", "size"), [(-1, 0, 64), (0, -1, 64), (0, 0, 8), (0, 0, 512)])
def test_bad_arguments_are_refused(seed, index, size):
    # Fails when a wrong argument gives a picture, or an error that does not say what was expected.
    for render in (render_scene, render_picture):
        with pytest.raises(ValueError, match="the size lies in"):
            render(seed, index, size=size)


def test_parts_are_frozen():
    # Fails when a caller could change a part for everyone.
    with pytest.raises(dataclasses.FrozenInstanceError):
        PARTS["val"].seed = 1
    assert PARTS["val"] == Part(13, 500)
