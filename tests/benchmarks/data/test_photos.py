"""Pictures without masks: folders, single files, videos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.data.photos import passed_over, photos, picture_files
from splits.errors import DataError


def save(path, height=6, width=8, **how):
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **how)
    return pixels


def test_a_folder_in_the_order_of_names(tmp_path):
    """Fails when a picture is lost, misnamed, in another order, or something else is taken for one."""
    second, first = save(tmp_path / "b.png"), save(tmp_path / "a.b.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "c.png").mkdir()
    found = dict(photos(tmp_path))
    assert list(found) == ["a.b", "b"]
    assert np.array_equal(found["a.b"], first)
    assert np.array_equal(found["b"], second)
    assert list(dict(photos(tmp_path, limit=1))) == ["a.b"]
    assert list(dict(photos(tmp_path / "b.png"))) == ["b"]
    for name in ("d.HEIC", ".DS_Store", "d.mp4"):
        (tmp_path / name).touch()
    words = "3 files are not read: d.HEIC, d.mp4, notes.txt; 1 folders are not looked into: c.png"
    assert passed_over(tmp_path) == words
    assert passed_over(tmp_path / "b.png") == ""


def test_grey_pictures_become_rgb_and_turned_ones_upright(tmp_path):
    """Fails when a greyscale picture is refused, or a phone's picture is predicted lying on its side."""
    Image.new("L", (5, 4), 7).save(tmp_path / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    pixels = save(tmp_path / "turned.png", exif=exif)
    found = dict(photos(tmp_path))
    assert found["grey"].shape == (4, 5, 3)
    assert np.array_equal(found["turned"], np.rot90(pixels, -1))


def test_frames_of_a_video(tmp_path):
    """Fails when frames are skipped, doubled, misnamed, or have red and blue exchanged."""
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (32, 16))
    for value in range(5):
        writer.write(np.full((16, 32, 3), (0, 0, 50 * value), np.uint8))  # blue, green, red
    writer.release()
    found = dict(photos(tmp_path / "v.avi", every=2))
    assert list(found) == ["frame-000000", "frame-000002", "frame-000004"]
    assert found["frame-000004"].shape == (16, 32, 3)
    assert abs(found["frame-000004"][..., 0].mean() - 200) < 10
    assert found["frame-000004"][..., 2].mean() < 10
    assert len(dict(photos(tmp_path / "v.avi", limit=2))) == 2


def test_a_folder_that_may_not_be_listed_is_named(tmp_path, monkeypatch):
    """Fails when a folder of pictures that may not be read is answered by advice for one that may not be written."""

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"cannot be listed \(Permission denied\)"):
        picture_files(tmp_path)


def test_what_is_no_picture_is_refused_in_one_line(tmp_path):
    """Fails when an empty, missing, broken or ambiguous input ends in anything but one clear line."""

    def refusal(place):
        with pytest.raises(DataError) as caught:
            list(photos(place))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such file" in refusal(tmp_path / "nowhere")
    assert "no picture" in refusal(tmp_path)
    (tmp_path / "trip").mkdir()
    assert refusal(tmp_path).endswith("1 folders are not looked into: trip")
    (tmp_path / "v.mp4").write_bytes(b"no video")
    assert "cannot be decoded" in refusal(tmp_path / "v.mp4")
    save(tmp_path / "a.png")
    save(tmp_path / "a.jpg")
    assert "would both be called a" in refusal(tmp_path)
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    assert "cannot be decoded" in refusal(tmp_path)
