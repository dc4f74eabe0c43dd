"""`predict` and `score` as a person calls them, on the built-in world."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
import harness
from results.launch.run.predict import safe_id
from results.store.folders import CONFUSION, Stored, find_stored
from splits.errors import UserError

pytestmark = pytest.mark.usefixtures("torch_as_it_was")

SMALL = ("--benchmark", "shapes-5i", "--fold", "1", "--limit", "3")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`runs` with one finished run of clip, `said` with its predictions of the scored images."""
    root = tmp_path_factory.mktemp("own")
    common = ("--runs", str(root / "runs"), "--device", "cpu")
    run = ["run", "--methods", "clip", *SMALL, *common, "--cluster", "debug"]
    assert harness.main(run) == 0
    (key,) = [p.name.rpartition("-")[2] for p in (root / "runs").glob("*/*/*-*")]
    assert harness.main(["predict", "--run", key, *SMALL, *common, "--out", str(root / "said")]) == 0
    (root / "key").write_text(key)
    return root


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = harness.main([str(word) for word in words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_exported_and_imported_predictions_give_the_same_matrix(made, tmp_path, capsys):
    """Fails when a class index, a size or an image gets lost between `predict` and `score`."""
    runs = shutil.copytree(made / "runs", tmp_path / "runs")
    code, out, err = call(capsys, "score", "--predictions", made / "said", "--name", "rival", *SMALL, "--runs", runs)
    assert code == 0, err
    assert "rival (imported) †" in out
    stored = {s.record.result.train.method: s for s in find_stored(runs) if isinstance(s, Stored)}
    arrays = {}
    for name, found in stored.items():
        with np.load(found.path.with_name(CONFUSION)) as content:
            arrays[name] = content["matrices"][int(content["own_index"])], content["per_image"]
    assert np.array_equal(arrays["clip"][0], arrays["rival"][0])
    assert np.array_equal(arrays["clip"][1], arrays["rival"][1])
    ours, theirs = stored["clip"].record.result, stored["rival"].record.result
    assert theirs.own.hiou == ours.own.hiou
    assert theirs.protocol_hash == ours.protocol_hash
    assert theirs.train.predictions == theirs.weights_sha256 != ""
    again = call(capsys, "score", "--predictions", made / "said", "--name", "rival", *SMALL, "--runs", runs)
    assert again[0] == 0
    assert len(list(find_stored(runs))) == 2
    code, out, _ = call(capsys, "tables", "--from", runs, "--by", "fold", "--show", "all")
    assert (code, "rival (imported)" in out) == (0, True)
    assert call(capsys, "report", "--from", runs, "--out", tmp_path / "r.html")[0] == 0


def test_words_that_clip_reads_otherwise_are_told(made, tmp_path, capsys):
    """Fails if a prompt that is cut, or an underscore that is read as a sign, is asked without a word."""
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    words = ("--run", (made / "key").read_text(), "--runs", made / "runs", "--images", tmp_path / "a.png")
    names = f"traffic_light,{' '.join(['very'] * 80)} long"
    code, out, err = call(capsys, "predict", *words, "--classes", names, "--out", tmp_path / "out")
    assert code == 0, err
    assert "warning: CLIP reads the underscore as a sign of its own in 'traffic_light'" in out
    assert "warning: CLIP reads 75 tokens and no more of the prompts of 'very very" in out


def test_own_pictures_and_words(made, tmp_path, capsys):
    """Fails when pictures of any size or words outside the benchmark cannot be asked about, or files are misnamed."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, size in (("wide", (90, 40)), ("tall", (33, 71))):
        Image.new("RGB", size, (200, 180, 20)).save(photos / f"{name}.jpg")
    (photos / "phone.HEIC").write_bytes(b"")
    key, out = (made / "key").read_text(), tmp_path / "out"
    words = ("predict", "--run", key, "--runs", made / "runs", "--images", photos, "--classes", "zebra, star,lorry")
    code, printed, err = call(capsys, *words, "--out", out)
    assert code == 0, err
    assert "labelled in its training: star" in printed
    assert "warning: the built-in CLIP knows the drawn shapes of shapes-5i and no photos" in printed
    assert f"warning: {photos}: 1 files are not read: phone.HEIC" in printed
    assert {p.name for p in (out / "index").iterdir()} == {"wide.png", "tall.png"}
    assert Image.open(out / "index" / "tall.png").size == (33, 71)
    assert np.asarray(Image.open(out / "index" / "wide.png")).max() < 3
    assert json.loads((out / "classes.json").read_text())["classes"] == ["zebra", "star", "lorry"]
    assert (out / "overlays" / "wide.png").is_file()
    assert (out / "sheet.png").is_file()
    code, _, err = call(capsys, *words, "--out", out)
    assert (code, "earlier predictions" in err) == (2, True)
    code, _, err = call(capsys, *words, "--out", out, "--force", "--background-below", "1000", "--sheet", "0")
    assert code == 0, err
    assert (np.asarray(Image.open(out / "index" / "wide.png")) == 3).all()
    assert json.loads((out / "classes.json").read_text())["classes"][3] == "background"
    assert not (out / "sheet.png").exists()


def test_earlier_predictions_outlive_an_error(made, tmp_path, capsys):
    """Fails when `--force` throws away predictions before the new ones are all there, or leaves half of those."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (20, 20)).save(photos / f"{name}.png")
    words = ("predict", "--methods", "clip", "--runs", made / "runs", "--images", photos, "--out", out, "--force")
    assert call(capsys, *words)[0] == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (photos / "b.png").write_bytes(b"")
    assert "b.png cannot be decoded: it is empty" in call(capsys, *words)[2]
    assert (
        "leave --background-below out"
        in call(capsys, *words, "--classes", "background,a", "--background-below", "0")[2]
    )
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert {path.name for path in out.iterdir()} == {"index", "overlays", "sheet.png", "classes.json"}
    (photos / "b.png").unlink()
    code, _, err = call(capsys, *words, "--sheet", "0")
    assert (code, err) == (0, "")
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {
        "index/a.png",
        "overlays/a.png",
        "classes.json",
    }


def test_names_that_files_can_have(made, tmp_path, capsys):
    """Fails when a photo whose name is unusual ends in a stack trace, or is passed over without a word."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "folder.png").mkdir(parents=True)
    names = ["12:30", "a\\b", "two\nlines", "\u00fc", "x" * 251, "caf\udce9", "-rf", "\x1b[2J"]
    for name in names:
        Image.new("RGB", (20, 20)).save(photos / f"{name}.png")
    words = ("predict", "--methods", "clip", "--runs", made / "runs", "--images", photos, "--out", out)
    code, printed, err = call(capsys, *words)
    assert code == 0, err
    assert "1 folders are not looked into: folder.png" in printed
    assert {path.stem for path in (out / "index").iterdir()} == set(names)
    (photos / "loop.png").symlink_to("loop.png")
    assert "loop.png cannot be read (Too many levels of symbolic links)" in call(capsys, *words, "--force")[2]
    (photos / "loop.png").unlink()
    (photos / "away.png").symlink_to("nowhere.png")
    assert "away.png is a link to nowhere" in call(capsys, *words, "--force")[2]


def test_weights_with_their_card_are_enough(made, tmp_path, capsys):
    """Fails when a copy of weights and card cannot be asked without the run they come from, or says something else."""
    folder = next((made / "runs").glob("*/*/*-*"))
    for name in ("model.safetensors", "model.json"):
        shutil.copy(folder / name, tmp_path / f"mine{Path(name).suffix}")
    weights = tmp_path / "mine.safetensors"
    code, _, err = call(capsys, "predict", "--weights", weights, *SMALL, "--out", tmp_path / "out")
    assert code == 0, err
    for path in (made / "said" / "index").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / "index" / path.name).read_bytes()
    weights.write_bytes(weights.read_bytes() + b" ")
    code, _, err = call(capsys, "predict", "--weights", weights, *SMALL, "--out", tmp_path / "other")
    assert (code, "is not what its card says" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--run", "{key}"), "say which pictures"),
        (("--images", "{photos}"), "say which weights"),
        (("--run", "0000", "--images", "{photos}"), "no such run"),
        (("--run", "../x", "--images", "{photos}"), "neither a run's folder nor its key"),
        (("--run", "{key}", "--images", "{photos}", "--classes", "a,,b"), "none of them empty"),
        (("--run", "{key}", "--images", "{photos}", "--classes", "a,b,a"), "a stands there twice"),
        (("--run", "{key}", "--images", "{photos}", "--classes", "Crane,crane"), "CLIP reads the class names"),
        (("--run", "{key}", "--images", "{photos}", "--templates", "none"), "none"),
        (("--run", "{key}", "--images", "{photos}/nowhere"), "no such file"),
        (("--run", "{key}", "--images", "{photos}", "--stride", "5"), "expected both or neither"),
        (("--weights", "{photos}/no.safetensors", "--images", "{photos}"), "there is no such file"),
        (("--weights", "{photos}/a.png", "--images", "{photos}"), "name the method with --methods"),
        (("--weights", "{photos}/a.png", "--methods", "clip", "--images", "{photos}"), "cannot be read as weights"),
        (("--methods", "zegclip", "--images", "{photos}"), "train it first"),
        (("--run", "{key}", "--methods", "clip", "--images", "{photos}"), "leave --weights and --methods out"),
        (("--run", "{key}", "--benchmark", "shapes-5i", "--fold", "9"), "no fold 9"),
    ],
)
def test_predict_refuses_in_one_line(made, tmp_path, capsys, words, reason):
    """Fails when a wrong argument ends in a stack trace, or in predictions."""
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    known = {"key": (made / "key").read_text(), "photos": tmp_path}
    code, _, err = call(
        capsys, "predict", *(w.format(**known) for w in words), "--runs", made / "runs", "--out", tmp_path / "out"
    )
    assert code == 2
    assert reason in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--predictions", "{said}/nowhere", "--name", "x"), "no such folder"),
        (("--predictions", "{said}", "--name", "../x"), "it names a folder"),
        (("--predictions", "{said}", "--name", "zegclip"), "is a method of this harness"),
        (("--predictions", "{said}", "--name", "x", "--limit", "4"), "no prediction for val-"),
        (("--predictions", "{said}/index", "--name", "x"), "classes.json is missing"),
        (("--predictions", "{said}", "--name", "x", "--background", "class"), "expected 'class' with a threshold"),
    ],
)
def test_score_refuses_in_one_line(made, tmp_path, capsys, words, reason):
    """Fails when wrong predictions end in a stack trace, or in a record."""
    known = {"said": made / "said"}
    code, _, err = call(capsys, "score", *SMALL, *(w.format(**known) for w in words), "--runs", tmp_path / "runs")
    assert code == 2
    assert reason in err
    assert err.count("\n") == 1
    assert not list(find_stored(tmp_path / "runs"))


@pytest.mark.parametrize("id_", ["", "../a", "/a", "a/../../b", "a\0b"])
def test_an_id_cannot_lead_out_of_a_folder(id_):
    """Fails when a name in somebody's list makes a file elsewhere."""
    with pytest.raises(UserError, match="no name of a file"):
        safe_id(id_)
    assert safe_id("city/a_01") == "city/a_01"
