"""A grid on a cluster: submit it, wait for it, cancel it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.data.datasets import data_roots
from results.launch.execute import scheduler
from results.launch.execute.display import cost_lines
from results.launch.execute.execution import Execution
from results.launch.execute.follow import Rows, follow, print_states
from results.launch.execute.resources import Resources, is_floor, resources_for
from results.launch.execute.slurm import Batch, batches, cancel_hopeless, new_id, sbatch_text, submit
from results.launch.execute.submission import FOLDER, Queue, may_cancel, one_at_a_time, statuses
from results.launch.plan.request import Device, Request, Run
from results.launch.run.data_state import DataStates
from results.launch.run.job import Job
from results.launch.run.sharing import in_turn, trained_first
from splits.errors import UserError

JobsOf = Callable[[Rows, Device], list[Job]]


def submit_grid(request: Request, execution: Execution, runs: Sequence[Run], jobs_of: JobsOf, data: DataStates) -> None:
    """Submit the runs that are to be made; on a dry run print what would be submitted."""
    if not execution.dry_run:
        scheduler.require()
    preview = execution.dry_run and not scheduler.is_here()
    if preview:
        print("note: no SLURM answers here; a preview, held against no cluster's limits", file=sys.stderr)
    root = execution.root
    methods = tuple(dict.fromkeys(run.train.method for run in runs))
    resources = resources_for(methods, execution.resources, execution.cluster_config, ranks=request.ranks)
    # floors beside other methods do not decide
    device = _device(execution.device, {n: r for n, r in resources.items() if not is_floor(n)} or resources)
    if any(r.stage_data for r in resources.values()) and not data_roots(request.data.root):
        raise UserError("--stage-data: there is no data to copy; name it with --data-root or ZSS_DATA_ROOT")
    if execution.dry_run:
        rows = statuses(runs, root, data, share=not execution.force)
        print_states(rows)
        jobs = _apart(_placed(jobs_of(rows, device), resources))
        plan = batches(jobs if preview else _free(jobs, root), resources, new_id(), preview=preview)
        _print_plan(plan, root.resolve(), request, execution)
        return
    with one_at_a_time(root):
        rows = statuses(runs, root, data, share=not execution.force)
        _tell_ending(rows)
        jobs = _free(_apart(_placed(jobs_of(rows, device), resources)), root)
        if not jobs:
            print("nothing to submit")
            return
        name = new_id()
        plan = batches(jobs, resources, name)
        _check_weights(jobs)
        submit(plan, root.resolve(), name)
    how = " ".join(f"python harness.py {command} ...," for command in ("status", "collect", "cancel")).rstrip(",")
    print(f"{len(jobs)} runs submitted; logs in {root / FOLDER / name}. The same arguments with: {how}")


def wait_for(runs: Sequence[Run], root: Path, interval: float) -> Rows:
    """Follow runs until none is at work; cancels this user's that can never start."""
    queue = Queue(root)

    def look() -> Rows:
        queue.look()
        rows = [(run, queue.status(run)) for run in runs]
        if queue.silence:
            print(f"SLURM does not answer, trying again: {queue.silence}", file=sys.stderr)
        elif any(seen.state == "queued" for _, seen in rows):
            waiting = [queue.place(run) for run, seen in rows if seen.state == "queued"]
            for submission in {place[0].id: place[0] for place in waiting if place and may_cancel(place[0])}.values():
                cancel_hopeless(submission, root, lambda line: print(line, file=sys.stderr))
        return rows

    return follow(look, interval=interval)


