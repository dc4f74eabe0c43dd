"""The files of a part at once: what identifies them, what is known of them later, and what no single file shows."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from benchmarks.data import known_files
from benchmarks.data.file_facts import MaskFacts, PhotoFacts, mask_facts, seams, steps
from benchmarks.data.folders import FolderReader, Part
from benchmarks.data.known_files import facts_of, unknown
from benchmarks.data.limited import Limited, Without
from benchmarks.data.survey import palette_words, seam_words, surveyed, unread
from splits.loader import load_split


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three photos and masks, and a cache of their own."""
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    return write(tmp_path / "set")


def write(folder: Path) -> Path:
    for kind in ("photos", "masks"):
        (folder / kind).mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Image.fromarray(draw.integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(folder / "photos" / f"{name}.png")
        Image.fromarray(draw.integers(0, 3, (8, 9), dtype=np.uint8)).save(folder / "masks" / f"{name}.png")
    return folder


def reader(folder: Path) -> FolderReader:
    places = {kind: {i: folder / kind / f"{i}.png" for i in "abc"} for kind in ("photos", "masks")}
    part = Part(
        name="set val",
        listed=("a", "b", "c"),
        count=3,
        images=places["photos"],
        masks=places["masks"],
        where=lambda id_: (folder, folder),
        root=folder,
        source="nowhere",
    )
    return FolderReader(part, frozenset(range(21)), "drawn")


def sha256(folder: Path, **how) -> str:
    found = surveyed(reader(folder), **how)
    assert found is not None
    return found.sha256


def test_content_identifies_a_part(folder, tmp_path):
    """Fails when a copy elsewhere is another set, or a changed photo, a changed mask or swapped names are the same."""
    first = sha256(folder)
    assert len(first) == 64
    assert sha256(write(tmp_path / "copy")) == first
    for kind, value in (("photos", 7), ("masks", 1)):
        other = write(tmp_path / kind)
        path = other / kind / "b.png"
        pixels = np.array(Image.open(path))
        pixels[0, 0] = value if (pixels[0, 0] != value).any() else value + 1
        Image.fromarray(pixels).save(path)
        assert sha256(other) != first
    other = write(tmp_path / "swapped")
    os.rename(other / "photos/a.png", other / "photos/x.png")
    os.rename(other / "photos/b.png", other / "photos/a.png")
    os.rename(other / "photos/x.png", other / "photos/b.png")
    assert sha256(other) != first


def test_only_what_is_read_counts(folder):
    """Fails when a trial run is identified by files it never reads, or is not by one that it does."""
    part = reader(folder)
    first, two = surveyed(part), surveyed(Limited(part, 2))
    assert first is not None
    assert two is not None
    assert two.ids == ("a", "b")
    assert two.sha256 != first.sha256
    Image.new("RGB", (9, 8)).save(folder / "photos/c.png")
    assert surveyed(Limited(part, 2)).sha256 == two.sha256
    assert surveyed(part).sha256 != first.sha256
    kept = Without(part, [20], limit=2)
    assert surveyed(kept).ids == ("a", "b")


def test_unchanged_files_are_not_read_again(folder, monkeypatch):
    """Fails when every run reads all files, or a changed one is taken for the old, even with its old size and date."""
    first = sha256(folder)
    assert unread(reader(folder)) == 0

    def never(path):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(known_files, "FINDERS", {"photo": never, "mask": never})
    assert sha256(folder) == first
    with pytest.raises(AssertionError, match="read again"):
        sha256(folder, fresh=True)
    path = folder / "masks/a.png"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert unknown([path], "mask") == 1
    with pytest.raises(AssertionError, match=r"a\.png was read again"):
        sha256(folder)


@pytest.mark.parametrize("has_ctime", [True, False])
def test_another_file_of_the_same_size_and_date(folder, monkeypatch, has_ctime):
    """Fails when a file moved over a known one is taken for it, on file systems too that do not keep ctime."""
    real = os.stat

    def as_on_fat(path):
        seen = real(path)
        return SimpleNamespace(
            st_ino=seen.st_ino,
            st_size=seen.st_size,
            st_mtime_ns=seen.st_mtime_ns,
            st_ctime_ns=seen.st_ctime_ns if has_ctime else seen.st_mtime_ns,
        )

    monkeypatch.setattr(known_files, "os", SimpleNamespace(**vars(os) | {"stat": as_on_fat}))
    sha256(folder)
    path, other = folder / "masks/a.png", folder / "other.png"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-20] ^= 1
    other.write_bytes(bytes(content))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert unknown([path], "mask") == 0
    os.replace(other, path)
    assert unknown([path], "mask") == 1


