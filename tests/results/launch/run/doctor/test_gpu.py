"""The check of a GPU, tried on a CPU: every part runs, a wrong number fails it, nothing ends the others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import harness  # noqa: E402
from methods.method import Images  # noqa: E402
from methods.zegclip.zegclip import ZegClip  # noqa: E402
from results.launch.run.doctor import gpu, jobs, throughput  # noqa: E402
from results.launch.run.doctor.agreement import WITHIN, agreement  # noqa: E402
from results.launch.run.doctor.page import markdown  # noqa: E402
from results.launch.run.doctor.sections import Bench, LeftOut, section  # noqa: E402
from tests.pretended_device import DEVICE, pretended  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*CUDA is not available")

CPU = Bench(torch.device("cpu"))
NAMES = ("random", "zegclip", "clip-to-seg", "chimera-seg", "otseg", "clip")


def test_without_a_gpu_it_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a machine without a GPU gets a stack trace, a report of a CPU, or the exit code of a failed check."""
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert harness.main(["doctor", "--gpu"]) == 2
    said = capsys.readouterr().err
    assert "torch sees no GPU here" in said
    assert len(said.splitlines()) == 1


def test_a_gpu_that_torch_cannot_use_is_one_line_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    """Fails when a driver that is too old for torch fails every part, and a stack trace ends them without a report."""
    if torch.cuda.is_available():
        pytest.skip("there is one")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # as NVML has it, whatever the driver's age
    assert harness.main(["doctor", "--gpu", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "torch cannot compute on this GPU" in said
    assert len(said.splitlines()) == 1


def test_options_of_the_gpu_are_not_ignored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Fails when --out is accepted by what writes nothing."""
    assert harness.main(["doctor", "--out", str(tmp_path)]) == 2
    assert "--gpu" in capsys.readouterr().err


def test_a_cpu_agrees_with_itself() -> None:
    """Fails when float32 differs on the device that it is compared with, or bf16 is not bf16 or off by more than it
    may be.
    """
    said, rows = agreement(CPU, NAMES)
    assert len(rows) == 2 * len(NAMES)
    assert [row for row in rows if row["wrong"]] == []
    for row in rows:
        if row["precision"] == "float32":
            assert row["losses"] == row["gradients"] == row["scores"] == 0
    half = next(row for row in rows if row["method"] == "zegclip" and row["precision"] == "bf16")
    assert min(half[part] for part in WITHIN["bf16"]) > 0
    assert "float32: losses" in said


@pytest.mark.usefixtures("fast_kernels")
def test_another_device_draws_as_the_cpu_does() -> None:
    """Fails when dropout on a device differs from the CPU's, so that no two gradients could be compared."""
    with pretended():
        _, rows = agreement(Bench(DEVICE), ("zegclip", "clip-to-seg"))
    of_float32 = [row for row in rows if row["precision"] == "float32"]
    assert [row["wrong"] for row in of_float32] == ["", ""]


def test_what_is_computed_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a method that is off by a thousandth on the device passes in float32, or one that raises ends it."""
    scores, calls = ZegClip.scores, iter(range(9))

    def off(self: ZegClip, images: Images, vocabulary: Any) -> torch.Tensor:
        number = next(calls)
        if number == 2:
            raise RuntimeError("no kernel")
        return scores(self, images, vocabulary) * (1 + 1e-3 * number)

    monkeypatch.setattr(ZegClip, "scores", off)
    _, (full, half) = agreement(CPU, ("zegclip",))
    assert full["wrong"] == "scores"
    assert half["wrong"] == "RuntimeError: no kernel"


def test_compiled_losses_and_lack_of_memory() -> None:
    """Fails when a compiled step is not compared, or a lack of memory is not made and mended."""
    said, rows = gpu.compiled(CPU)
    assert rows
    assert not any(row["wrong"] for row in rows)
    assert "aot_eager" in said
    said, (row,) = gpu.out_of_memory(CPU)
    assert "--accumulate 2" in said
    assert row["goes on"]
    assert not row["wrong"]


def test_steps_memory_and_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a method has no rate, when memory that is not there ends it, or hours are not what rates make them."""
    every = list(throughput.subjects(CPU))
    names = [subject.run.train.method for subject in every]
    assert {"zegclip", "clip-to-seg", "chimera-seg", "cascade-clip", "otseg", "clip"} <= set(names)
    few = [subject for subject in every if subject.run.train.method in ("zegclip", "clip")]
    monkeypatch.setattr(throughput, "subjects", lambda bench: iter(few))
    timed, asked, tf32 = throughput._timed, [], set()
    moved = throughput.acceleration.moved
    monkeypatch.setattr(
        throughput.acceleration, "moved", lambda *of: (tf32.add(torch.backends.cudnn.allow_tf32), moved(*of))[1]
    )

    def lacking(bench: Bench, subject: Any, precision: str, batch: int) -> tuple[float, float]:
        asked.append(batch)
        if batch == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return timed(bench, subject, precision, batch)

    monkeypatch.setattr(throughput, "_timed", lacking)
    _, rows = throughput.throughput(CPU)
    assert asked == [4, 2, 4, 2]
    assert tf32 == {False}  # as in a training
    trained = [row for row in rows if row["method"] == "zegclip"]
    assert all(row["accumulate"] == 2 and row["steps_per_second"] > 0 and row["peak_mib"] > 0 for row in trained)
    assert all(row["images_per_second"] > 0 for row in rows)
    row = {"method": "zegclip", "precision": "float32", "steps_per_second": 2.0, "images_per_second": 10.0}
    _, found = throughput.hours([row])
    (voc,) = (r for r in found if r["benchmark"] == "voc-15-5" and r["precision"] == "float32")
    assert voc["hours"] == pytest.approx(3 * (20_000 / 2.0 + 1449 / 10.0) / 3600)


def test_hours_say_whom_they_leave_out() -> None:
    """Fails when a method that could not be measured makes the whole grid look shorter without a word."""
    row = {"method": "zegclip", "precision": "float32", "steps_per_second": 2.0, "images_per_second": 10.0}
    lacking = row | {"method": "otseg", "wrong": "one image at a time does not fit"}
    said, found = throughput.hours([row, lacking])
    assert found == throughput.hours([row])[1]
    assert "h without otseg, of which no rate is known" in said
    assert "without" not in throughput.hours([row])[0]


def test_one_methods_fault_is_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a method that raises takes the rates of all others with it, or where no rate is known hours are 0."""

    def steps(_: Bench, subject: Any, precision: str) -> dict[str, float]:
        if subject.run.train.method == "a":
            raise RuntimeError("no kernel\nfor this")
        return {"steps_per_second": 1.0}

    trains = [SimpleNamespace(method=name, recipe=SimpleNamespace(iterations=1)) for name in "ab"]
    every = [SimpleNamespace(run=SimpleNamespace(train=train)) for train in trains]
    monkeypatch.setattr(throughput, "subjects", lambda bench: iter(every))
    monkeypatch.setattr(throughput, "_scored", lambda *_: {"images_per_second": 1.0})
    monkeypatch.setattr(throughput, "_steps", steps)
    _, rows = throughput.throughput(CPU)
    assert [row.get("wrong", "") for row in rows] == ["RuntimeError: no kernel"] * 2 + [""] * 2
    for none in ([], rows[:2]):
        with pytest.raises(LeftOut, match="no rate"):
            throughput.hours(none)


def test_a_part_ends_no_other() -> None:
    """Fails when an error or a missing device in one part loses the rest, or a wrong row passes."""

    def raising() -> Any:
        raise ZeroDivisionError("nothing\nat all")

    def left_out() -> Any:
        raise LeftOut("one GPU")

    made = [
        section("a", raising),
        section("b", left_out),
        section("c", lambda: ("said", [{"wrong": ""}, {"wrong": "off"}])),
        section("d", lambda: ("said", [{"wrong": "", "ratio": 1.23456}])),
    ]
    assert [one.state for one in made] == ["failed", "left out", "failed", "ok"]
    assert made[0].said == "ZeroDivisionError: nothing"
    report = {"machine": {"device": "x|y"}, "seconds": 1.0, "sections": [one.as_dict() for one in made]}
    page = markdown(json.loads(json.dumps(report)))
    for words in ("FAILED", "left out", "ZeroDivisionError", "1.235", "1 of 2 wrong"):
        assert words in page


@pytest.mark.usefixtures("torch_as_it_was")
def test_the_command_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Fails when a part is not in the report, a failed one is no exit code, or a file is missing; when rates are not
    measured as runs are made, or one part's memory is kept from the processes of the next.
    """
    row = {"method": "zegclip", "precision": "float32", "steps_per_second": 2.0, "images_per_second": 10.0}
    seen: list[Any] = []
    freed = Bench.freed
    monkeypatch.setattr(Bench, "freed", lambda self: (seen.append("freed"), freed(self))[1])
    monkeypatch.setattr(gpu, "agreement", lambda bench: agreement(bench, ("clip",)))
    rates = lambda bench: (seen.append(torch.are_deterministic_algorithms_enabled()), ("few", [row]))[1]  # noqa: E731
    monkeypatch.setattr(gpu, "throughput", rates)
    for name in ("runs", "ranks", "targets", "tests"):
        monkeypatch.setattr(jobs, name, lambda bench: ("done", []))
    out = ["doctor", "--gpu", "--device", "cpu", "--out", str(tmp_path)]
    assert harness.main(out) == 0
    report = json.loads((tmp_path / "gpu-check.json").read_text())
    assert [one["name"] for one in report["sections"]] == list(gpu.parts(CPU, []))
    assert {one["state"] for one in report["sections"]} == {"ok"}
    assert seen == ["freed"] * 3 + [True] + ["freed"] * 6
    assert "no figure counts" in (tmp_path / "gpu-check.md").read_text()
    monkeypatch.setattr(jobs, "tests", lambda bench: ("done", [{"wrong": "one"}]))
    assert harness.main(out) == 1


def test_two_ranks_are_left_out_with_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a machine with one GPU fails for want of a second."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    found = section("ranks", lambda: jobs.ranks(replace(CPU, device=torch.device("cuda"))))
    assert (found.state, found.said) == ("left out", "two ranks take two GPUs; torch sees 1")


@pytest.mark.slow
def test_whole_commands_on_a_cpu() -> None:
    """Fails when a command that the check calls is not there any more, or its answer is not understood."""
    for work in (jobs.runs, jobs.ranks, jobs.tests, jobs.targets):
        found = section(work.__name__, lambda work=work: work(CPU))
        assert found.state == "ok", (found.said, found.trace)
        assert found.rows
