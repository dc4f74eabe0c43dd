"""Weights of bodies: named before a grid is submitted, fetched where they are kept, and named in the record."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from benchmarks.shapes.body.files import weights_file
from methods.distillation.distillation_config import DistillationConfig
from results.launch.plan.body_weights import BodyWeights, check, with_files
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.plan.settings import config_of
from results.launch.run import prefetch
from results.launch.run.job import Job
from results.launch.run.worker import run_job
from results.store import staleness
from results.store.folders import CARD
from splits.errors import UserError
from splits.hashing import file_sha256
from tests.results import factory

torch = pytest.importorskip("torch")
from benchmarks.training.checkpoint import BadCheckpoint, Checkpoints  # noqa: E402
from methods.bodies.small_body import SmallBody  # noqa: E402


def runs_with(weights: str, *more: str, method: str = "clip-to-seg", limit: int | None = None) -> list[Run]:
    overrides = (f"{method}.body_weights={weights}", *more)
    return plan(Request((method,), ("shapes-5i",), folds=(0,), overrides=overrides, limit=limit))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_a_file_that_is_not_there_is_refused_at_planning(tmp_path: Path) -> None:
    """Fails when a run is planned, and found broken hours later, whose body weights are in no such file."""
    with pytest.raises(UserError, match=r"clip-to-seg: there is no file of body weights /no/such/mscan_t\.pth"):
        runs_with("/no/such/mscan_t.pth")
    file = tmp_path / "mscan_t.pth"
    file.write_text("<html>")
    with pytest.raises(UserError, match=r"^clip-to-seg: body weights: .*mscan_t\.pth is an HTML page"):
        runs_with(str(file))
    torch.save({}, file)
    spoilt = b"\0" + file.read_bytes()[1:].replace(b"PK\1\2", b"XX\1\2")  # a zip by its end alone
    (tmp_path / "spoilt.pth").write_bytes(spoilt)
    with pytest.raises(UserError, match=r"spoilt\.pth is a broken archive \(Bad magic number"):
        runs_with(str(tmp_path / "spoilt.pth"))
    (weights,) = prefetch.body_weights(runs_with(str(file)))
    assert (weights.source, prefetch.is_cached(weights)) == (str(file), True)
    assert prefetch.body_weights(runs_with("none")) == []


def test_what_is_not_in_the_cache_is_named(hub: Path) -> None:
    """Fails when a grid is submitted whose nodes would have to fetch the weights of a body, or a URL is looked for
    elsewhere than where the body keeps it.
    """
    runs = runs_with("published", "clip-to-seg.body=segnext-t") + runs_with("https://host.invalid/a/own-b.pth")
    missing = prefetch.absent(runs)
    assert missing == [
        "the weights of segnext-t (published)",
        "the weights of small (https://host.invalid/a/own-b.pth)",
    ]
    hub.mkdir(parents=True)
    (hub / "own-b.pth").touch()
    (hub / "mscan_t_20230227-119e8c9f.pth").touch()
    assert prefetch.absent(runs) == []


def test_a_url_is_kept_where_it_is_looked_for(hub: Path, tmp_path: Path) -> None:
    """Fails when the cache is looked for under another name than a body's weights are kept under."""
    from methods.bodies.backbone_weights import load_backbone

    torch.save({"nothing.of.it": torch.zeros(1)}, tmp_path / "tiny.pth")
    weights = BodyWeights("segnext-t", (tmp_path / "tiny.pth").as_uri())
    assert not prefetch.is_cached(weights)
    with pytest.raises(ValueError, match="does not hold the weights"):
        load_backbone(torch.nn.Linear(1, 1), "Linear", weights.source)
    assert prefetch.is_cached(weights)


