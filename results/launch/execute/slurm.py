"""Submits jobs to SLURM through submitit: one array for each shape of resources, cut where the cluster says so."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError, FailedSubmissionError, JobPaths

from results.launch.execute import scheduler
from results.launch.execute.cluster_job import ClusterJob
from results.launch.execute.frozen_code import freeze
from results.launch.execute.resources import Resources
from results.launch.execute.submission import FOLDER, Array, Submission, Submitted, current_user, ticket_of
from results.launch.run.environment import environment, vector_variables
from results.launch.run.job import Job
from results.launch.run.worker import clear
from splits.errors import UserError

UNFIT = {  # letters of a folder of runs
    "%": "SLURM reads % in the names of log files as its own",
    "\\": "SLURM drops \\ from the names of log files",
    os.pathsep: f"{os.pathsep} parts the folders where Python looks for the code",
}
ID_TRIES = 10
PREVIEWED_ARRAY = 1001  # elements of an array where no SLURM says how many: its default
SETTLE_SECONDS = 6.0  # the first look of SLURM's scheduler at a job says whether it can ever start

# rank 0 scores after the others have gone; one that is killed takes all with it, for rank 0 would wait for it
TOGETHER = ("--wait=0", "--kill-on-bad-exit=1")


@dataclass(frozen=True)
class Batch:
    """Jobs of one shape, few enough for one array."""

    name: str
    resources: Resources
    jobs: tuple[Job, ...]

    @property
    def ranks(self) -> int:
        """Tasks of each job."""
        return self.jobs[0].ranks

    @property
    def cpus(self) -> int:
        """Cores of each task."""
        return self.resources.cpus or self.jobs[0].threads + self.jobs[0].workers


def new_id() -> str:
    """A name for a submission that none has had: sortable by time, unique across machines."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def batches(
    jobs: Sequence[Job], resources: dict[str, Resources], submission: str, *, preview: bool = False
) -> list[Batch]:
    """Jobs in arrays: grouped by the resources they need, in their order, none longer than the cluster allows.

    preview: for looking alone; no cluster is asked what it allows.

    Raises UserError where ranks do not fit nodes and GPUs, or a time limit not the partition.
    """
    shapes: dict[tuple[Resources, int], list[Job]] = {}
    for job in jobs:
        share = resources[job.run.train.method].of(job.ranks)
        shapes.setdefault((share, job.ranks), []).append(replace(job, nodes=share.nodes))
    longest = PREVIEWED_ARRAY if preview else scheduler.max_array()
    parts = [(r, group[i : i + longest]) for (r, _), group in shapes.items() for i in range(0, len(group), longest)]
    for r, _ in () if preview else shapes:
        scheduler.check_partition(r.partition, r.minutes)
    return [Batch(f"{scheduler.PREFIX}{submission}-{n}", r, tuple(part)) for n, (r, part) in enumerate(parts)]


def sbatch_text(batch: Batch, folder: Path) -> str:
    """The sbatch script of a batch, as it is submitted."""
    executor = _executor(batch, folder)
    if len(batch.jobs) > 1:
        executor.parameters["map_count"] = len(batch.jobs)
    return executor._make_submission_file_text(executor._submitit_command_str, "")


def submit(plan: Sequence[Batch], root: Path, submission_id: str, say: Callable[[str], None] = print) -> Submission:
    """Submit every batch, then cancel what can never start. Raises UserError where SLURM refuses a batch."""
    for letter, why in UNFIT.items():
        if letter in str(root):
            raise UserError(f"--runs {root}: {why}; take a folder without it")
    home = root / FOLDER / submission_id
    commit, digest, code = freeze(root / FOLDER)
    home.mkdir(parents=True)
    submission = Submission(id=submission_id, commit=commit, code_sha256=digest, user=current_user())
    for batch in plan:
        for job in batch.jobs:
            if job.force:
                clear(job)
        try:
            submission = _submit_one(batch, home, code, submission, root)
        except OSError:
            scheduler.cancel([], name=batch.name)
            shutil.rmtree(home if not submission.arrays else home / _folder_of(submission), ignore_errors=True)
            raise
        array = submission.arrays[-1]
        say(f"job {array.job_id}: {len(batch.jobs)} runs, {_words(batch)}")
    return cancel_hopeless(submission, root, say, seconds=SETTLE_SECONDS)


