"""Several processes that train one run: the same batches, gradients and weights as one, and one word to stop."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import load_file  # noqa: E402

from results.launch.plan.request import Request  # noqa: E402
from results.launch.plan.runs import plan  # noqa: E402
from results.launch.run import ranks, rendezvous  # noqa: E402
from results.launch.run.job import Job  # noqa: E402
from results.launch.run.rendezvous import Address, Meeting  # noqa: E402
from results.launch.run.status import status  # noqa: E402
from results.launch.run.worker import work  # noqa: E402
from results.store.claim import LostClaim  # noqa: E402
from results.store.folders import WEIGHTS  # noqa: E402
from tests.results.launch.in_process import Gradients, made, record_of, watched  # noqa: E402

STEPS = 6


def job_of(root: Path, count: int, *overrides: str) -> Job:
    """ZegCLIP on 24 scenes for some steps of batch 16, without dropout: what it draws depends on the rank."""
    without = ("zegclip.prompt_dropout=0.0", "zegclip.decoder_dropout=0.0", f"recipe.iterations={STEPS}")
    request = Request(("zegclip",), ("shapes-5i",), folds=(0,), overrides=(*without, *overrides), limit=24, ranks=count)
    (run,) = plan(request)
    return Job(run=run, root=root)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Job, Gradients]]:
    """The same run by one process and by two, with the gradients that each step of rank 0 took."""
    found = {}
    for count in (1, 2):
        job = job_of(tmp_path_factory.mktemp(f"ranks{count}"), count)
        found[count] = (job, watched(job))
    return found


def test_gradients_are_those_of_the_whole_batch(both) -> None:
    """Fails when gradients are not averaged over ranks, the shares are not the batch, or a loss is normalised by one
    rank's masks alone. Float32, first step: within 1e-5 of the largest entry of each parameter's gradient; 1e-7 of
    the largest of all is rounding.
    """
    (_, one), (_, two) = both[1], both[2]
    assert len(one) == len(two) == STEPS
    assert sum(g is not None for g in one[0]) > 10
    rounding = 1e-7 * max(float(g.abs().max()) for g in one[0] if g is not None)
    for alone, together in zip(one[0], two[0], strict=True):
        assert (alone is None) == (together is None)
        if alone is not None:
            assert float((alone - together).abs().max()) <= 1e-5 * float(alone.abs().max()) + rounding


def test_equal_weights_at_equal_total_batch(both) -> None:
    """Fails when two ranks train otherwise than one process with their batch. Float32, six steps: losses within 1e-5
    of themselves, weights within 1e-5 of the largest entry of each tensor. Left out are the biases of keys: softmax
    takes no notice of them, and AdamW makes whole steps of what rounding leaves as their gradient.
    """
    (one, _), (two, _) = both[1], both[2]
    tensors = [load_file(job.run.folder(job.root).path / WEIGHTS) for job in (one, two)]
    for name, alone in tensors[0].items():
        if not name.endswith("attention.k.bias"):
            assert float((alone - tensors[1][name]).abs().max()) <= 1e-5 * float(alone.abs().max()), name
    curves = [record_of(job).result.losses for job in (one, two)]
    assert [point.step for point in curves[0]] == [point.step for point in curves[1]]
    for a, b in zip(*curves, strict=True):
        assert b.losses == pytest.approx(a.losses, rel=1e-5)


def test_ranks_are_recorded(both) -> None:
    """Fails when a record does not tell that several processes trained it, or one process's record says so."""
    one, two = (record_of(both[count][0]) for count in (1, 2))
    assert (one.result.train.recipe.ranks, two.result.train.recipe.ranks) == (1, 2)
    assert (one.provenance.training.ranks, len(two.provenance.training.ranks)) == ((), 2)
    assert all(member.endswith(" cpu") for member in two.provenance.training.ranks)
    assert (one.costs.micro_batch, two.costs.micro_batch) == (16, 8)


def test_stopped_and_gone_on_with(both, tmp_path: Path) -> None:
    """Fails when ranks stop after different steps, or go on otherwise than they would have without the break."""
    job = replace(both[2][0], root=tmp_path)
    answers = iter([False, False, True])
    state, folder = made(job, lambda: next(answers))
    assert (state, folder.read_state()["reason"]) == ("interrupted", "asked to stop")
    assert [path.name for path in folder.path.glob("checkpoint-*.pt")][-1:] == ["checkpoint-3.pt"]
    assert made(job)[0] == "done"
    assert record_of(job).result.digest() == record_of(both[2][0]).result.digest()


def test_fabric_leaves_the_threads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a rank computes with as many threads as the machine has cores because nobody set a variable: sums
    are rounded otherwise then, and a run that is gone on with elsewhere comes to another result.
    """
    from benchmarks.training.ranks import Ranks
    from results.launch.run.training import fabric_of

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    try:
        fabric = fabric_of("cpu", "32-true", Ranks(0, 2))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert "OMP_NUM_THREADS" not in os.environ
    assert (fabric.global_rank, fabric.world_size) == (0, 2)


def test_a_rank_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when rank 0 waits for one that is gone, or does not say what became of it."""
    monkeypatch.setattr(ranks, "RANK_PROCESS", "results.launch.no_such_module")
    state, folder = made(job_of(tmp_path, 2))
    assert (state, folder.read_state()["reason"]) == ("failed", "rank 1 ended with exit code 1")


