"""Weights of bodies: named before a grid is submitted, fetched where they are kept, and told in the record."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from methods.distillation.distillation_config import DistillationConfig
from results.launch.plan import body_weights as bodies
from results.launch.plan.body_weights import BodyWeights
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.plan.settings import config_of
from results.launch.run import prefetch
from results.launch.run.job import Job
from results.launch.run.worker import run_job
from splits.errors import UserError

torch = pytest.importorskip("torch")
from methods.bodies.small import SmallBody  # noqa: E402


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
    file.touch()
    (asked,) = bodies.needed(runs_with(str(file)))
    assert (asked.source, bodies.here(asked)) == (str(file), True)
    assert bodies.needed(runs_with("none")) == []


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
    from methods.bodies.weights import load_backbone

    torch.save({"nothing.of.it": torch.zeros(1)}, tmp_path / "tiny.pth")
    asked = BodyWeights("segnext-t", (tmp_path / "tiny.pth").as_uri())
    assert not bodies.here(asked)
    with pytest.raises(ValueError, match="does not hold the weights"):
        load_backbone(torch.nn.Linear(1, 1), "Linear", asked.source)
    assert bodies.here(asked)


def test_prefetch_names_what_cannot_be_had(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when weights that nobody published an address of count as fetched."""
    options = ("--methods", "clip-to-seg", "--benchmarks", "shapes-5i", "--folds", "0")
    more = ("clip-to-seg.body_weights=published", "clip-to-seg.body=setr-pup")
    assert harness.main(["prefetch", *options, "--set", *more]) == 2
    assert "mmsegmentation publishes no address for the weights of setr-pup" in capsys.readouterr().err
    with pytest.raises(UserError, match="give a file by its path"):
        bodies.here(BodyWeights("setr-pup", "published"))


def test_weights_of_the_built_in_world_need_no_net(hub: Path) -> None:
    """Fails when a fold is given another fold's weights, or the built-in grid is held up by a look at the net."""
    for source, stems in (("published", {"published"}), ("without-unseen", {f"without-unseen-{k}" for k in range(4)})):
        runs = plan(Request(("clip-to-seg",), ("shapes-5i",), overrides=(f"clip-to-seg.body_weights={source}",)))
        assert {Path(asked.source).stem for asked in bodies.needed(runs)} == stems
        assert prefetch.absent(runs) == []
        for run in runs:
            config = bodies.with_files(run.train, config_of(run.train))
            assert config.body_weights.endswith((f"{source}.safetensors", f"{source}-{run.train.fold}.safetensors"))
            assert run.train.config["body_weights"] == source  # no path of this machine names a run


def test_weights_are_refused_where_they_mean_nothing() -> None:
    """Fails when shapes' weights are given to a body on photos, or a body is said to know no unseen name that does."""
    config = DistillationConfig(body="small", body_weights="published")
    bodies.check("clip-to-seg", "shapes-5i", config)
    with pytest.raises(UserError, match="of the body small are for shapes-5i, not for pascal-5i"):
        bodies.check("clip-to-seg", "pascal-5i", config)
    with pytest.raises(UserError, match="weights 'without-unseen' are there for the body small on shapes-5i alone"):
        runs_with("without-unseen", "clip-to-seg.body=segnext-t")


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