def cancel_hopeless(
    submission: Submission, root: Path, say: Callable[[str], None], *, seconds: float = 0.0
) -> Submission:
    """Cancel elements that can never start and note why; looks until SLURM has judged all, or the time is over.

    Where SLURM does not answer they stay, for the next look.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            found = scheduler.elements(array.name for array in submission.arrays)
            submission = _cancel_hopeless_now(submission, found, root, say)
        except scheduler.Unreachable as error:
            say(f"jobs that can never start were not looked for: {error}")
            return submission
        waiting = [a for a in submission.arrays if _unjudged(a, found)]
        if not waiting or time.monotonic() > end:
            return submission
        time.sleep(0.5)


def _unjudged(array: Array, found: dict[scheduler.Key, scheduler.Element]) -> bool:
    elements = [scheduler.element_of(found, array.name, i) for i in range(len(array.runs))]
    return any(e is not None and e.state == "PENDING" and not e.reason for e in elements)


def _cancel_hopeless_now(
    submission: Submission,
    found: dict[scheduler.Key, scheduler.Element],
    root: Path,
    say: Callable[[str], None],
) -> Submission:
    for array in submission.arrays:
        lost = {
            str(i): element
            for i in range(len(array.runs))
            if (element := scheduler.element_of(found, array.name, i))
            and element.hopeless
            and str(i) not in array.refused
        }
        if not lost:
            continue
        scheduler.cancel(e.job_id for e in lost.values())
        reasons = {i: f"job {e.job_id} could never start ({e.reason}) and was cancelled" for i, e in lost.items()}
        submission = submission.with_array(array.model_copy(update={"refused": array.refused | reasons}))
        submission.write(root)
        for i, reason in reasons.items():
            say(f"{array.runs[int(i)].train}: {reason}")
    return submission


def _folder_of(submission: Submission) -> str:
    """Where the next array of a submission lies."""
    return f"array{len(submission.arrays)}"


def _submit_one(batch: Batch, home: Path, code: Path, submission: Submission, root: Path) -> Submission:
    """Submit one batch; on refusal nothing of it is left behind."""
    name = _folder_of(submission)
    folder = home / name
    folder.mkdir()
    array = Array(name=batch.name, folder=name, runs=tuple(Submitted.of(job.run) for job in batch.jobs))
    submission.with_array(array).write(root)
    elements = [
        ClusterJob(replace(job, force=False, scratch=batch.resources.stage_data), ticket_of(batch.name, index))
        for index, job in enumerate(batch.jobs)
    ]
    try:
        with scheduler.submitter_environment(), _job_environment(code, batch):
            handles = _executor(batch, folder).submit_array(elements)
    except (FailedJobError, FailedSubmissionError) as error:
        scheduler.cancel([], name=batch.name)  # sbatch may have been heard although its answer was not
        submission.without(batch.name).write(root)
        shutil.rmtree(folder)
        lines = [line for line in str(error).splitlines() if "error:" in line] or str(error).splitlines()
        done = f" ({len(submission.arrays)} arrays were submitted before)" if submission.arrays else ""
        raise UserError(f"SLURM refused the jobs: {lines[0].strip()}{done}") from None
    job_id = str(handles[0].job_id).split("_")[0]
    submission = submission.with_array(array.model_copy(update={"job_id": job_id}))
    submission.write(root)
    return submission


def _executor(batch: Batch, folder: Path) -> submitit.SlurmExecutor:
    """An executor of its own for each batch: parameters of submitit's accumulate."""
    r = batch.resources
    executor = _Executor(batch.name, folder=folder / "%j", max_num_timeout=r.requeues)
    extra = {**r.slurm, "requeue": True, "export": "ALL"} | (
        {"kill-on-invalid-dep": "yes"} if "dependency" in r.slurm else {}
    )
    parameters: dict[str, Any] = {
        "job_name": batch.name,
        "time": r.minutes,
        "partition": r.partition or None,
        "account": r.account or None,
        "qos": r.qos or None,
        "constraint": r.constraint or None,
        "mem": r.mem or None,
        "cpus_per_task": batch.cpus,
        "gpus_per_node": r.gpus if r.on_gpu else None,
        "nodes": r.nodes,
        "ntasks_per_node": batch.ranks // r.nodes,
        "signal_delay_s": r.signal_delay,
        "setup": [_or_stop(line) for line in r.setup] or None,
        "wckey": None,
        "srun_args": [f"--cpus-per-task={batch.cpus}", *(TOGETHER if batch.ranks > 1 else ())],
        "additional_parameters": extra,
    }
    executor.update_parameters(**{k: v for k, v in parameters.items() if v is not None or k == "wckey"})
    executor.update_parameters(array_parallelism=r.array_parallelism or len(batch.jobs))
    return executor


