"""A job at work: what another harness made is not made again, and what the disk refuses is one line."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
from results.launch.run import make, worker
from results.launch.run.status import status
from results.launch.run.worker import run_job
from results.store.folders import CARD, RECORD
from splits.errors import Diverged, UserError
from tests.torture.trials import essence, job_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A finished run of the constant baseline."""
    job = job_of("constant", tmp_path_factory.mktemp("runs"), limit=4)
    assert run_job(job) == "done"
    return job


def test_what_is_there_is_not_made_again(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a job that comes after another harness's scores, and so replaces, the record once more."""
    folder = made.run.folder(made.root)
    record = folder.evaluation(made.run.evaluation) / RECORD
    before = record.stat().st_mtime_ns
    monkeypatch.setattr(make, "make_record", lambda *_: pytest.fail("it was made again"))
    assert run_job(made) == "done"
    assert record.stat().st_mtime_ns == before
    assert folder.read_record(made.run.evaluation).provenance.scoring.attempts == 1


def test_what_is_broken_is_made_again(made) -> None:
    """Fails when a record that cannot be trusted counts as there."""
    folder = made.run.folder(made.root)
    whole, matrices = essence(made.root), folder.evaluation(made.run.evaluation) / "confusion.npz"
    matrices.write_bytes(matrices.read_bytes()[:-1])
    assert run_job(made) == "done"
    assert essence(made.root) == whole


def test_drafts_of_dead_owners_are_swept(made) -> None:
    """Fails when what a killed writer left stays for good."""
    folder = made.run.folder(made.root).path
    (folder / "evals" / ".record.json.0123456789ab.tmp").write_bytes(b"half")
    assert run_job(made) == "done"
    assert not list(folder.rglob("*.tmp"))


def test_checkpoints_of_an_owner_that_died_at_its_end_go(made) -> None:
    """Fails when checkpoints stay for good where a run was killed between its last weights and their deletion."""
    folder = made.run.folder(made.root)
    (folder.path / "checkpoint-4.pt").write_bytes(b"whatever")
    (folder.evaluation(made.run.evaluation) / RECORD).unlink()
    assert run_job(made) == "done"
    assert not list(folder.path.glob("checkpoint-*"))


@pytest.mark.parametrize("spoil", [lambda card: card.pop("curve"), lambda card: card.update(seconds="long")])
def test_a_card_that_is_not_whole_is_one_line(made, spoil, tmp_path: Path) -> None:
    """Fails when a card that lost a field ends in a stack trace."""
    job = replace(made, root=tmp_path)
    shutil.copytree(made.root, tmp_path, dirs_exist_ok=True)
    folder = job.run.folder(tmp_path)
    card = json.loads((folder.path / CARD).read_text())
    spoil(card)
    (folder.path / CARD).write_text(json.dumps(card))
    (folder.evaluation(job.run.evaluation) / RECORD).unlink()
    assert run_job(job) == "failed"
    assert "is no whole card" in folder.read_state()["reason"]
    assert not (folder.path / "error.txt").exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("lasting", [True, False])
def test_a_disk_that_refuses_is_one_line(code: int, lasting: bool, tmp_path: Path, monkeypatch, capsys) -> None:
    """Fails when a full or read-only disk ends in a stack trace, or its failure cannot be mended by running again."""
    job, replace = job_of("constant", tmp_path, limit=4), os.replace
    refused = []

    def refuse(source, target, **options) -> None:
        if Path(target).name in ("model.safetensors",) or (lasting and refused):
            refused.append(target)
            raise OSError(code, os.strerror(code), str(target))
        replace(source, target, **options)

    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", refuse)
        assert run_job(job) == "failed"
    told = capsys.readouterr().err if lasting else job.run.folder(tmp_path).read_state()["reason"]
    assert status(job.run, tmp_path).mendable or lasting  # where it lasts, no state could be written either
    assert os.strerror(code) in told
    assert "then run the same again" in told
    assert "Traceback" not in told
    assert not list(tmp_path.rglob("error.txt"))
    if lasting:  # its release could not be written either, and its process, this one, goes on
        shutil.rmtree(job.run.folder(tmp_path).path / "claims")
    assert run_job(job) == "done"


@pytest.mark.parametrize(
    ("error", "mendable"),
    [(UserError("no file"), True), (Diverged("the loss is not finite"), False), (RuntimeError("a fault"), False)],
)
def test_only_what_a_person_can_mend_is_tried_again(error, mendable, tmp_path: Path, monkeypatch) -> None:
    """Fails when a mistake that is mended is held against the run, or a diverged training is made over and over."""
    job = job_of("constant", tmp_path, limit=4)

    def fail(*_: object) -> bool:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(make, "make_record", fail)
        assert run_job(job) == "failed"
    seen = status(job.run, tmp_path)
    assert (seen.state, seen.mendable) == ("failed", mendable)
    assert run_job(job) == "done"
    assert not status(job.run, tmp_path).mendable


def test_other_code_of_the_method_is_tried(tmp_path: Path, monkeypatch) -> None:
    """Fails when a training that diverged is held against the method after its author has mended the code."""
    job = job_of("constant", tmp_path, limit=4)

    def fail(*_: object) -> bool:
        raise Diverged("the loss is not finite")

    with monkeypatch.context() as before:
        before.setattr(make, "make_record", fail)
        before.setattr(worker, "sources_sha256", lambda _: "of the code before")
        assert run_job(job) == "failed"
    seen = status(job.run, tmp_path)
    assert (seen.state, seen.mendable) == ("failed", True)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys) -> None:
    """Fails when a root of runs that is a file ends in a stack trace."""
    (tmp_path / "runs").write_text("")
    assert run_job(job_of("constant", tmp_path / "runs")) == "failed"
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "name a folder, not a file" in said


def test_tf32_on_a_cpu_is_refused_in_one_line(tmp_path: Path) -> None:
    """Fails when a record says of numbers made on a CPU that they were rounded as only CUDA does."""
    job = job_of("constant", tmp_path, limit=4)
    asked = replace(job, run=replace(job.run, evaluation=job.run.evaluation.model_copy(update={"precision": "tf32"})))
    assert run_job(asked) == "failed"
    assert "--precision tf32: TF32 is of CUDA" in asked.run.folder(tmp_path).read_state()["reason"]
    assert not list(tmp_path.rglob("error.txt"))


def test_another_precision_is_another_scoring(made, tmp_path: Path, torch_as_it_was) -> None:
    """Fails when scores of bf16 take the place of the usual ones, or a record does not say what they are."""
    job = replace(made, root=tmp_path)
    shutil.copytree(made.root, tmp_path, dirs_exist_ok=True)
    other = job.run.evaluation.model_copy(update={"precision": "bf16"})
    rounded = replace(job, run=replace(job.run, evaluation=other))
    assert run_job(rounded) == "done"
    folder = job.run.folder(tmp_path)
    usual, found = folder.read_record(job.run.evaluation), folder.read_record(other)
    assert (usual.result.evaluation.precision, found.result.evaluation.precision) == ("float32", "bf16")
    assert found.result.label == f"{usual.result.label} (scored in bf16)"