def test_prefetch_names_what_cannot_be_had(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when weights that nobody published an address of count as fetched."""
    options = ("--methods", "clip-to-seg", "--benchmarks", "shapes-5i", "--folds", "0")
    more = ("clip-to-seg.body_weights=published", "clip-to-seg.body=setr-pup")
    assert harness.main(["prefetch", *options, "--set", *more]) == 2
    assert "mmsegmentation publishes no address for the weights of setr-pup" in capsys.readouterr().err
    with pytest.raises(UserError, match="give a file by its path"):
        prefetch.is_cached(BodyWeights("setr-pup", "published"))


def test_weights_of_the_built_in_world_need_no_net(hub: Path) -> None:
    """Fails when a fold is given another fold's weights, or the built-in grid is held up by a look at the net."""
    for source, stems in (("published", {"published"}), ("without-unseen", {f"without-unseen-{k}" for k in range(4)})):
        runs = plan(Request(("clip-to-seg",), ("shapes-5i",), overrides=(f"clip-to-seg.body_weights={source}",)))
        assert {Path(weights.source).stem for weights in prefetch.body_weights(runs)} == stems
        assert prefetch.absent(runs) == []
        for run in runs:
            config = with_files(run.train, config_of(run.train))
            assert config.body_weights.endswith((f"{source}.safetensors", f"{source}-{run.train.fold}.safetensors"))
            assert run.train.config["body_weights"] == source  # no path of this machine names a run


def test_weights_are_refused_where_they_mean_nothing() -> None:
    """Fails when shapes' weights are given to a body on photos, or a body is said to know no unseen name that does."""
    config = DistillationConfig(body="small", body_weights="published")
    check("clip-to-seg", "shapes-5i", config)
    with pytest.raises(UserError, match="of the body small are for shapes-5i, not for pascal-5i"):
        check("clip-to-seg", "pascal-5i", config)
    with pytest.raises(UserError, match="weights 'without-unseen' are there for the body small on shapes-5i alone"):
        runs_with("without-unseen", "clip-to-seg.body=segnext-t")


def refused(root: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """What a training says whose weights are not on this disk; nothing is made."""
    options = ("--methods", "clip-to-seg", "--folds", "0", "--limit", "1", "--runs", str(root), "--cluster", "debug")
    assert harness.main(["run", *options, *more]) == 2
    return capsys.readouterr().err


def test_a_training_without_its_weights_is_refused_before_it_is_made(
    hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails when a run begins, and breaks, or trains from noise, because its body's weights were never fetched."""
    url = (tmp_path / "own.safetensors").as_uri()
    error = refused(tmp_path / "runs", capsys, "--set", f"clip-to-seg.body_weights={url}")
    assert f"not on this disk: the weights of small ({url}); fetch with `python harness.py prefetch`" in error
    assert not list((tmp_path / "runs").glob("shapes-5i/*"))


def test_a_body_that_nothing_trains_is_not_offered_noise(hub: Path, tmp_path: Path, capsys) -> None:
    """Fails when the line that refuses a DINO without weights names a setting that is refused as well."""
    options = ("--methods", "proxyclip", "--folds", "0", "--limit", "1", "--runs", str(tmp_path), "--cluster", "debug")
    assert harness.main(["run", *options, "--set", "proxyclip.body=dino-b8", "proxyclip.body_weights=published"]) == 2
    error = capsys.readouterr().err
    assert "name a file with --set METHOD.body_weights=FILE" in error
    assert "noise" not in error


def test_finished_weights_need_not_the_ones_they_began_with(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a trained student cannot be scored where ImageNet's weights are not, or forgets what it began with."""
    file = tmp_path / "own.safetensors"
    shutil.copy(weights_file("published", 0), file)
    (run,) = runs_with(str(file), limit=1)
    assert run_job(Job(run=run, root=tmp_path / "runs")) == "done"
    folder = run.folder(tmp_path / "runs")
    first = folder.read_record(run.evaluation)
    file.unlink()
    shutil.rmtree(folder.evaluation(run.evaluation))
    assert run_job(Job(run=run, root=tmp_path / "runs", train=False)) == "done"
    again = folder.read_record(run.evaluation)
    assert first is not None
    assert again is not None
    assert first.result.body_sha256 == file_sha256(weights_file("published", 0))
    assert again.result.digest() == first.result.digest()


def test_a_frozen_body_is_fetched_and_named_as_others_are(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a DINO is not looked for before a run, not named in its record, or drawn when its run is scored."""
    from methods.bodies.dino import DINO, Dino, Size

    (photos,) = plan(Request(("proxyclip",), ("voc-15-5",), scale="native"))
    assert prefetch.absent([photos]) == ["the weights of dino-b8 (published)"]
    hub.mkdir(parents=True)
    (hub / "dino_vitbase8_pretrain.pth").touch()
    assert prefetch.absent([photos]) == []
    monkeypatch.setitem(DINO, "dino-s16", Size(16, 24, 2, "unused"))
    file = tmp_path / "dino.pth"
    torch.save(Dino(patch=16, width=24, heads=2).vit.state_dict(), file)
    (run,) = runs_with(str(file), "proxyclip.body=dino-s16", method="proxyclip", limit=1)
    assert run_job(Job(run=run, root=tmp_path / "runs")) == "done"
    folder = run.folder(tmp_path / "runs")
    first = folder.read_record(run.evaluation)
    shutil.rmtree(folder.evaluation(run.evaluation))
    assert run_job(Job(run=run, root=tmp_path / "runs", train=False)) == "done"
    again = folder.read_record(run.evaluation)
    assert first is not None
    assert again is not None
    assert first.result.body_sha256 == file_sha256(file)
    assert again.result.digest() == first.result.digest()


def test_a_body_from_noise_marks_its_row() -> None:
    """Fails when a table does not say that a student began with noise, or says it of one that did not."""
    for weights, label in (("none", "clip-to-seg (shapes recipe, body from noise)"), ("published", None)):
        (run,) = runs_with(weights)
        result = factory.record("clip-to-seg", config=run.train.config, recipe=run.train.recipe).result
        assert result.label == (label or "clip-to-seg (shapes recipe)")


def test_what_was_loaded_is_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a record does not say which weights its body began with, or says so where there were none."""
    found = []
    for sha256 in (None, "ab" * 32):

        class Loaded(SmallBody):
            def __init__(self, *args, sha256=sha256, **kwargs):
                super().__init__(*args, **kwargs)
                self.weights_sha256 = sha256

        monkeypatch.setattr("methods.bodies.SmallBody", Loaded)
        (run,) = runs_with("none", limit=1)
        root = tmp_path / str(sha256)
        assert run_job(Job(run=run, root=root)) == "done"
        record = run.folder(root).read_record(run.evaluation)
        assert record is not None
        found.append(record.result)
    assert [result.body_sha256 for result in found] == ["", "ab" * 32]
    assert "body_sha256" not in found[0].essence()  # the records of before keep their digest
    assert found[1].model_copy(update={"body_sha256": ""}).digest() == found[0].digest()


@pytest.mark.parametrize(
    ("weights", "stale"),
    [(weights_file("published", 0), False), (weights_file("without-unseen", 0), True), (None, False)],
)
def test_a_record_of_other_shipped_weights_is_stale(
    weights: Path | None, stale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when weights of the built-in world are replaced and runs of the old ones count as runs of the new."""
    (run,) = runs_with("published" if weights else "none")
    record = factory.record("clip-to-seg", config=run.train.config, recipe=run.train.recipe)
    monkeypatch.setattr(staleness, "sources_sha256", lambda method: record.provenance.sources_sha256)
    result = record.result.model_copy(update={"body_sha256": file_sha256(weights) if weights else ""})
    assert staleness.is_stale(record.model_copy(update={"result": result})) == stale


def test_a_replaced_file_of_weights_makes_its_runs_stale(hub: Path, tmp_path: Path, capsys) -> None:
    """Fails when a run that began with a file's old content counts as one of the new, or is averaged with it."""
    file, root = tmp_path / "own.safetensors", tmp_path / "runs"
    shutil.copy(weights_file("published", 0), file)
    asked = [
        "--methods",
        "clip-to-seg",
        "--limit",
        "1",
        "--runs",
        str(root),
        "--set",
        f"clip-to-seg.body_weights={file}",
    ]
    made = ["--device", "cpu", "--cluster", "debug"]
    assert harness.main(["run", *asked, *made, "--folds", "0"]) == 0
    time.sleep(1.1)  # records know the second in which they were made
    shutil.copy(weights_file("without-unseen", 0), file)
    capsys.readouterr()
    harness.main(["status", *asked, "--folds", "0"])
    assert "stale  (the body's weights have changed since)" in capsys.readouterr().out
    assert harness.main(["run", *asked, *made, "--folds", "0", "1"]) == 0
    shown = capsys.readouterr()
    assert "1 stale: the body's weights have changed since; their numbers are old, --stale makes" in shown.err
    file.unlink()  # by the records alone
    assert harness.main(["tables", "--from", str(root)]) == 0
    assert "stale: the body's weights have changed since (runs of clip-to-seg (shapes recipe): 1)" in (
        capsys.readouterr().out
    )
    shutil.copy(weights_file("without-unseen", 0), file)
    assert harness.main(["run", *asked, *made, "--folds", "0", "1", "--stale"]) == 0
    assert "stale" not in capsys.readouterr().err


def test_no_training_goes_on_over_other_body_weights(tmp_path: Path) -> None:
    """Fails when a checkpoint is gone on from although the file that its body began with is another now."""
    before = Checkpoints(tmp_path, "spec", lambda path, data: path.write_bytes(data) and None, body="a" * 64)
    before.save(3, {})
    assert before.latest()[0]["step"] == 3
    with pytest.raises(BadCheckpoint, match="began with other body weights"):
        replace(before, body="b" * 64).latest()
    assert replace(before, body="").latest()[0]["step"] == 3
    replace(before, clip="a" * 64).save(3, {})
    with pytest.raises(BadCheckpoint, match="under other CLIP weights"):
        replace(before, clip="b" * 64).latest()


def test_weights_of_a_frozen_body_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when finished weights are scored over another frozen body, and the record names the old one."""
    from methods.bodies.dino import DINO, Dino, Size

    monkeypatch.setitem(DINO, "dino-s16", Size(16, 24, 2, "unused"))
    file = tmp_path / "dino.pth"
    torch.save(Dino(patch=16, width=24, heads=2).vit.state_dict(), file)
    (run,) = runs_with(str(file), "proxyclip.body=dino-s16", method="proxyclip", limit=1)
    assert run_job(Job(run=run, root=tmp_path / "runs")) == "done"
    folder = run.folder(tmp_path / "runs")
    shutil.rmtree(folder.evaluation(run.evaluation))
    torch.save(Dino(patch=16, width=24, heads=2).vit.state_dict(), file)
    assert run_job(Job(run=run, root=tmp_path / "runs", train=False)) == "failed"
    assert "its body's weights are others than lie there now" in folder.read_state()["reason"]


def test_finished_weights_stay_with_their_clip(tmp_path: Path) -> None:
    """Fails when weights are scored under another CLIP of the same name than they were trained under."""
    (run,) = plan(Request(("zegclip",), ("shapes-5i",), folds=(0,), limit=1))
    assert run_job(Job(run=run, root=tmp_path)) == "done"
    folder = run.folder(tmp_path)
    card = json.loads((folder.path / CARD).read_text())
    record = folder.read_record(run.evaluation)
    assert record is not None
    assert card["clip_sha256"] == record.result.clip_sha256
    (folder.path / CARD).write_text(json.dumps(card | {"clip_sha256": "0" * 64}))
    shutil.rmtree(folder.evaluation(run.evaluation))
    assert run_job(Job(run=run, root=tmp_path, train=False)) == "failed"
    assert "was trained under CLIP weights of sha256 000000000000, and those" in folder.read_state()["reason"]
