"""However a set of pictures is written down, it gives the same confusion matrix or a refusal: never other numbers."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

torch = pytest.importorskip("torch")
from benchmarks import custom  # noqa: E402
from benchmarks.catalogue import BENCHMARKS, Data, benchmark  # noqa: E402
from benchmarks.data import datasets  # noqa: E402
from benchmarks.data.verify import checked  # noqa: E402
from benchmarks.labels import apply, evaluation_table  # noqa: E402
from benchmarks.scoring.confusion import count  # noqa: E402
from splits import loader  # noqa: E402
from splits.errors import UserError  # noqa: E402
from tests.benchmarks.png import png  # noqa: E402

NAMES = ("kühe-1", "straße 2", "ねこ-3", "a.b-4")
TRAIN, VAL = NAMES[:2], NAMES[2:]
HEIGHT, WIDTH = 6, 9
TOML = """name = "written"
images = "photos"
masks = "masks"
train = "train.txt"
val = "val.txt"
classes = ["red", "green", "blue"]
unseen = ["blue"]
background = 0
ids = { red = 1, green = 2, blue = 3 }
ignore = 255
"""
# How a photo is stored so that a viewer shows it upright (EXIF 2.32, tag 0x0112), written as numpy turns it.
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p[:, ::-1].swapaxes(0, 1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: p[::-1].swapaxes(0, 1),
}


def scene(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A photo whose brightest channel is the class said, and its mask: they differ in a fifth of the pixels."""
    rng = np.random.default_rng(len(name) + ord(name[0]))
    mask = rng.integers(0, 4, (HEIGHT, WIDTH))
    said = np.where(rng.random(mask.shape) < 0.8, mask - 1, rng.integers(0, 3, mask.shape)) % 3
    return (200 * np.eye(3)[said] + 20).astype(np.uint8), mask


def expected() -> np.ndarray:
    """The matrix of the val part, from the arrays alone."""
    matrix = np.zeros((3, 3), np.int64)
    for photo, mask in map(scene, VAL):
        there = mask > 0
        np.add.at(matrix, (mask[there] - 1, photo.argmax(axis=2)[there]), 1)
    return matrix


def measured(toml: Path) -> np.ndarray | str:
    """The matrix as the harness counts it, or the words in which it refuses to."""
    custom.register(custom.read_toml(toml))
    try:
        bench = benchmark("written")
        reader = Data().open(bench, "val")
        if problems := checked(bench.split, "val", reader).problems:
            return problems[0]
        table, matrix = evaluation_table(bench.split, bench.split.fold(0)), 0
        for sample in map(reader.read, range(len(reader))):
            truth = torch.from_numpy(apply(table, sample.mask))
            matrix += count(truth, torch.from_numpy(sample.image.argmax(axis=2)), 3).numpy()
        return matrix
    except UserError as error:
        return str(error)
    finally:
        for registry in (BENCHMARKS, loader.CUSTOM, datasets._OPENERS, datasets.MASK_RULES):
            registry.pop("written", None), registry.pop("own/written", None)
        datasets._ROOTLESS.discard("own/written")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bits=st.sampled_from([2, 4, 8, 16]),
    palette=st.sampled_from(["none", "one", "each its own"]),
    order=st.integers(0, 99),
    orientation=st.integers(1, 8),
    ending=st.sampled_from(["png", "tif", "webp", "PNG"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    on_disk=st.sampled_from(["NFC", "NFD"]),
    in_list=st.sampled_from(["NFC", "NFD"]),
)
def test_any_way_to_write_it_down(
    tmp_path_factory, bits, palette, order, orientation, ending, end, encoding, on_disk, in_list
) -> None:
    """Fails when a bit depth, the order of a palette, a turn, a line ending, an encoding or a normal form changes a
    number without a word.
    """
    folder = tmp_path_factory.mktemp("set")
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for number, name in enumerate(NAMES):
        photo, mask = scene(name)
        file = unicodedata.normalize(on_disk, name)
        exif = Image.Exif()
        exif[0x0112] = orientation
        lossless = {"lossless": True} if ending == "webp" else {}
        stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](photo)))
        kind = {"tif": "TIFF", "webp": "WEBP"}.get(ending, "PNG")
        stored.save(folder / "photos" / f"{file}.{ending}", format=kind, exif=exif, **lossless)
        depth, colours = min(bits, 8) if palette != "none" else bits, None
        if palette != "none":
            seed = order + (number if palette == "each its own" else 0)
            colours = np.random.default_rng(seed).permutation(256)[: 2**depth].repeat(3).reshape(-1, 3)
        png(folder / "masks" / f"{file}.png", mask, depth, colours)
    for part, names in (("train", TRAIN), ("val", VAL)):
        text = "".join(unicodedata.normalize(in_list, name) + end for name in names)
        (folder / f"{part}.txt").write_bytes(text.encode(encoding))
    (folder / "written.toml").write_text(TOML)
    found = measured(folder / "written.toml")
    event("refused" if isinstance(found, str) else "counted")
    if isinstance(found, str):
        turned = orientation in (2, 3, 4)  # the mask has the size of both
        assert ("EXIF orientation" if turned else "chosen by a program") in found
    else:
        np.testing.assert_array_equal(found, expected())