def cancel_grid(runs: Sequence[Run], root: Path) -> int:
    """Cancel the living jobs of the runs; returns the exit code.

    What is cancelled is written into the submission first: SLURM forgets elements that never started one by one.
    """
    queue, ids = Queue(root), []
    ending: dict[tuple[str, str], list[int]] = {}
    others = 0
    for run in runs:
        place = queue.place(run)
        if place is None:
            continue
        submission, array, index = place
        element = queue.element(array, index)
        if element is None and queue.hidden(submission) and queue.status(run).state in ("queued", "running"):
            others += 1
        if element is None or not element.active:
            continue
        if not may_cancel(submission):
            others += 1
            continue
        ids.append(element.job_id)
        ending.setdefault((submission.id, array.name), []).append(index)
    if queue.silence:
        raise UserError(f"SLURM does not answer, nothing was cancelled: {queue.silence}")
    for submission in queue.submissions:
        of_it = {name: indices for (id_, name), indices in ending.items() if id_ == submission.id}
        marked = submission.with_cancelled(of_it)
        if marked != submission:
            marked.write(root)
    scheduler.cancel(ids)
    print(f"{len(ids)} jobs cancelled{': ' + ', '.join(ids) if ids else ''}; finished runs stay, begun ones can go on")
    if others:
        print(f"{others} jobs are another user's: they, or an operator, must cancel them", file=sys.stderr)
    return 1 if others else 0


def _tell_ending(rows: Rows) -> None:
    """Jobs that were cancelled or stopped a moment ago still have their folders: their runs cannot be submitted yet."""
    ending = [run.name for run, seen in rows if seen.state == "running" and seen.doing == "ending"]
    if ending:
        print(
            f"{len(ending)} runs are left out, their jobs are still ending: {', '.join(ending)}; submit again when "
            "`status` no longer calls them running",
            file=sys.stderr,
        )


def _apart(jobs: Sequence[Job]) -> list[Job]:
    """Without those whose training is that of another of these jobs under another name."""
    first, later = in_turn(jobs)
    for job in later:
        _tell_waiting(job)
    return first


def _tell_waiting(job: Job) -> None:
    same = f"{job.run.train.benchmark} fold {job.run.train.fold} is trained under another name first"
    print(f"{job.run.name}: left out, {same}; submit again to take its weights", file=sys.stderr)


def _free(jobs: list[Job], root: Path) -> list[Job]:
    """Jobs of whose folder no other job is: one that is trained cannot be scored in another way at the same time."""
    queue, free = Queue(root), []
    taken: set[str] = set()
    for job in jobs:
        if busy := queue.busy(job.run):
            print(f"{job.run.name}: left out, job {busy.job_id} is at its folder ({busy.state})", file=sys.stderr)
        elif job.run.train.folder in taken:
            print(f"{job.run.name}: left out, these weights are scored elsewhere first; submit again", file=sys.stderr)
        elif (other := trained_first(job)) and queue.busy(other):
            _tell_waiting(job)
        else:
            free.append(job)
            taken.add(job.run.train.folder)
    if queue.silence:
        raise UserError(f"SLURM does not answer, nothing was submitted: {queue.silence}")
    return free


def _device(wanted: Device | None, resources: dict[str, Resources]) -> Device:
    """What jobs run on: a GPU where their resources have one."""
    on_gpu = {r.on_gpu for r in resources.values()}
    if len(on_gpu) > 1:
        raise UserError("--gpus: some methods with and some without a GPU; submit them apart")
    device: Device = "cuda" if on_gpu == {True} else "cpu"
    if wanted not in (None, device):
        raise UserError(f"--device {wanted} with {'a' if device == 'cuda' else 'no'} GPU asked for; see --gpus")
    return device


def _placed(jobs: Sequence[Job], resources: dict[str, Resources]) -> list[Job]:
    """The jobs, each on a GPU where its own resources have one: floors have none."""
    return [replace(job, device="cuda" if resources[job.run.train.method].on_gpu else "cpu") for job in jobs]


def _check_weights(jobs: Sequence[Job]) -> None:
    """Refuse a grid with weights that are not on this disk: compute nodes often have no internet."""
    from results.launch.run.prefetch import absent

    if missing := absent([job.run for job in jobs]):
        raise UserError(
            f"not in the cache: {', '.join(missing)}; fetch with `python harness.py prefetch` (same arguments)"
        )


def _print_plan(plan: Sequence[Batch], root: Path, request: Request, execution: Execution) -> None:
    for batch in plan:
        print(f"\narray of {len(batch.jobs)}: " + ", ".join(job.run.name for job in batch.jobs))
        print(sbatch_text(batch, root / FOLDER / "SUBMISSION" / "ARRAY"), end="")
    runs = [job.run for batch in plan for job in batch.jobs]
    print("", *cost_lines(runs, root, request.data, train=execution.train, force=execution.force), sep="\n")
