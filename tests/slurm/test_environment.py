"""A person's SBATCH_* and SLURM_* variables: sbatch and srun obey them over the script, so none may reach either."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from results.launch.execute import slurm
from results.launch.execute.resources import Resources
from results.launch.execute.slurm import batches, new_id, submit
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run.job import Job

# input variables in the manuals of sbatch and srun (22.05), each with a value that changes or refuses a job
HOSTILE = {
    "SBATCH_ACCOUNT": "nobodys",
    "SBATCH_ACCTG_FREQ": "task=7",
    "SBATCH_ARRAY_INX": "0-3",
    "SBATCH_CLUSTERS": "elsewhere",
    "SBATCH_CONSTRAINT": "no_such_feature",
    "SBATCH_CORE_SPEC": "1",
    "SBATCH_CPUS_PER_GPU": "2",
    "SBATCH_DEBUG": "5",
    "SBATCH_DELAY_BOOT": "5",
    "SBATCH_DISTRIBUTION": "cyclic",
    "SBATCH_EXCLUSIVE": "1",
    "SBATCH_EXPORT": "NONE",
    "SBATCH_GET_USER_ENV": "1",
    "SBATCH_GPUS": "1",
    "SBATCH_GPUS_PER_NODE": "1",
    "SBATCH_GPUS_PER_TASK": "1",
    "SBATCH_GRES": "gpu:1",
    "SBATCH_GRES_FLAGS": "enforce-binding",
    "SBATCH_HINT": "nomultithread",
    "SBATCH_JOB_NAME": "mine",
    "SBATCH_MEM_BIND": "local",
    "SBATCH_MEM_PER_CPU": "7",
    "SBATCH_MEM_PER_GPU": "7",
    "SBATCH_MEM_PER_NODE": "7",
    "SBATCH_NETWORK": "sn_all",
    "SBATCH_NO_KILL": "1",
    "SBATCH_NO_REQUEUE": "1",
    "SBATCH_OPEN_MODE": "truncate",
    "SBATCH_OVERCOMMIT": "1",
    "SBATCH_PARTITION": "short",
    "SBATCH_POWER": "level",
    "SBATCH_PROFILE": "task",
    "SBATCH_QOS": "nobodys",
    "SBATCH_REQ_SWITCH": "1",
    "SBATCH_REQUEUE": "1",
    "SBATCH_RESERVATION": "nobodys",
    "SBATCH_SIGNAL": "KILL@300",
    "SBATCH_SPREAD_JOB": "1",
    "SBATCH_THREAD_SPEC": "1",
    "SBATCH_TIMELIMIT": "1",
    "SBATCH_USE_MIN_NODES": "1",
    "SBATCH_WAIT": "1",
    "SBATCH_WAIT4SWITCH": "5",
    "SBATCH_WCKEY": "nobodys",
    "SLURM_ACCOUNT": "nobodys",
    "SLURM_CLUSTERS": "elsewhere",
    "SLURM_CPUS_PER_TASK": "64",
    "SLURM_EXPORT_ENV": "NONE",
    "SLURM_HINT": "nomultithread",
    "SLURM_JOB_ID": "1",
    "SLURM_JOBID": "1",
    "SLURM_JOB_NAME": "mine",
    "SLURM_JOB_NODELIST": "n9",
    "SLURM_JOB_NUM_NODES": "9",
    "SLURM_MEM_PER_NODE": "7",
    "SLURM_MPI_TYPE": "pmix",
    "SLURM_NNODES": "9",
    "SLURM_NODELIST": "n9",
    "SLURM_NPROCS": "9",
    "SLURM_NTASKS": "9",
    "SLURM_NTASKS_PER_NODE": "9",
    "SLURM_OVERCOMMIT": "1",
    "SLURM_PARTITION": "short",
    "SLURM_QOS": "nobodys",
    "SLURM_TASKS_PER_NODE": "9",
    "SLURM_TIMELIMIT": "1",
    "SLURM_UMASK": "0777",
    "SLURM_WCKEY": "nobodys",
    "SRUN_CPUS_PER_TASK": "64",
    "SALLOC_PARTITION": "short",
    "SQUEUE_FORMAT": "%A",
    "SQUEUE_STATES": "FAILED",
    "SQUEUE_NAMES": "mine",
    "SCANCEL_STATE": "RUNNING",
}
# a limit is a time too, but no moment
OF_ONE_JOB = r"(JobId|JobName|Priority|\w+Time|LastSchedEval|Std\w+|Command|WorkDir)=(?!00:)"


@pytest.fixture
def submitting(cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Submit one run with further resources; the id of its job. All are cancelled in the end."""
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    monkeypatch.setattr(slurm, "SETTLE_SECONDS", 0.0)
    (run,) = plan(Request(methods=("random",), benchmarks=("shapes-5i",), folds=(0,), limit=6))

    def go(**resources: object) -> str:
        wanted = Resources.parse({"time": "15", **resources}, source="test")
        name = new_id()
        jobs = batches([Job(run, tmp_path)], {"random": wanted}, name)
        return submit(jobs, tmp_path, name, lambda line: None).arrays[0].job_id

    yield go
    cluster.ask("scancel", "--user=root")


def facts(cluster, job: str) -> dict[str, str]:
    """What SLURM holds of a job, without what is each job's own."""
    words = cluster.ask("scontrol", "show", "job", job).split()
    pairs = [word.partition("=")[::2] for word in words if "=" in word and not re.match(OF_ONE_JOB, word)]
    return dict(pairs)


def test_each_variable_alone(cluster, submitting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a variable of the person's changes anything of a job, refuses it, or is taken from their shell."""
    later = {"begin": "now+3600"}
    expected = facts(cluster, submitting(slurm=later))
    assert (expected["TimeLimit"], expected["Partition"], expected["Requeue"]) == ("00:15:00", "main", "1")
    changed = {}
    for name, value in HOSTILE.items():
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            found = facts(cluster, submitting(slurm=later))
            assert slurm.os.environ[name] == value
        if found != expected:
            changed[name] = {key: found.get(key) for key in expected | found if found.get(key) != expected.get(key)}
    assert changed == {}


def test_all_of_them_in_a_job(cluster, submitting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a job that starts under all of them lacks its own environment, or sees a value of theirs."""
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OF_THE_PERSON", "kept")
    job = submitting(setup=[f"env > {tmp_path}/env.txt", "exit 1"])
    cluster.wait_until(lambda: cluster.state(job) == "FAILED", "the job has ended", 60)
    lines = (tmp_path / "env.txt").read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert (seen["OF_THE_PERSON"], seen["SLURM_CONF"]) == ("kept", str(cluster.conf))
    assert "code-" in seen["PYTHONPATH"]
    assert {name: seen[name] for name in HOSTILE if seen.get(name) == HOSTILE[name]} == {}