def test_a_broken_cache_costs_only_time(folder, tmp_path):
    """Fails when what somebody else wrote into the cache is believed or ends in a stack trace."""
    first = sha256(folder)
    for file in (tmp_path / "cache/files").glob("*.json"):
        file.write_text('{"a.png": [7], "b.png": ["x", {}], "c.png": 3}')
    assert sha256(folder) == first
    for file in (tmp_path / "cache/files").glob("*.json"):
        file.write_text("[")
    assert sha256(folder) == first
    for file in (tmp_path / "cache/files").glob("*.json"):
        file.write_text(re.sub('"[0-9a-f]{64}"', f'"{"0" * 64}"', file.read_text()))
    assert sha256(folder) == first
    assert unread(reader(folder)) == 0
    for file in (tmp_path / "cache/files").glob("*.json"):
        file.chmod(0o666)  # every user's
    assert unread(reader(folder)) > 0


def test_facts_survive_the_cache(folder):
    """Fails when what is kept of a file is not what was found in it."""
    for kind, seen in (("photos", "photo"), ("masks", "mask")):
        paths = [folder / kind / f"{name}.png" for name in "abc"]
        assert facts_of(paths, seen) == facts_of(paths, seen) == facts_of(paths, seen, fresh=True)


def test_what_cannot_be_read_is_a_problem_of_its_file(folder):
    """Fails when one broken file hides the others, or a set with a file missing has a fingerprint."""
    (folder / "photos/a.png").write_bytes(b"hello")
    (folder / "masks/b.png").unlink()
    Image.new("L", (3, 8)).save(folder / "masks/c.png")
    found = surveyed(reader(folder))
    problems = list(found.file_problems())
    assert ["a.png" in problems[0], "is missing" in problems[1], "3x8 pixels and its image 9x8" in problems[2]] == [
        True
    ] * 3
    assert found.sha256 == ""


COLOURS = {0: "000000", 1: "c83c3c", 2: "3cc83c"}


def test_palettes_of_one_set():
    """Fails when indices that a program chose file by file pass for ids, or one palette for all is complained about."""
    a, b, c = (Path(f"{name}.png") for name in "abc")
    assert palette_words([(a, COLOURS, "one"), (b, {0: "000000", 2: "3cc83c"}, "one"), (c, {}, "")]) == []
    (words,) = palette_words([(a, COLOURS, "one"), (b, {1: "3cc83c"}, "two")])
    assert "index 1 is #c83c3c in a.png and #3cc83c in b.png" in words
    (words,) = palette_words([(a, {0: "000000", 1: "c83c3c"}, "one"), (b, {0: "000000", 2: "c83c3c"}, "two")])
    assert "the colour #c83c3c is index 1 in a.png and 2 in b.png" in words
    assert palette_words([(a, {1: "ffffff"}, "one"), (b, {2: "ffffff"}, "one")]) == []  # a palette with a colour twice