def test_a_rank_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when rank 0 goes on waiting for one that dies in the midst of training, or the run is said to have failed
    by itself, with a library's words.
    """
    monkeypatch.setattr(rendezvous, "NOTE_SECONDS", 0.2)
    job = job_of(tmp_path, 2)
    folder = job.run.folder(tmp_path)
    claim = folder.claims.claim()
    assert claim is not None
    with ranks.LocalRanks(job) as others:
        state = work(job, folder, claim, lambda: bool(others._processes[0].kill()), others)
    assert (state, folder.read_state()["reason"]) == ("interrupted", "rank 1 of 2 ended without a word")
    assert not folder.trained()


def test_a_rank_that_is_killed_on_its_way(tmp_path: Path) -> None:
    """Fails when rank 0 waits for ever for one that died before it came, or calls that a failure of the run."""
    with ranks.LocalRanks(job_of(tmp_path, 2)) as others, others._started():
        (process,) = others._processes
        others._look()  # nothing is wrong yet
        process.kill()
        process.wait()
        with pytest.raises(ranks.LostRank, match=r"^rank 1 of 2 ended without a word$"):
            others._look()


def test_a_first_rank_that_is_killed(tmp_path: Path) -> None:
    """Fails when the same event gives another state where it struck rank 0, who can write none."""
    job = job_of(tmp_path, 2)
    folder = job.run.folder(tmp_path)
    claim = folder.claims.claim()
    assert claim is not None
    with claim:
        folder.write_state("running", claim)
    seen = status(job.run, tmp_path)
    assert (seen.state, seen.reason) == ("interrupted", "rank 0 of 2 ended without a word")


def test_who_is_silent_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when on a cluster, where rank 0 sees no processes, ranks that only lost the others are named."""
    monkeypatch.setattr(rendezvous, "NOTE_SECONDS", 0.2)
    meeting = Meeting(tmp_path, "start0")
    others = ranks.Others(job_of(tmp_path, 4), meeting)
    monkeypatch.setattr(ranks, "_first", lambda *_: broken())
    with pytest.raises(ranks.LostRank, match="ranks 1, 2, 3 of 4 ended without a word"), others.gathered():
        pass
    for rank in (1, 3):
        meeting.leave_note(rank, "RuntimeError: Connection closed by peer", own_fault=False)
    with pytest.raises(ranks.LostRank, match=r"^rank 2 of 4 ended without a word$"), others.gathered():
        pass
    assert others.lost


def test_a_rank_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when the reason of a run's failure is that ranks have lost each other, not why the first of them ended."""
    monkeypatch.setattr(rendezvous, "NOTE_SECONDS", 0.2)
    meeting = Meeting(tmp_path, "start0")
    assert meeting.blame() == ""
    job = replace(job_of(tmp_path, 4), scratch="$NO_SUCH_VARIABLE_HERE")
    meeting.leave_note(1, "RuntimeError: Connection closed by peer", own_fault=False)
    assert ranks.follow(job, meeting, 2) == "failed"
    others = ranks.Others(job, meeting)
    monkeypatch.setattr(ranks, "_first", lambda *_: broken())
    with pytest.raises(ranks.UserError, match="rank 2: --stage-data"), others.gathered():
        pass
    for error in (LostClaim("taken over"), RuntimeError("out of memory")):  # the others' notes come of that
        monkeypatch.setattr(ranks, "_first", lambda *_, error=error: broken(error))
        with pytest.raises(type(error), match=str(error)), others.gathered():
            pass


def broken(error: Exception | None = None) -> Any:
    def enter(_: object) -> None:
        raise error or RuntimeError("gloo: Connection closed by peer")

    return type("Broken", (), {"__enter__": enter, "__exit__": lambda *_: None})()


def test_who_is_not_called_goes(tmp_path: Path) -> None:
    """Fails when ranks wait on for a run that rank 0 will not train, or take an earlier start's word for theirs."""
    job, meeting = job_of(tmp_path, 2), Meeting(tmp_path, "start1")
    Meeting(tmp_path, "start0").call(Address("nowhere", 1))
    with ranks.Others(job, meeting):
        pass
    assert meeting.wait() is None
    assert ranks.follow(job, meeting, 1) == "not needed"


def test_a_rank_ends_with_its_parent(tmp_path: Path) -> None:
    """Fails when processes stay behind where rank 0 was killed."""
    import pickle

    process = subprocess.Popen([sys.executable, "-m", ranks.RANK_PROCESS], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(pickle.dumps((job_of(tmp_path, 2), Meeting(tmp_path, "start0"), 1)))
    process.stdin.flush()
    time.sleep(0.5)
    assert process.poll() is None
    process.stdin.close()
    assert process.wait(300) == 1


@pytest.mark.parametrize(
    ("device", "fails", "left"), [("cuda", True, "abort"), ("cuda", False, "end"), ("cpu", True, "end")]
)
def test_nobody_waits_for_a_rank_that_is_gone(tmp_path, monkeypatch, device, fails, left) -> None:
    """Fails when a rank that failed ends NCCL in the way that waits for collectives which others never join."""
    import torch.distributed as dist

    ended: list[str] = []
    monkeypatch.setattr(ranks, "_choose_gpu", lambda place: None)
    monkeypatch.setattr(dist, "init_process_group", lambda *args, **more: None)
    monkeypatch.setattr(dist, "new_group", lambda **more: None)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: ended.append("end"))
    monkeypatch.setattr(dist.distributed_c10d, "_abort_process_group", lambda: ended.append("abort"))
    job = replace(job_of(tmp_path, 2), device=device)
    with contextlib.suppress(RuntimeError), ranks._joined(job, Address("localhost", 1), 0, object()):
        if fails:
            raise RuntimeError("a broken image")
    assert ended == [left]


def test_gpus_are_found_by_tasks_that_see_one_and_by_those_that_see_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when ranks of a node share a GPU although each could have its own, or look for one that is hidden."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for count, place in ((4, 3), (1, 3), (1, 0)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        ranks._choose_gpu(place)
    assert chosen == [3, 0, 0]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ranks.UserError, match="torch sees 2"):
        ranks._choose_gpu(2)
