"""Curves for TensorBoard and W&B: what is told, once, where, and that a run neither depends on it nor knows of it."""

from __future__ import annotations

import os
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from benchmarks.training.train import Progress, learning_rate  # noqa: E402
from results.launch.plan.request import Request  # noqa: E402
from results.launch.plan.runs import plan  # noqa: E402
from results.launch.run import loggers, ranks  # noqa: E402
from results.launch.run.job import Job  # noqa: E402
from results.launch.run.loggers import Loggers, check_logs, run_id  # noqa: E402
from results.launch.run.worker import clear, work  # noqa: E402
from results.store.record import Result, RunRecord  # noqa: E402
from splits.errors import UserError  # noqa: E402
from tests.results.factory import record  # noqa: E402

(RUN,) = plan(Request(("zegclip",), ("shapes-5i",), (0,), limit=8))
SPEC = RUN.train.model_copy(update={"limit": None})  # 300 iterations, a point every third


def told(folder: Path, logs: tuple[str, ...], first: int, last: int, result: Result | None = None) -> None:
    """Tell of the steps `first` to `last` as training does, of which the curve before was restored."""
    with Loggers(logs, folder, SPEC) as loggers:
        curve = [(step, loss_at(step)) for step in range(3, first, 3)]
        for step in range(first, last + 1):
            if step % 3 == 0:
                curve.append((step, loss_at(step)))
            loggers.update(Progress(step, 300, 7.5 if step > first + 4 else None, curve))
        if result is not None:
            loggers.final(result)


def loss_at(step: int) -> dict[str, float]:
    return {"focal": 1 / step, "watched picked_share": step / 2}


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a folder: by name, step and value."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    shown = reader.EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    shown.Reload()
    return {tag: [(e.step, e.value) for e in shown.Scalars(tag)] for tag in shown.Tags()["scalars"]}


@pytest.fixture
def result(toy: None) -> Result:
    return record(seen=0.5, unseen=0.25).result


def test_tensorboard_shows_each_point_once(tmp_path: Path, result: Result) -> None:
    """Fails when a figure is lost, wrong, at another step, or there twice after a kill behind a checkpoint; read back
    as TensorBoard does.
    """
    told(tmp_path, ("tensorboard",), 1, 20)  # killed at 20, behind the checkpoint of 10
    told(tmp_path, ("tensorboard",), 11, 30, result)
    shown, steps = events(tmp_path), list(range(3, 31, 3))
    assert [step for step, _ in shown["loss/focal"]] == steps
    assert [value for _, value in shown["loss/focal"]] == pytest.approx([1 / step for step in steps])
    assert [value for _, value in shown["watched/picked_share"]] == pytest.approx([step / 2 for step in steps])
    rates = [learning_rate(SPEC.recipe, step - 1) for step in steps]
    assert [value for _, value in shown["learning_rate"]] == pytest.approx(rates)
    assert shown["images_per_second"] == [(step, 7.5) for step in (6, 9, 18, 21, 24, 27, 30)]
    under = f"val-{result.family_hash[:12]}"
    scores = {name: shown[f"{under}/{name}"] for name in ("mIoU_seen", "mIoU_unseen", "hIoU")}
    assert scores == {"mIoU_seen": [(300, 0.5)], "mIoU_unseen": [(300, 0.25)], "hIoU": [(300, pytest.approx(1 / 3))]}


def test_tensorboard_learns_what_it_was_not_told(tmp_path: Path) -> None:
    """Fails when a curve begins where the logger was first asked for, or has a hole where it was not."""
    pytest.importorskip("tensorboard")
    told(tmp_path, (), 1, 10)
    told(tmp_path, ("tensorboard",), 11, 15)
    told(tmp_path, (), 16, 20)
    told(tmp_path, ("tensorboard",), 21, 25)
    assert [step for step, _ in events(tmp_path)["loss/focal"]] == list(range(3, 25, 3))


# -- W&B, by a module that writes down what it is asked


class FakeRun:
    def __init__(self, calls: list[tuple], broken: str) -> None:
        self._calls, self._broken, self.summary = calls, broken, self
        self.points: list[tuple[int, dict]] = []

    def log(self, figures: dict[str, float], step: int) -> None:
        if self._broken == "log":
            raise OSError("the disk is full\nand more")
        self.points.append((step, figures))

    def update(self, figures: dict[str, float]) -> None:
        self._calls.append(("summary", figures))

    def finish(self) -> None:
        self._calls.append(("finish", self.points))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What W&B was called with; the entry ("broken", place) first makes that place fail."""
    calls: list[tuple] = []
    fake: Any = types.ModuleType("wandb")

    def init(**arguments: Any) -> FakeRun:
        broken = calls[0][1] if calls and calls[0][0] == "broken" else ""
        if broken == "init":
            raise RuntimeError("no room")
        places = {name: path for name, path in os.environ.items() if name.startswith("WANDB_")}
        calls.append(("init", arguments, places))
        return FakeRun(calls, broken)

    fake.init, fake.Settings = init, lambda **settings: settings
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    return calls


def test_wandb_goes_on_with_the_same_run(calls: list[tuple], tmp_path: Path, result: Result) -> None:
    """Fails when W&B is reached without being asked to, a break makes another run of one, a point is told twice or
    never, scores are lost, or files land elsewhere.
    """
    told(tmp_path, ("wandb",), 1, 20)
    told(tmp_path, ("wandb",), 11, 30, result)
    (_, first, places), (_, points), (_, again, _), (_, summary), (_, more) = calls
    assert first["mode"] == "offline"
    assert first["id"] == again["id"] == f"shapes-5i-zegclip-fold0-seed0-{SPEC.key}"
    assert first["resume"] == "allow"
    assert (first["dir"], first["settings"]["symlink"]) == (str(tmp_path), False)
    assert first["config"]["recipe"]["lr"] == SPEC.recipe.lr
    assert len(places) == 4
    assert set(places.values()) == {str(tmp_path / "wandb")}
    assert not any(name.startswith("WANDB_") for name in os.environ)
    assert [step for step, _ in points + more] == list(range(3, 31, 3))
    assert points[0][1] == {
        "loss/focal": 1 / 3,
        "watched/picked_share": 1.5,
        "learning_rate": learning_rate(SPEC.recipe, 2),
    }
    assert summary == {
        f"val-{result.family_hash[:12]}/{name}": value
        for name, value in zip(("mIoU_seen", "mIoU_unseen", "hIoU"), (0.5, 0.25, pytest.approx(1 / 3)), strict=True)
    }


def test_wandb_as_the_environment_says(calls: list[tuple], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when W&B's own variables are overruled."""
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_CACHE_DIR", "/elsewhere")
    told(tmp_path, ("wandb",), 1, 3)
    _, arguments, places = calls[0]
    assert (arguments["mode"], arguments["project"], places["WANDB_CACHE_DIR"]) == ("online", "mine", "/elsewhere")


