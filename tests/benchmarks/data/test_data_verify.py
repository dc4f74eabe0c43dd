"""`data verify` and `data prepare`: what is missing, broken or another's is told in a line each."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import harness
from benchmarks.data import download, sbd, voc
from benchmarks.data.datasets import open_reader
from benchmarks.data.download import Archive
from benchmarks.data.mask_file import read_mask
from benchmarks.data.verify import missing_words, overlap, verify_part
from benchmarks.data.whole_sets import prepare_set, verify_set
from splits.errors import DataError, UserError
from splits.loader import load_split, read_list
from tests.benchmarks.data.test_archives import HOSTILE, hostile

SPLIT = load_split("pascal-5i")
VAL = read_list("voc2012_seg_val_1449")
MINI = Path(__file__).resolve().parents[4] / "shared/data/voc-mini"
mini = pytest.mark.skipif(not MINI.is_dir(), reason="the small photo set is not beside this checkout")
SIZE = (24, 36)
CLASSES = {VAL[0]: 1, VAL[1]: 8, VAL[2]: 4}  # what HSNet's lists say is in them (among others)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZSS_DATA_ROOT", raising=False)


def save(path: Path, ids: np.ndarray, colours: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(ids)
    mask.putpalette(voc.palette() if colours is None else colours)
    mask.save(path)


@cache
def known() -> dict[str, set[int]]:
    """The classes that must be in each val image."""
    found: dict[str, set[int]] = {}
    for fold in range(4):
        for line in read_list(f"hsnet_pascal_val_fold{fold}"):
            found.setdefault(line[:11], set()).add(int(line[13:]))
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three val images with masks that hold what they should."""
    folder = tmp_path / "root/VOC2012"
    for id_ in VAL[:3]:
        ids = np.zeros(SIZE, dtype=np.uint8)
        for row, class_ in enumerate(sorted(known().get(id_, ()))):
            ids[row] = class_
        ids[-1] = 255
        save(folder / f"SegmentationClassAug/{id_}.png", ids)
        photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        (folder / "JPEGImages").mkdir(exist_ok=True)
        Image.fromarray(photo).save(folder / f"JPEGImages/{id_}.jpg")
    return tmp_path / "root"


def folder_of(root: Path) -> Path:
    return root / "VOC2012"


def problems(root: Path) -> list[str]:
    report = verify_part(SPLIT, "val", data_root=root)
    found = [*report.problems, *report.warnings]
    assert all("\n" not in problem for problem in found)
    return found


def test_nothing_is_wrong(root: Path) -> None:
    """Fails when good files are complained about, or what is missing is miscounted."""
    assert problems(root) == []
    report = verify_part(SPLIT, "val", data_root=root)
    assert (report.present, report.expected, len(report.missing)) == (3, 1449, 2 * 1446)
    lines = list(missing_words(report))
    assert len(lines) == 2
    assert all(line.startswith("val: 1446 of 1449 files are missing in ") for line in lines)
    assert f"{VAL[3]}.jpg, {VAL[4]}.jpg, {VAL[5]}.jpg, ..." in lines[0]
    assert int(report.images[255]) == 3


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("file", ["JPEGImages/{}.jpg", "SegmentationClassAug/{}.png"])
def test_truncated(root: Path, file: str, keep: float) -> None:
    """Fails when a file that ends early is opened and not read to its end."""
    path = folder_of(root) / file.format(VAL[1])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    (problem,) = problems(root)
    assert str(path) in problem
    assert "cannot be decoded" in problem


def test_every_wrong_mask_is_a_line(root: Path) -> None:
    """Fails when one of several problems hides the others."""
    masks = folder_of(root) / "SegmentationClassAug"
    Image.open(masks / f"{VAL[0]}.png").convert("RGB").save(masks / f"{VAL[0]}.png")
    save(masks / f"{VAL[1]}.png", np.full(SIZE, 77, dtype=np.uint8))
    save(masks / f"{VAL[2]}.png", np.zeros((SIZE[1], SIZE[0]), dtype=np.uint8))
    first, second, third, *rest = problems(root)
    assert "mode RGB" in first
    assert "holds ids 77" in second
    assert f"is {SIZE[0]}x{SIZE[1]} pixels and its image {SIZE[1]}x{SIZE[0]}" in third
    assert len(rest) == bool(known().get(VAL[2]))


