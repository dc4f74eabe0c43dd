"""Which file is of which id: links, endings, Unicode forms; two files for one id, and lines that are no id."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.data.file_facts import photo_facts
from benchmarks.data.listing import MASKS, PICTURES, Place, files, files_below, no_id, read_ids
from benchmarks.data.photo_file import read_image
from splits.errors import DataError

NAMES = st.text(st.characters(categories=("Ll", "Lu", "Nd", "Mn")), min_size=1, max_size=6).map(
    lambda text: "é" + text  # a letter of two forms in every name
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def place(folder, endings=PICTURES) -> Place:
    return Place(str(folder), endings)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    NAMES, st.sampled_from(["NFC", "NFD"]), st.sampled_from(["NFC", "NFD"]), st.sampled_from([".JPG", ".Jpg", ".jpg"])
)
def test_either_form_and_any_case_of_an_ending(tmp_path_factory, name, on_disk, in_list, ending):
    """Fails when a photo is missed that a Mac named, or one whose ending is written otherwise."""
    folder = tmp_path_factory.mktemp("photos") / unicodedata.normalize(on_disk, name)
    folder.mkdir()
    (folder / (unicodedata.normalize(on_disk, name) + ending)).touch()
    id_ = unicodedata.normalize(in_list, f"{name}/{name}")
    (found,) = place(folder.parent).find([id_]).values()
    assert found.is_file()
    pattern = Place(f"{folder.parent}/{{id}}.jpg", PICTURES)
    assert pattern.find([id_])[id_].is_file()


def test_links_are_followed(folder, tmp_path):
    """Fails when photos below a linked folder are missing, or a loop of links never ends."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/img0.png").touch()
    (folder / "north").symlink_to(tmp_path / "disk")
    (folder / "img1.png").symlink_to(tmp_path / "disk/img0.png")
    (tmp_path / "disk/loop").symlink_to(folder)
    assert set(place(folder).find(["north/img0", "img1"])) == {"north/img0", "img1"}
    assert [p.relative_to(folder).as_posix() for p in files_below(folder)] == ["img1.png", "north/img0.png"]


def test_a_link_to_itself_is_a_file_that_cannot_be_read(folder):
    """Fails when one such link makes the whole folder one that cannot be listed."""
    (folder / "img0.png").touch()
    (folder / "img1.png").symlink_to("img1.png")
    assert set(place(folder).find(["img0", "img1"])) == {"img0", "img1"}
    with pytest.raises(DataError, match=r"img1\.png cannot be read \(Too many levels of symbolic links\)"):
        read_image(folder / "img1.png")
    assert "img1.png cannot be read" in photo_facts(folder / "img1.png").problem


def test_two_files_for_one_id_are_refused(folder):
    """Fails when a preview beside a photo is taken for it, or the other way round, by their order."""
    for name in ("img0.jpg", "img0.png", "img1.jpg", "img1.JPG", unicodedata.normalize("NFD", "é.png"), "é.png"):
        (folder / name).touch()
    for id_, first in (("img0", "img0.jpg"), ("img1", "img1.JPG"), ("é", "")):
        with pytest.raises(DataError, match="are both of image") as caught:
            place(folder).find([id_])
        assert first in str(caught.value)
        pattern = 'leave one, or name the ending that is meant in a pattern: "photos/{id}.jpg"'
        assert str(caught.value).endswith(pattern if id_ == "img0" else "; leave one")
    with pytest.raises(DataError, match="are both of image img1"):
        files(folder, ".jpg")
    assert place(folder / "{id}.png").find(["img0"]) == {"img0": folder / "img0.png"}
    (folder / "img1.JPG").unlink()
    assert set(files(folder, ".jpg")) == {"img0", "img1"}


def test_others_and_what_may_be_meant(folder):
    """Fails when junk is counted among ids, or a mask with more in its name is called missing without a word of it."""
    for name in ("img0_mask.png", "._img0.png", "Thumbs.db", "img1.png", "img2.jpg"):
        (folder / name).touch()
    masks = place(folder, MASKS)
    assert set(masks.find(["img0", "img1"])) == {"img1"}
    assert masks.near("img0").name == "._img0.png" or masks.near("img0").name == "img0_mask.png"
    assert {path.name for path in masks.others()} == {"img0_mask.png", "._img0.png", "Thumbs.db", "img2.jpg"}
    assert set(files(folder, ".png")) == {"img0_mask", "img1"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_id_is_the_whole_line(tmp_path, end, encoding):
    """Fails when an id ends at its first blank, or a byte order mark becomes a part of the first."""
    ids = ("img0", "img0 (1)", "kühe 牛", "#cow_1%20&")
    (tmp_path / "list.txt").write_bytes((end.join(ids) + end + end).encode(encoding))
    assert read_ids(tmp_path / "list.txt") == ids
    (tmp_path / "list.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_ids(tmp_path / "list.txt")


def test_one_path_is_one_id(tmp_path):
    """Fails when an image counts twice, or is in train and val, since one list was made by `find .`."""
    (tmp_path / "list.txt").write_text("./img0\nnorth//img1\n")
    assert read_ids(tmp_path / "list.txt") == ("img0", "north/img1")


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("img0.png", True),
        ("photos/img0.JPG", True),
        ("img0 -1", True),
        ("photos/img0.jpg,masks/img0.png", True),
        ("img0\t1", True),
        ("img9", False),  # simply missing
        ("north/img0", False),
        ("img9.v2", False),
        ("my img9", False),
    ],
)
def test_lines_with_more_than_an_id(line, wrong):
    """Fails when a column, a path or an ending in a list is called a missing photo, or a missing photo a wrong line."""
    assert no_id(line, {"img0", "img1"}) == wrong
