"""States of submitted runs and arrays, with SLURM's commands played by scripts; tests/slurm has the real ones."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from results.launch.execute import cluster, scheduler
from results.launch.execute.cluster import _tell_ending, cancel_grid, wait_for
from results.launch.execute.resources import Resources
from results.launch.execute.scheduler import Unreachable
from results.launch.execute.slurm import _Executor, _or_stop, batches, sbatch_text, submit
from results.launch.execute.submission import Array, Queue, Submission, Submitted, one_at_a_time, submissions, ticket_of
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.run.job import Job
from results.store.claim import DEAD_AFTER_SECONDS
from splits.errors import UserError

NAME = "zss-20260101-000000-abcdef-0"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """SLURM's commands as scripts that print what a test wants."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def answers(command: str, text: str = "", code: int = 0) -> None:
        (folder / f"{command}.txt").write_text(text)
        script = folder / command
        script.write_text(f"#!/bin/sh\ncat {folder}/{command}.txt\nexit {code}\n")
        script.chmod(0o755)

    for command in ("squeue", "scancel", "sbatch", "srun"):
        answers(command)
    answers("sacct", "Slurm accounting storage is disabled", 1)
    answers("scontrol", "MaxArraySize            = 3\n")
    answers("sinfo", "main*|infinite\nshort|10:00\nday|1-00:00:00\n")
    return answers


@pytest.fixture
def runs() -> list[Run]:
    return plan(Request(methods=("random", "clip"), benchmarks=("shapes-5i",)))


def submitted(root: Path, runs: list[Run], **changes: object) -> Submission:
    array = Array(name=NAME, job_id="7", folder="array0", runs=tuple(map(Submitted.of, runs))).model_copy(
        update=changes
    )
    submission = Submission(id="20260101-000000-abcdef", commit="", code_sha256="", arrays=(array,))
    submission.write(root)
    return submission


def states(root: Path, runs: list[Run]) -> list[str]:
    queue = Queue(root)
    return [queue.status(run).state for run in runs]


def test_a_submission_is_read_back(tmp_path: Path, runs: list[Run]) -> None:
    """Fails when what was submitted is not found by the next harness."""
    stored = submitted(tmp_path, runs)
    assert submissions(tmp_path) == [stored]