def test_swapped_masks_of_one_size(root: Path) -> None:
    """Fails when two masks of equal size that changed their names go unnoticed."""
    listed = [id_ for id_ in VAL if id_ in known()]
    first = next(i for i in listed[1:] if known()[i] != known()[listed[0]] and not known()[listed[0]] <= known()[i])
    source, target = (folder_of(root) / f"SegmentationClassAug/{id_}.png" for id_ in (first, listed[0]))
    for id_ in (first, listed[0]):
        Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(folder_of(root) / f"JPEGImages/{id_}.jpg")
    ids = np.zeros(SIZE, dtype=np.uint8)
    ids[0, : len(known()[first])] = sorted(known()[first])
    save(source, ids)
    save(target, ids)
    (problem,) = problems(root)
    assert str(target) in problem
    assert "another image's mask" in problem


def test_palette_of_another_program(root: Path) -> None:
    """Fails when a coloured mask that a program reduced to a palette of its own passes for class ids."""
    path = folder_of(root) / f"SegmentationClassAug/{VAL[0]}.png"
    save(path, read_mask(path, SPLIT.legal_ids), colours=[9] * 768)
    (problem,) = problems(root)
    assert "other colours than VOC's" in problem


def test_two_masks_of_one_id(root: Path) -> None:
    """Fails when SegmentationClass and SegmentationClassAug may differ."""
    own = folder_of(root) / f"SegmentationClassAug/{VAL[0]}.png"
    twin = folder_of(root) / f"SegmentationClass/{VAL[0]}.png"
    ids = read_mask(own, SPLIT.legal_ids)
    save(twin, ids)
    assert problems(root) == []
    ids[5, 5] = 20
    save(twin, ids)
    (problem,) = problems(root)
    assert "differ" in problem


def test_numbers_of_the_full_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a set whose files are all there is not compared with the recorded counts."""
    monkeypatch.setattr("splits.loader.Split.listed", lambda split, part: VAL[:3])
    found = problems(root)
    assert any(line.startswith("val: person: ") and "images, expected 446" in line for line in found)
    assert any("pixels, expected" in line for line in found)


def test_overlap(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a train part with val images is not told."""
    monkeypatch.setattr("splits.loader.Split.listed", lambda split, part: VAL[1:3] if part == "train" else VAL[:2])
    assert overlap(SPLIT, data_root=root) == (VAL[1],)