@pytest.mark.parametrize("times", [1.3, 2, 4, 8])
def test_interpolated_masks(tmp_path, times):
    """Fails when ids that bilinear resizing made along the seams of others are not seen."""
    ids = np.zeros((40, 50), np.uint8)
    ids[8:30, 6:20], ids[10:35, 26:44] = 3, 3
    size = int(50 * times), int(40 * times)
    Image.fromarray(ids).resize(size, Image.Resampling.BILINEAR).save(tmp_path / "mask.png")
    (words,) = seam_words([mask_facts(tmp_path / "mask.png")])
    assert " 1 (in 1 of 1 files)" in words
    assert " 2 (in 1 of 1 files)" in words
    assert "nearest neighbour" in words
    Image.fromarray(ids).resize(size, Image.Resampling.NEAREST).save(tmp_path / "mask.png")
    assert seam_words([mask_facts(tmp_path / "mask.png")]) == []


@pytest.mark.parametrize("times", [0.5, 0.7, 1.3, 2, 4])
def test_interpolated_masks_whose_ids_are_all_drawn(tmp_path, times):
    """Fails when bands that resizing made are not seen where every id between two others is drawn somewhere too."""
    names = [tmp_path / f"{number}.png" for number in range(3)]
    draw = np.random.default_rng(0)
    whole = []
    for _ in names:
        y, x = np.mgrid[:160, :200]
        whole.append(np.zeros((160, 200), np.uint8))
        for id_ in (1, 2, 1, 2, 2, 1):
            middle, size = draw.integers(20, 140, 2), draw.integers(12, 40)
            whole[-1][(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < size**2] = id_
    for how in (Image.Resampling.BILINEAR, Image.Resampling.NEAREST):
        for ids, name in zip(whole, names, strict=True):
            Image.fromarray(ids).resize((int(200 * times), int(160 * times)), how).save(name)
        words = seam_words([mask_facts(name) for name in names])
        if how == Image.Resampling.NEAREST:
            assert words == []
        else:
            assert len(words) == 1
            assert "over a thin band of one between them (in 3 of 3 files)" in words[0]


def test_steps_are_counted_along_both_axes():
    """Fails when a step is counted from the end of a line to the next, or over a band that is no thin one."""
    ids = np.zeros((9, 9), np.uint8)
    ids[:, 4:] = 2
    assert steps(ids) == (9, 0)
    ids[:, 3] = 1
    assert steps(ids) == steps(ids.T) == (0, 9)
    wide = np.repeat(np.array([[0, 1, 2]], np.uint16), 4, axis=1)
    assert steps(wide) == (0, 0)
    assert steps(np.zeros((0, 3), np.uint8)) == (0, 0)


def test_thin_things_are_no_seams():
    """Fails when a wire, a border line of the highest number, or a small object on the background is called a seam."""
    ids = np.zeros((40, 40), np.uint8)
    ids[10, 3:35] = 2  # a wire on the background
    ids[20:35, 20:35], ids[19, 19:36] = 1, 255  # an object with a border line
    ids[4:6, 4:6] = 1
    assert seams(ids) == ()


VAL_MASKS = Path(__file__).resolve().parents[4] / "shared/data/voc-val-masks"


@pytest.mark.skipif(not VAL_MASKS.is_dir(), reason="no real masks here")
def test_real_masks_have_no_seams():
    """Fails when masks that people drew are said to be interpolated."""
    paths = sorted(VAL_MASKS.rglob("*.png"))[::30]
    facts = [mask_facts(path) for path in paths]
    assert seam_words(facts) == []
    assert palette_words((p, f.colours, f.palette) for p, f in zip(paths, facts, strict=True)) == []
    assert all(set(f.values) <= load_split("pascal-5i").legal_ids for f in facts)


def test_kinds_are_kept_apart(folder):
    """Fails when a file that is looked at as a photo and as a mask has one entry for both."""
    path = folder / "masks/a.png"
    assert isinstance(facts_of([path], "photo")[0], PhotoFacts)
    assert isinstance(facts_of([path], "mask")[0], MaskFacts)