def test_states_from_the_queue(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when pending, running, failed and forgotten jobs are taken for each other."""
    submitted(tmp_path, runs[:4])
    slurm("squeue", f"7_0|PENDING||Priority|{NAME}\n7_1|RUNNING|n1|None|{NAME}\n7_2|FAILED|n1|None|{NAME}\n")
    assert states(tmp_path, runs[:5]) == ["queued", "running", "failed", "failed", "planned"]
    assert "7_2 ended without a word (FAILED)" in Queue(tmp_path).status(runs[2]).reason


def test_an_id_that_came_again_is_another_job(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when a job is known by its id, which starts again with a new controller, instead of by its name."""
    submitted(tmp_path, runs[:2])
    slurm("squeue", "7_0|PENDING||None|zss-20991231-000000-ffffff-0\n7_1|RUNNING|n1|None|somebody-elses\n")
    slurm("sacct", "7_0|RUNNING|n1\n")
    assert states(tmp_path, runs[:2]) == ["failed", "failed"]


def test_accounting_tells_how_a_forgotten_job_ended(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when the end of a job that squeue has forgotten is not told although sacct knows it."""
    submitted(tmp_path, runs[:2])
    slurm("sacct", "7_0|OUT_OF_MEMORY|n1\n7_1|CANCELLED by 0|n1\n")
    queue = Queue(tmp_path)
    assert "OUT_OF_MEMORY" in queue.status(runs[0]).reason
    assert queue.status(runs[1]).words == "planned"  # it was cancelled before it had begun


@pytest.mark.parametrize("record", ["7_[1-3]", "7", "7_[1,2-3%2]"])
@pytest.mark.parametrize("command", ["squeue", "sacct"])
def test_elements_cancelled_before_they_started_are_planned(
    tmp_path: Path, runs: list[Run], slurm, record: str, command: str
) -> None:
    """Fails when the one record that SLURM keeps for them is read as that of element 0, or they look failed."""
    submitted(tmp_path, runs[:4])
    begun = f"7_0|COMPLETED|n1|None|{NAME}\n" if command == "squeue" else "7_0|COMPLETED|n1\n"
    rest = f"{record}|CANCELLED||None|{NAME}\n" if command == "squeue" else f"{record}|CANCELLED by 0|\n"
    slurm(command, begun + rest)
    assert states(tmp_path, runs[:4]) == ["failed", "planned", "planned", "planned"]


def test_what_cancel_ended_is_known_when_slurm_has_forgotten(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when cancelled elements look failed as soon as SLURM keeps no record of them."""
    submitted(tmp_path, runs[:2])
    slurm("squeue", f"7_0|PENDING||None|{NAME}\n7_1|PENDING||None|{NAME}\n")
    assert cancel_grid(runs[:2], tmp_path) == 0
    slurm("squeue", "")
    assert states(tmp_path, runs[:2]) == ["planned", "planned"]


def test_a_colleague_sees_what_another_submitted(tmp_path: Path, runs: list[Run], slurm, capsys) -> None:
    """Fails when jobs of another user look failed, and would be submitted again; or are cancelled in vain."""
    submitted(tmp_path, runs[:2]).model_copy(update={"user": "ada"}).write(tmp_path)
    slurm("squeue", f"7_0|PENDING||Priority|{NAME}\n7_1|RUNNING|n1|None|{NAME}\n")
    assert states(tmp_path, runs[:2]) == ["queued", "running"]
    slurm("scontrol", "PrivateData             = jobs,usage\n")
    slurm("squeue", "")
    queue = Queue(tmp_path)
    assert queue.status(runs[0]).state == "queued"
    assert "another user's job 7_0 (ada)" in queue.status(runs[0]).reason
    claim = runs[1].folder(tmp_path).claims_of(ticket_of(NAME, 1)).claim()
    assert claim is not None
    runs[1].folder(tmp_path).write_state("running", claim, step=3)
    assert Queue(tmp_path).status(runs[1]).state == "running"  # its heart beats
    assert cancel_grid(runs[:2], tmp_path) == 1
    assert "2 jobs are another user's" in capsys.readouterr().err


def test_a_job_that_ended_without_a_word_is_quoted(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when the reason stands in a log and nobody is told of it."""
    submitted(tmp_path, runs[:2])
    slurm("squeue", f"7_0|OUT_OF_MEMORY|n1|None|{NAME}\n7_1|FAILED|n1|None|{NAME}\n")
    folder = tmp_path / ".jobs" / "20260101-000000-abcdef" / "array0" / "7_0"
    folder.mkdir(parents=True)
    (folder / "7_0_0_log.err").write_text("starting\n\x1b[31mslurmstepd: error: Detected 1 oom_kill event\nbye\n")
    reason = Queue(tmp_path).status(runs[0]).reason
    assert "oom_kill" in reason
    assert reason.isprintable()
    assert "log: " in Queue(tmp_path).status(runs[1]).reason


@pytest.mark.parametrize(
    "printed", ["Welcome! See job 99 of the docs\nSubmitted batch job 7", "Stapelauftrag 7 eingereicht", ""]
)
def test_a_job_is_found_by_its_name(tmp_path: Path, slurm, printed: str) -> None:
    """Fails when a number in sbatch's banner, or another language, decides which job is ours."""
    slurm("squeue", f"7_[0-3]|PENDING||None|{NAME}\n")
    assert _Executor(NAME, folder=tmp_path / "%j")._get_job_id_from_submission_command(printed) == "7"


def test_an_array_is_found_by_its_name(
    tmp_path: Path, runs: list[Run], slurm, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Fails when the number in sbatch's banner decides where the elements of an array look for what they are to do, or
    a controller that misses a call after sbatch leaves them without it.
    """
    monkeypatch.setattr("results.launch.execute.slurm.SETTLE_SECONDS", 0.0)
    slurm("sbatch", "Welcome! See job 99 of the docs\nSubmitted batch job 7")
    slurm("squeue", f"7_[0-1]|PENDING||Priority|{NAME}\n")
    answers = scheduler.elements

    def after_a_pause(names: object) -> object:
        monkeypatch.setattr(scheduler, "elements", answers)
        raise Unreachable("squeue did not answer")

    monkeypatch.setattr(scheduler, "elements", after_a_pause)
    jobs, shapes = [Job(run=run, root=tmp_path) for run in runs[:2]], dict.fromkeys(("random", "clip"), Resources())
    stored = submit(batches(jobs, shapes, NAME[4:-2]), tmp_path, NAME[4:-2])
    assert stored.arrays[0].job_id == "7"
    assert "job 7: 2 runs" in capsys.readouterr().out
    folder = tmp_path / ".jobs" / stored.id / "array0"
    assert all(list((folder / f"7_{index}").glob("*submitted.pkl")) for index in range(2))


@pytest.mark.parametrize("letter", ["%", "\\", os.pathsep])
def test_folders_that_a_job_would_not_find(tmp_path: Path, runs: list[Run], slurm, letter: str) -> None:
    """Fails when jobs are submitted whose logs, or whose code, are looked for elsewhere."""
    root = tmp_path / f"12{letter}30"
    plan = batches([Job(run=runs[0], root=root)], {"random": Resources()}, NAME[4:-2])
    with pytest.raises(UserError, match="take a folder without it"):
        submit(plan, root, NAME[4:-2])
    assert not root.exists()


def test_jobs_of_hidden_partitions_are_seen(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when what squeue and sinfo show only with --all is taken for gone, or lists of elements come cut short."""
    submitted(tmp_path, runs[:1])
    slurm("squeue", f"7|PENDING||Priority|{NAME}\n")
    for command in ("squeue", "sinfo"):
        script = tmp_path / "bin" / command
        asked = '[ "$SLURM_BITSTR_LEN" = 0 ] || exit 1\ncase " $* " in *" --all "*) ;; *) exit 0;; esac\n'
        script.write_text(script.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{asked}"))
    assert states(tmp_path, runs[:1]) == ["queued"]
    scheduler.check_partition("day", 10)


def test_a_colleagues_hopeless_job_is_theirs(
    tmp_path: Path, runs: list[Run], slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when `collect` says that it cancelled what it may not cancel, or ends because SLURM missed a call."""
    monkeypatch.setattr(cluster, "follow", lambda look, interval: look())
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setenv("LOGNAME", "me")
    slurm("squeue", f"7|PENDING||DependencyNeverSatisfied|{NAME}\n")
    slurm("scancel", "Access/permission denied", 1)
    theirs = submitted(tmp_path, runs[:1]).model_copy(update={"user": "ada"})
    theirs.write(tmp_path)
    assert [seen.state for _, seen in wait_for(runs[:1], tmp_path, 1)] == ["queued"]
    assert submissions(tmp_path) == [theirs]
    mine = theirs.model_copy(update={"user": "me"})
    mine.write(tmp_path)
    assert [seen.state for _, seen in wait_for(runs[:1], tmp_path, 1)] == ["queued"]
    assert submissions(tmp_path) == [mine]
    slurm("scancel")
    wait_for(runs[:1], tmp_path, 1)
    assert states(tmp_path, runs[:1]) == ["failed"]


@pytest.mark.parametrize("closed", ["the folder", "a submission"])
def test_a_submission_that_may_not_be_read(
    tmp_path: Path, runs: list[Run], slurm, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    """Fails when a colleague's submission is passed over because it may not be read: its runs would be made twice."""
    submitted(tmp_path, runs[:1])
    (tmp_path / ".jobs" / "20260101-000000-k3x_9abz").mkdir()  # logs of local jobs, which are nobody else's

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.listdir" if closed == "the folder" else "pathlib.Path.read_text", refuse)
    with pytest.raises(UserError, match=r"\.jobs.*(may not be read|you may not read it)"):
        Queue(tmp_path)


def test_a_setup_line_that_fails_ends_the_job() -> None:
    """Fails when a job trains although its environment could not be set up, or nothing says why it ended."""
    lines = ["export A=1  # a comment", "false", "echo not reached"]
    script = "\n".join(map(_or_stop, lines))
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: --setup line failed: false" in done.stderr


def test_jobs_that_are_still_ending(tmp_path: Path, runs: list[Run], slurm, capsys) -> None:
    """Fails when a run whose job was cancelled a moment ago is left out of a submission without a word."""
    submitted(tmp_path, runs[:2])
    claim = runs[0].folder(tmp_path).claims_of(ticket_of(NAME, 0)).claim()
    assert claim is not None  # it writes its checkpoint
    slurm("squeue", f"7_0|COMPLETING|n1|None|{NAME}\n7_1|COMPLETING|n1|None|{NAME}\n")
    queue = Queue(tmp_path)
    _tell_ending([(run, queue.status(run)) for run in runs[:3]])
    told = capsys.readouterr().err
    assert "2 runs are left out, their jobs are still ending" in told
    assert [run.name in told for run in runs[:3]] == [True, True, False]


def test_a_silent_scheduler_loses_no_run(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when runs count as ended, and would be submitted again, because SLURM did not answer."""
    submitted(tmp_path, runs[:2])
    slurm("squeue", "", 1)
    queue = Queue(tmp_path)
    assert queue.status(runs[0]).state == "queued"
    assert queue.silence
    with pytest.raises(Unreachable):
        scheduler.elements([NAME])


def test_a_refused_element_is_a_failure_with_a_reason(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when a job that was cancelled because it could never start looks planned or cancelled by a person."""
    submitted(tmp_path, runs[:2], refused={"1": "job 7_1 could never start (PartitionConfig) and was cancelled"})
    slurm("squeue", f"7_0|PENDING||Resources|{NAME}\n7_1|CANCELLED||PartitionConfig|{NAME}\n")
    assert states(tmp_path, runs[:2]) == ["queued", "failed"]


def test_a_dead_node_does_not_look_alive(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when the claim of a job that SLURM has ended keeps its run in the state running."""
    submitted(tmp_path, runs[:1])
    claim = runs[0].folder(tmp_path).claims_of(ticket_of(NAME, 0)).claim()
    assert claim is not None
    slurm("squeue", f"7|NODE_FAIL|n1|None|{NAME}\n")
    assert states(tmp_path, runs[:1]) == ["interrupted"]
    slurm("squeue", f"7|RUNNING|n1|None|{NAME}\n")
    assert states(tmp_path, runs[:1]) == ["running"]


def test_an_owner_elsewhere_is_timed_over_many_looks(
    tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a run whose machine has died, outside any cluster, is waited for without end."""
    claims = runs[0].folder(tmp_path).claims
    assert claims.claim() is not None
    file = next(claims.folder.glob("*.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"machine": "far-boot:pid:[1]"}))
    now = [1000.0]  # by a clock that only the test moves
    monkeypatch.setattr("results.store.claim.time.monotonic", lambda: now[0])
    queue = Queue(tmp_path)
    assert queue.status(runs[0]).state == "running"
    now[0] += DEAD_AFTER_SECONDS + 1
    queue.look()
    assert queue.status(runs[0]).state == "planned"


def test_arrays_by_shape_and_size(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when jobs that ask for different things share an array, an array is too long, or a job is lost."""
    jobs = [Job(run=run, root=tmp_path) for run in runs]  # four folds of two methods
    shapes = {"random": Resources(), "clip": Resources(mem="8G", array_parallelism=2)}
    made = batches(jobs, shapes, "x")
    assert [len(batch.jobs) for batch in made] == [3, 1, 3, 1]
    assert sorted(job.run.train.folder for batch in made for job in batch.jobs) == sorted(r.train.folder for r in runs)
    assert len({batch.name for batch in made}) == 4
    assert [batch.resources.mem for batch in made] == ["", "", "8G", "8G"]
    text = sbatch_text(made[2], tmp_path)
    assert "#SBATCH --array=0-2%2" in text
    assert "#SBATCH --mem=8G" in text
    assert "--array" not in sbatch_text(made[3], tmp_path)


def test_limits_are_those_of_the_cluster_also_where_it_is_slow(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when a controller that misses one call has jobs submitted past what the partition and arrays allow."""
    slurm("scontrol", "MaxArraySize            = 3\n", 1)
    with pytest.raises(UserError, match="scontrol"):
        batches([Job(run=run, root=tmp_path) for run in runs], {"random": Resources(), "clip": Resources()}, "x")
    slurm("scontrol", "MaxArraySize            = 3\n")
    with pytest.raises(UserError, match="short allows 10:00"):
        batches([Job(run=runs[0], root=tmp_path)], {"random": Resources(partition="short", time="20")}, "x")


def test_what_a_script_asks_for(tmp_path: Path, runs: list[Run], slurm) -> None:
    """Fails when an option does not reach the script, or cores do not reach srun."""
    resources = Resources(
        partition="day", gpus="a100:1", time="2:00:00", qos="q", setup=("module load cuda",), slurm={"exclude": "n7"}
    )
    job = replace(Job(run=runs[0], root=tmp_path), threads=3, workers=2)
    text = sbatch_text(batches([job], {"random": resources}, "x")[0], tmp_path)
    for line in (
        "partition=day",
        "gpus-per-node=a100:1",
        "time=120",
        "qos=q",
        "exclude=n7",
        "requeue",
        "signal=USR2@90",
    ):
        assert f"#SBATCH --{line}\n" in text
    assert "--cpus-per-task=5 " in text
    assert "#SBATCH --cpus-per-task=5\n" in text
    assert text.index("module load cuda") < text.index("srun")
    assert "wckey" not in text


def test_what_a_script_of_several_ranks_asks_for(tmp_path: Path, slurm) -> None:
    """Fails when ranks do not become tasks over the nodes, or a run that one process makes gets as many."""
    request = Request(("random", "zegclip"), ("shapes-5i",), folds=(0,), ranks=4)
    jobs = [Job(run=run, root=tmp_path, device="cuda") for run in plan(request)]
    resources = Resources(gpus="a100:2", nodes=2)
    alone, together = batches(jobs, {"random": resources, "zegclip": resources}, "x")
    for batch, lines in (
        (alone, ("nodes=1", "ntasks-per-node=1", "gpus-per-node=a100:1")),
        (together, ("nodes=2", "ntasks-per-node=2", "gpus-per-node=a100:2")),
    ):
        text = sbatch_text(batch, tmp_path)
        assert all(f"#SBATCH --{line}\n" in text for line in lines), text
    assert " --wait=0 --kill-on-bad-exit=1 " in sbatch_text(together, tmp_path)
    assert (alone.jobs[0].nodes, together.jobs[0].nodes) == (1, 2)
    scored = [replace(job, train=False) for job in jobs]  # scoring takes one process
    assert {batch.ranks for batch in batches(scored, {"random": resources, "zegclip": resources}, "x")} == {1}


def test_partitions_are_looked_at_first(slurm) -> None:
    """Fails when a partition that is not there, or too short, is found out only in the queue."""
    scheduler.check_partition("", 10**6)
    scheduler.check_partition("day", 1440)
    with pytest.raises(UserError, match="short allows 10:00"):
        scheduler.check_partition("short", 11)
    with pytest.raises(UserError, match="there are: main, short, day"):
        scheduler.check_partition("gpu", 5)


OVERRULING = (
    *("SBATCH_TIMELIMIT", "SBATCH_PARTITION", "SBATCH_EXPORT", "SBATCH_NO_REQUEUE", "SBATCH_WAIT", "SBATCH_ACCOUNT"),
    *("SBATCH_ARRAY_INX", "SBATCH_SIGNAL", "SLURM_JOB_ID", "SLURM_CPU_BIND", "SLURM_EXPORT_ENV", "SLURM_NTASKS"),
    *("SRUN_EXPORT_ENV", "SALLOC_PARTITION"),
)


@pytest.mark.parametrize("name", OVERRULING)
def test_a_users_variables_do_not_overrule_the_script(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Fails when a variable of the user or of a job around reaches sbatch, or what says which cluster does not."""
    monkeypatch.setenv(name, "5")
    which = {"SLURM_CONF": "/some/slurm.conf", "SLURM_CONF_SERVER": "controller"}
    for one, value in which.items():
        monkeypatch.setenv(one, value)
    with scheduler.submitter_environment():
        assert {one: os.environ[one] for one in which} == which
        assert name not in os.environ
    assert os.environ[name] == "5"


def test_one_harness_submits_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when two harnesses may submit for one root of runs at the same time."""
    monkeypatch.setattr("results.launch.execute.submission.LOCK_SECONDS", 0.1)
    with one_at_a_time(tmp_path), pytest.raises(UserError, match="another harness"), one_at_a_time(tmp_path):
        pass
    with one_at_a_time(tmp_path):
        pass


def test_no_slurm_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails when --cluster slurm without SLURM ends in anything but a clear refusal."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no sbatch on this machine"):
        scheduler.require()