@mini
def test_command_on_part_of_the_real_set(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when what is missing of the full set is not said precisely, real files are complained about, or rc is 0."""
    assert harness.main(["data", "verify", "pascal-5i", "--data-root", str(MINI), "--jobs", "2"]) == 1
    said = capsys.readouterr().out
    assert said.count("10282 of 10582 files are missing") == 2
    assert said.count("1299 of 1449 files are missing") == 2
    assert "train: 300 of 10582 images are there with their masks; no image of aeroplane" in said
    assert said.splitlines()[-1] == "pascal-5i: 4 problems"
    assert not verify_set("pascal-5i", data_root=str(MINI), jobs=1, list_missing=True)
    assert capsys.readouterr().out.count("missing: ") == 2 * (10282 + 1299)


def test_a_wanted_part_of_the_set(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a root of val photos alone cannot be verified, or what is wrong in it passes with what is missing."""
    words = ["data", "verify", "pascal-5i", "--data-root", str(root), "--jobs", "1"]
    assert harness.main(words) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "pascal-5i: 3 problems"
    assert harness.main([*words, "--subset"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("note: pascal-5i train: 10582 of 10582 images or their masks are missing")
    assert sum(line.startswith("note: val: 1446 of 1449 files are missing in ") for line in said) == 2
    assert said[-2].startswith("val: 3 of 1449 images are there with their masks")
    assert said[-1] == "pascal-5i: nothing is wrong"
    save(folder_of(root) / f"SegmentationClassAug/{VAL[0]}.png", np.full(SIZE, 77, np.uint8))
    assert harness.main([*words, "--subset"]) == 1
    assert "77" in capsys.readouterr().out
    (root.parent / "empty").mkdir()
    assert harness.main(["data", "verify", "pascal-5i", "--data-root", str(root.parent / "empty"), "--subset"]) == 1


def test_commands_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when nothing there passes for nothing wrong, or what to put where is not said."""
    assert verify_set("shapes-5i", jobs=1)
    prepare_set("shapes-5i", jobs=1)
    capsys.readouterr()
    assert not verify_set("pascal-5i", data_root=str(tmp_path), jobs=1)
    assert "VOCtrainval_11-May-2012.tar" in capsys.readouterr().out
    for name in ("pascal-5i", "coco-20i", "coco-stuff-156-15", "context-49-10"):
        with pytest.raises(UserError, match=r"https?://"):
            prepare_set(name, jobs=1)
    with pytest.raises(UserError, match="no year"):
        verify_set("coco-stuff-156-15", year="2014", jobs=1)


# -- SegmentationClassAug from SBD


def test_built_from_both_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when the official mask, with its border, does not win over SBD's, or an id is shifted."""
    folder = tmp_path / "VOCdevkit/VOC2012"
    (folder / "JPEGImages").mkdir(parents=True)
    official = np.full(SIZE, 255, dtype=np.uint8)
    official[3:9] = 7
    save(folder / f"SegmentationClass/{VAL[0]}.png", official)
    drawn = np.zeros(SIZE, dtype=np.uint8)
    drawn[2:4] = 20
    cls = tmp_path / "benchmark_RELEASE/dataset/cls"
    cls.mkdir(parents=True)
    for id_ in VAL[:2]:
        savemat(cls / f"{id_}.mat", {"GTcls": {"Segmentation": drawn, "Boundaries": 0}})
    for id_ in VAL[:2]:
        Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(folder / f"JPEGImages/{id_}.jpg")
    with pytest.raises(DataError, match="train: 10582 of 10582"):  # there is no train image
        prepare_set("pascal-5i", data_root=str(tmp_path), jobs=1, subset=True)
    said = capsys.readouterr().out
    assert "2 of 12031 masks are there" in said
    assert f"has the mask of {read_list('voc2012_seg_trainaug_10582')[0]} and 12028 others" in said
    made = folder / "SegmentationClassAug"
    np.testing.assert_array_equal(read_mask(made / f"{VAL[0]}.png", SPLIT.legal_ids), official)
    np.testing.assert_array_equal(read_mask(made / f"{VAL[1]}.png", SPLIT.legal_ids), drawn)
    assert Image.open(made / f"{VAL[1]}.png").getpalette()[:768] == voc.palette()
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    assert sbd.build(folder, sbd.find([tmp_path]), VAL[:2], SPLIT.legal_ids) == []
    assert {path: path.stat().st_mtime_ns for path in made.iterdir()} == before


def test_masks_of_a_folder_that_may_not_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails when a shared, unwritable VOC folder cannot be made ready, is written to, or its masks are not found."""
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "root/VOC2012"
    save(folder / f"SegmentationClass/{VAL[0]}.png", np.full(SIZE, 7, dtype=np.uint8))
    (folder / "JPEGImages").mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(folder / f"JPEGImages/{VAL[0]}.jpg")
    monkeypatch.setattr("benchmarks.data.voc.os.access", lambda path, mode: False)  # as for all but root
    before = sorted(folder.rglob("*"))
    with pytest.raises(DataError, match="train: 10582 of 10582"):  # there is no train image
        prepare_set("pascal-5i", data_root=str(tmp_path / "root"), subset=True)
    assert (
        f"{folder} may not be written to: the masks that it lacks are in {tmp_path / 'cache'}"
        in capsys.readouterr().out
    )
    assert sorted(folder.rglob("*")) == before
    reader = open_reader(SPLIT, "val", data_root=tmp_path / "root", subset=True)
    assert reader.mask_path(0).is_relative_to(tmp_path / "cache")
    assert (reader.mask(0) == 7).all()


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", {"GTcls": {"Segmentation": np.full(SIZE, 21.0)}}, {"other": 1}],
    ids=["empty", "web page", "ids", "another file"],
)
def test_broken_sbd_file(tmp_path: Path, content) -> None:
    """Fails when a broken `.mat` file ends in a stack trace or becomes a mask."""
    path = tmp_path / "a.mat"
    path.write_bytes(content) if isinstance(content, bytes) else savemat(path, content)
    with pytest.raises(DataError, match=r"a\.mat") as raised:
        sbd.read_sbd(path)
    assert "\n" not in str(raised.value)
    with pytest.raises(DataError, match="is missing"):
        sbd.read_sbd(tmp_path / "b.mat")


# -- downloads


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file, with ranges; breaks off after `broken` bytes while that is set."""

    content = b""
    broken = 0
    asked: list[str] = []

    def do_GET(self) -> None:
        start = int((self.headers["Range"] or "bytes=0-")[6:-1])
        Server.asked.append(self.headers["Range"] or "")
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : start + self.broken] if self.broken else self.content[start:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Server.asked, Server.broken = [], 0
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as packed:
        info = tarfile.TarInfo("VOCdevkit/a.txt")
        info.size = 5000
        packed.addfile(info, io.BytesIO(b"x" * 5000))
    return data.getvalue()


def test_download_goes_on_where_it_broke_off(tmp_path: Path, served: str) -> None:
    """Fails when a broken fetch passes for whole, starts anew, is not checked, or is fetched twice."""
    Server.content, Server.broken = tarred(), 1000
    digest = "md5:" + hashlib.md5(Server.content).hexdigest()
    archive = Archive(f"{served}/voc.tar", "none", digest=digest)
    with pytest.raises(UserError, match="call again to go on"):
        download.download(archive, tmp_path)
    assert not (tmp_path / "voc.tar").exists()
    Server.broken = 0
    download.download(archive, tmp_path)
    assert Server.asked == ["", "bytes=1000-"]
    assert (tmp_path / "VOCdevkit/a.txt").read_bytes() == b"x" * 5000
    download.download(archive, tmp_path)
    assert len(Server.asked) == 2


def test_download_of_something_else(tmp_path: Path, served: str) -> None:
    """Fails when another file than the official one is unpacked, or an archive that is none ends in a stack trace."""
    Server.content = tarred()
    with pytest.raises(DataError, match="expected 00"):
        download.download(Archive(f"{served}/voc.tar", "none", digest="md5:00"), tmp_path)
    assert not (tmp_path / "VOCdevkit").exists()
    Server.content = b"<html>moved</html>"
    with pytest.raises(DataError, match="cannot be unpacked"):
        download.download(Archive(f"{served}/coco.zip", "none"), tmp_path)


@pytest.mark.parametrize("kind", HOSTILE)
def test_download_of_a_hostile_archive(tmp_path: Path, served: str, kind: str) -> None:
    """Fails when a server's archive with links, devices or ways out is unpacked, or counts as unpacked."""
    Server.content = hostile(tmp_path / "served.tar", kind).read_bytes()
    (tmp_path / "root").mkdir()
    with pytest.raises(DataError, match="not unpacked"):
        download.download(Archive(f"{served}/voc.tar", "none", into="in"), tmp_path / "root")
    assert [path.name for path in (tmp_path / "root").rglob("*") if path.is_file()] == ["voc.tar"]


def test_download_of_a_zip_and_no_network(tmp_path: Path, served: str) -> None:
    """Fails when the place below the root is forgotten, or no network is no single line."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        packed.writestr("val2017/a.jpg", b"y")
    Server.content = data.getvalue()
    download.download(Archive(f"{served}/val2017.zip", "none", into="coco"), tmp_path)
    assert (tmp_path / "coco/val2017/a.jpg").read_bytes() == b"y"
    with pytest.raises(UserError, match="put it at") as raised:
        download.download(Archive("http://127.0.0.1:9/none.tar", "none"), tmp_path)
    assert "\n" not in str(raised.value)


def test_what_is_downloaded() -> None:
    """Fails when a benchmark's archives are another edition's, or what nobody offers is promised."""
    assert [Path(a.url).name for a in download.archives_of("coco", "2014")] == [
        "train2014.zip",
        "val2014.zip",
        "annotations_trainval2014.zip",
    ]
    assert all(a.digest for a in download.archives_of("voc2012", ""))
    assert download.archives_of("cocostuff", "2017")[-1].into == "coco/stuffthingmaps"
    with pytest.raises(UserError, match="made by hand"):
        download.archives_of("context", "")
    with pytest.raises(UserError, match="--data-root DIR"):
        prepare_set("pascal-5i", jobs=1, fetch=True)
