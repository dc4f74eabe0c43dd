"""The generated world as a data set."""

import numpy as np
import pytest

from benchmarks.data.datasets import open_reader
from benchmarks.shapes import world
from splits.errors import DataError
from splits.loader import load_split

SPLIT = load_split("shapes-5i")


@pytest.mark.parametrize("part", ["train", "tune", "val"])
def test_parts(part: str) -> None:
    """Fails when a part has another size, other scenes than its seed's, or ids a benchmark does not know."""
    reader = open_reader(SPLIT, part)
    assert len(reader) == world.PARTS[part].count
    assert not reader.partial
    for index in (0, 3, len(reader) - 1):
        sample, scene = reader.read(index), world.render_scene(world.PARTS[part].seed, index)
        np.testing.assert_array_equal(sample.image, scene.image)
        np.testing.assert_array_equal(sample.mask, scene.mask)
        assert set(np.unique(sample.mask)) <= SPLIT.legal_ids
        assert sample.id == reader.ids[index]


def test_parts_share_nothing() -> None:
    """Fails when two parts have one hash or one scene."""
    readers = [open_reader(SPLIT, part) for part in world.PARTS]
    assert len({reader.content_sha256() for reader in readers}) == 3
    assert len({id_ for reader in readers for id_ in reader.ids}) == sum(map(len, readers))
    assert len({reader.read(0).image.tobytes() for reader in readers}) == 3


def test_scenes_are_kept_and_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a scene is drawn twice, or when changing what was read changes what is read next."""
    reader = open_reader(SPLIT, "val")
    first = reader.read(2)
    kept = first.mask.copy()
    first.mask[:] = 9
    first.image[:] = 0
    monkeypatch.setattr(world, "render_scene", None)
    np.testing.assert_array_equal(reader.read(2).mask, kept)
    assert reader.read(2).image.any()


def test_unknown_part_and_index() -> None:
    """Fails when a typing error is not answered with the parts that exist, or an index too large draws a scene."""
    with pytest.raises(DataError, match="train, tune, val"):
        open_reader(SPLIT, "test")
    with pytest.raises(IndexError):
        open_reader(SPLIT, "val").read(500)