@pytest.mark.parametrize(("place", "words"), [("init", "RuntimeError: no room"), ("log", "the disk is full and more")])
def test_a_logger_that_fails_is_left_out(place: str, words: str, calls: list[tuple], tmp_path: Path, capsys) -> None:
    """Fails when a logger's error ends a run, is not told in one line, is told at each step, or silences another."""
    pytest.importorskip("tensorboard")
    calls.append(("broken", place))
    told(tmp_path, ("wandb", "tensorboard"), 1, 9)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: --log wandb: ")
    assert words in line
    assert line.endswith("the run goes on without it")
    assert [step for step, _ in events(tmp_path)["loss/focal"]] == [3, 6, 9]


def test_ids_are_of_letters_that_wandb_takes() -> None:
    """Fails when a name of somebody's own makes an id that W&B refuses, or one that other runs have too."""
    odd = SPEC.model_copy(update={"method": "mein:ä/" + 200 * "x"})
    assert len(run_id(odd)) <= 128
    assert not set(run_id(odd)) & set("/\\#?%:")
    assert run_id(odd).endswith(odd.key)


# -- the whole of it


def job(root: Path, *logs: str) -> Job:
    return Job(run=RUN, root=root, logs=logs)


def made(job: Job, stops: tuple[bool, ...] = ()) -> tuple[str, RunRecord | None]:
    folder, asked = job.run.folder(job.root), iter(stops)
    claim = folder.claims.claim()
    assert claim is not None
    with ranks.LocalRanks(job) as others:
        state = work(job, folder, claim, lambda: next(asked, False), others)
    return state, folder.read_record(job.run.evaluation)


def test_a_run_is_the_same_with_and_without(tmp_path: Path, calls: list[tuple]) -> None:
    """Fails when logging changes a result or a key, is not done in a run, is there twice after a break, or keeps a
    run's folder from being cleared.
    """
    pytest.importorskip("tensorboard")
    _, plain = made(job(tmp_path / "plain"))
    logged = job(tmp_path / "logged", "tensorboard", "wandb")
    assert made(logged, (False, False, True))[0] == "interrupted"
    state, record = made(logged)
    assert plain is not None
    assert record is not None
    assert (state, record.result) == ("done", plain.result)
    assert "logs" not in record.model_dump_json()
    folder = logged.run.folder(logged.root).path
    shown = events(folder)
    assert [step for step, _ in shown["loss/focal"]] == list(range(1, 9))
    assert [value for _, value in shown["loss/focal"]] == pytest.approx(
        [p.losses["focal"] for p in plain.result.losses]
    )
    assert [v for tag, v in shown.items() if tag.endswith("hIoU")] == [[(8, pytest.approx(plain.result.own.hiou))]]
    assert [step for call in calls if call[0] == "finish" for step, _ in call[1]] == list(range(1, 9))
    assert not (plain_folder := RUN.folder(tmp_path / "plain").path / "tensorboard").exists(), plain_folder
    (folder / "wandb" / "latest-run").symlink_to("elsewhere", target_is_directory=True)
    (folder / "wandb" / "here").symlink_to(folder / "evals", target_is_directory=True)
    clear(replace(logged, force=True))
    assert not (folder / "wandb").exists()


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a grid begins without what was asked for, or the line does not say what to install. W&B leaves folders
    of its own name behind: such a one is no package.
    """
    (tmp_path / "wandb").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    for name in ("wandb", "tensorboard"):
        monkeypatch.setattr(loggers, "find_spec", {"tensorboard": lambda _: None}.get(name, loggers.find_spec))
        with pytest.raises(UserError, match=rf"--log {name}: .* pip install '\.\[logging\]'") as raised:
            check_logs([name])
        assert "\n" not in str(raised.value)


def test_the_command_looks_before_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when `run --log` does not reach the check."""
    import harness

    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    options = harness._parser().parse_args(["run", "--methods", "clip", "--log", "wandb", "--runs", str(tmp_path)])
    with pytest.raises(UserError, match="--log wandb"):
        options.command(options)
