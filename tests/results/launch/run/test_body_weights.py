"""Weights of bodies: named before a grid is submitted, fetched where they are kept, and named in the record."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from results.launch.plan.body_weights import BodyWeights
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.run import prefetch
from results.launch.run.job import Job
from results.launch.run.worker import run_job
from splits.errors import UserError

torch = pytest.importorskip("torch")
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
    file.touch()
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
    """Fails when weights that nobody published an address of, or that do not fit, count as fetched."""
    options = ("--methods", "clip-to-seg", "--benchmarks", "shapes-5i", "--folds", "0")
    assert harness.main(["prefetch", *options, "--set", "clip-to-seg.body_weights=published"]) == 2
    assert "small has no published weights" in capsys.readouterr().err
    with pytest.raises(UserError, match="give a file by its path"):
        prefetch.is_cached(BodyWeights("small", "published"))


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