class _Executor(submitit.SlurmExecutor):
    """submitit's executor. It learns a job's number from SLURM by the job's name.

    What sbatch prints may have a site's banner before it, with numbers of its own, or be in another language.
    """

    def __init__(self, name: str, **settings: Any):
        super().__init__(**settings)
        self._name = name

    @classmethod
    def affinity(cls) -> int:
        """Fit for use: whether SLURM is here is asked before anything is submitted, and a preview needs none."""
        return 1

    def _internal_process_submissions(self, delayed_submissions: list[DelayedSubmission]) -> list[submitit.Job[Any]]:
        """As submitit's own, which gives an array to a plain executor that believes what sbatch prints."""
        if len(delayed_submissions) == 1:
            return super()._internal_process_submissions(delayed_submissions)
        folder = JobPaths.get_first_id_independent_folder(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        pickles = [folder / f"{index}.pkl" for index in range(len(delayed_submissions))]
        for element, pickle in zip(delayed_submissions, pickles, strict=True):
            element.set_timeout(self.parameters["time"], self.max_num_timeout)
            element.dump(pickle)
        self.parameters["map_count"] = len(pickles)
        first = self._submit_command(self._submitit_command_str)
        tasks, ids = list(range(first.num_tasks)), [f"{first.job_id}_{index}" for index in range(len(pickles))]
        jobs: list[submitit.Job[Any]] = [submitit.SlurmJob(folder=self.folder, job_id=id_, tasks=tasks) for id_ in ids]
        for job, pickle in zip(jobs, pickles, strict=True):
            job.paths.move_temporary_file(pickle, "submitted_pickle")
        return jobs

    def _get_job_id_from_submission_command(self, string: bytes | str) -> str:  # type: ignore[override]
        for _ in range(ID_TRIES):
            with suppress(scheduler.Unreachable):  # a busy controller misses a call; a job without its pickle is lost
                for element in scheduler.elements([self._name]).values():
                    return element.job_id.partition("_")[0]
            time.sleep(0.5)
        text = string if isinstance(string, str) else string.decode(errors="replace")
        lines = text.strip().splitlines() or ["nothing"]
        raise FailedSubmissionError(f"error: SLURM shows no job {self._name}; sbatch said: {lines[-1].strip()}")


def _or_stop(line: str) -> str:
    """A line of --setup: the job ends where it fails, with the line as the reason."""
    said = shlex.quote(f"error: --setup line failed: {line}")
    return f"{{ {line}\n}} || {{ echo {said} >&2; exit 1; }}"


@contextmanager
def _job_environment(code: Path, batch: Batch) -> Iterator[None]:
    """What sbatch hands on: the frozen code before all other, not the current folder's; no hub."""
    paths = [str(code), *filter(None, [os.environ.get("PYTHONPATH")])]
    with environment(
        PYTHONPATH=os.pathsep.join(paths),
        PYTHONSAFEPATH="1",
        OMP_NUM_THREADS=str(batch.jobs[0].threads),
        HF_HUB_OFFLINE="1",
        **vector_variables(),
    ):
        yield


def _words(batch: Batch) -> str:
    r = batch.resources
    ranks = f"{batch.ranks} ranks on {r.nodes} node{'s' if r.nodes > 1 else ''}" if batch.ranks > 1 else ""
    parts = [
        ranks,
        f"{batch.cpus} CPUs{' each' if ranks else ''}",
        f"GPU {r.gpus}" if r.on_gpu else "",
        r.mem,
        f"{r.minutes} min",
    ]
    parts += [f"partition {r.partition}" if r.partition else ""]
    parts += [f"{r.array_parallelism} at once" if r.array_parallelism else ""]
    return ", ".join(filter(None, parts))
