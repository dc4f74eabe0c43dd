"""A whole grid of runs: make those that are not there, print what came of all. Start reading at `make_runs`."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.catalogue import BUILTIN, benchmark, builtin_clip
from benchmarks.data.datasets import VARIABLE
from results.launch.execute.display import cost_lines
from results.launch.execute.execution import Execution
from results.launch.execute.follow import Rows, counted, print_states
from results.launch.execute.submission import statuses
from results.launch.plan.custom import everything, keep
from results.launch.plan.idle_settings import refuse_idle
from results.launch.plan.recipe_changes import recipe_changes
from results.launch.plan.request import Device, Files, Request, Run
from results.launch.run.data_state import DataStates
from results.launch.run.devices import device_and_count
from results.launch.run.job import Job
from results.launch.run.prefetch import refuse_absent_bodies, refuse_absent_clips
from results.launch.run.sharing import in_turn, shared
from results.launch.run.status import Status
from results.store.folders import CONFUSION
from results.store.record import RunRecord
from results.store.staleness import changed_since
from results.tables.sanity_floor import warnings_of
from splits.errors import UserError

INTERRUPTED = 130
Report = Callable[[Rows], int]  # prints what came of runs; returns the exit code


def make_runs(
    request: Request, files: Files, execution: Execution, runs: Sequence[Run], report: Report | None = None
) -> int:
    """Make those of a request's runs that are not there, then report on all. Returns the exit code.

    report: by default the tables (`print_tables`).
    """
    root, report = execution.root, report or (lambda rows: print_tables(rows, execution.root))
    keep(root, _benchmarks(runs), look_only=True)
    if execution.logs:
        from results.launch.run.loggers import check_logs

        check_logs(execution.logs)
    refuse_idle(request, runs)
    _warn(request, runs, trained=execution.train)
    on_slurm = execution.cluster == "slurm"
    data = DataStates(request.data, train=execution.train, look_only=execution.dry_run, custom_only=on_slurm)
    if on_slurm:
        return _submit(request, files, execution, runs, report, data)
    rows = statuses(runs, root, data, share=not execution.force)
    if execution.dry_run:
        print_states(rows)
        if to_make := [run for run, _ in _to_make(rows, execution)]:
            costs = cost_lines(to_make, root, request.data, train=execution.train, force=execution.force)
            print("", *costs, sep="\n")
        return 0
    if wanted := _sound(_to_make(rows, execution), data):  # else torch, which knows the devices, need not be imported
        device, count = device_and_count(execution.device, threads=execution.threads, ranks=request.ranks)
        jobs = _jobs(wanted, request, files, execution, device)
        _refuse_untrained(jobs)
        refuse_absent_clips([job.run for job in jobs])
        refuse_absent_bodies(job.run for job in jobs if not _has_weights(job))
        keep(root, _benchmarks(runs))
        for some in _in_turn(jobs):
            if not _execute(some, execution, execution.jobs or count, count * request.ranks):
                print(f"interrupted; to go on: {' '.join(['python', *sys.argv])}", file=sys.stderr)
                return INTERRUPTED
        rows = statuses(runs, root, data)
    else:
        keep(root, _benchmarks(runs))
    for run, seen in rows:
        if seen.state == "done":
            run.folder(root).tidy()
    _warn_of_lost_data(rows, request, data)
    return report(rows)


def _warn_of_lost_data(rows: Rows, request: Request, data: DataStates) -> None:
    """Of stored numbers whose files cannot be compared any more; a look at them without any data is no fault."""
    rooted = bool(request.data.root or os.environ.get(VARIABLE))
    done = [r for r, seen in rows if seen.state == "done" and (rooted or benchmark(r.evaluation.benchmark).custom)]
    problems = ((run.evaluation.benchmark, problem) for run in done for problem in data.of(run).problems[:1])
    for name, problem in dict.fromkeys(problems):
        print(f"warning: {name}: the stored numbers are of its files as they were; now {problem}", file=sys.stderr)


def _refuse_untrained(jobs: Sequence[Job]) -> None:
    """Raises UserError where weights are to be scored and not one of these runs has any."""
    if not any(job.train or job.weights_file or _has_weights(job) for job in jobs):
        raise UserError(
            f"{jobs[0].run.name}{f' and {len(jobs) - 1} more' if len(jobs) > 1 else ''}: no finished weights in "
            f"{jobs[0].root}; train first (the same with `run`)"
        )


def _has_weights(job: Job) -> bool:
    """Is nothing to be trained for it?"""
    anew = job.force and job.train
    there = job.run.folder(job.root).trained() and not anew
    return there or (job.share and shared(job.run, job.root, anew=anew) is not None)


def _in_turn(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs, and after them those that can take weights of some of them then."""
    first, later = in_turn(jobs)
    for job in later:
        print(f"note: {job.run.name}: waits for the same training under another name", file=sys.stderr)
    return [some for some in (first, later) if some]


def _benchmarks(runs: Sequence[Run]) -> list[str]:
    """Where these runs are trained and scored."""
    return list(dict.fromkeys(name for run in runs for name in run.benchmarks))


def print_tables(rows: Rows, root: Path) -> int:
    """The tables of what is there, and how many runs are in which state; returns the exit code."""
    from results.tables.tables import build_tables
    from results.tables.views import View

    scored = [(run, run.folder(root)) for run, seen in rows if seen.has_record]
    found = [(record, run, folder) for run, folder in scored if (record := folder.read_record(run.evaluation))]
    records = [record for record, _, _ in found]
    matrices = {r.result.confusion_sha256: folder.evaluation(run.evaluation) / CONFUSION for r, run, folder in found}

    def locate(record: RunRecord) -> Path:  # equal matrices have one sha256: either file will do
        return matrices[record.result.confusion_sha256]

    # a transfer that is not there is named below; its training may well be, and its folder is the training's
    lacking = [(run, seen) for run, seen in rows if not seen.has_record and not run.evaluation.transferred]
    states = {run.train.folder: seen.words for run, seen in lacking}
    recipes = {run.train.folder: run.train.recipe.name for run, _ in lacking}
    stale = frozenset(run.train.folder for run, seen in rows if seen.state == "stale") | changed_since(records).keys()
    # a mean over some of the folds is no result: these are tabulated fold by fold
    view = View(by="method" if _whole(rows) else "fold")
    for table in build_tables(records, view=view, states=states, recipes=recipes, stale=stale, locate=locate):
        print("\n" + table.markdown())
    for line in warnings_of(records, locate):
        print(f"warning: {line}", file=sys.stderr)
    return summary(rows)


def summary(rows: Rows) -> int:
    """The last line, and the exit code: 1 where a run is not done."""
    missing = [(run, seen) for run, seen in rows if not seen.has_record]
    print(f"\n{counted(rows)}")
    for reason, count in Counter(seen.reason for _, seen in rows if seen.state == "stale").items():
        print(f"  {count} stale: {reason}; their numbers are old, --stale makes them again", file=sys.stderr)
    for run, seen in missing:
        hint = "" if seen.state != "failed" or seen.mendable else " (again with --retry)"
        print(f"  {run.name}: {seen.words}{hint}", file=sys.stderr)
    return 1 if missing else 0


def _whole(rows: Rows) -> bool:
    """Is every fold of each benchmark scored?"""
    folds: dict[str, set[int]] = {}
    for run, _ in rows:
        folds.setdefault(run.evaluation.benchmark, set()).add(run.evaluation.fold)
    return all(found == {f.index for f in benchmark(name).split.folds} for name, found in folds.items())


def _warn(request: Request, runs: Sequence[Run], *, trained: bool) -> None:
    for line in recipe_changes(request, [run for run in runs if trained and not run.evaluation.drawn]):
        print(f"warning: {line}", file=sys.stderr)
    scored = {r.evaluation.benchmark: r.train.clip or request.clip or builtin_clip() for r in runs}
    photos = [name for name, clip in scored.items() if benchmark(name).photos and clip.pretrained == BUILTIN]
    if photos:
        print(
            f"note: {', '.join(photos)} under the built-in CLIP, which was trained on drawn shapes: this shows that "
            "the data is wired right, its numbers mean nothing on photos. Use --clip ViT-B-16/openai for real ones.",
            file=sys.stderr,
        )


def _to_make(rows: Rows, execution: Execution) -> Rows:
    """The runs that are to be made; one that waits in a queue belongs to its job there."""
    return [(run, seen) for run, seen in rows if seen.state != "queued" and _wanted(seen, execution)]


def _sound(rows: Rows, data: DataStates) -> Rows:
    """These runs, if numbers may be made of what they would read; warnings are printed. Raises DataError if not."""
    states = {run.evaluation.benchmark: data.of(run) for run, _ in rows}
    for run, _ in rows:
        data.of(run).refuse(run.evaluation.benchmark)
    for name, state in states.items():
        for line in state.warnings:
            print(f"warning: {name}: {line}", file=sys.stderr)
    return rows


def _wanted(seen: Status, execution: Execution) -> bool:
    if execution.force:
        return True
    if seen.state == "done":
        return False
    return {"failed": execution.retry or seen.mendable, "stale": execution.stale}.get(seen.state, True)


def _jobs(rows: Rows, request: Request, files: Files, execution: Execution, device: Device) -> list[Job]:
    """A job for each of these runs; what runs take of others under another name is told."""
    for run, seen in rows:
        if seen.shared and not execution.dry_run:
            print(f"note: {run.name}: {seen.shared}", file=sys.stderr)
    return [
        Job(
            run=run,
            root=execution.root.resolve(),
            data=request.data,
            train=execution.train,
            force=execution.force or (execution.train and seen.state == "stale"),
            share=not execution.force,
            threads=execution.threads,
            workers=execution.workers,
            device=device,
            clip_file=files.clip,
            logs=execution.logs,
            custom=everything(),
            weights_file=files.weights.resolve() if files.weights else None,
        )
        for run, seen in rows
    ]


def _submit(
    request: Request, files: Files, execution: Execution, runs: Sequence[Run], report: Report, data: DataStates
) -> int:
    """Submit the runs that are to be made to SLURM; then go, or stay until their end."""
    from results.launch.execute.cluster import submit_grid, wait_for

    def jobs_of(rows: Rows, device: Device) -> list[Job]:
        wanted = [row for row in _to_make(rows, execution) if row[1].state != "running"]
        jobs = _jobs(_sound(wanted, data), request, files, execution, device)
        if jobs and not execution.dry_run:
            keep(execution.root, _benchmarks(runs))
        return jobs

    submit_grid(request, execution, runs, jobs_of, data)
    if execution.dry_run or execution.detach is not False:
        return 0
    wait_for(runs, execution.root, execution.interval)
    return report(statuses(runs, execution.root, data))


def _execute(jobs: Sequence[Job], execution: Execution, at_once: int, gpu_count: int) -> bool:
    """Run the jobs on this machine; False where a person stopped them."""
    from results.launch.execute.display import Display
    from results.launch.execute.local import run_jobs, visible_gpus

    if execution.cluster == "debug":
        return _execute_here(jobs)
    print(f"{len(jobs)} run{'s' * (len(jobs) != 1)} to make, {at_once} at once, in {execution.root}", flush=True)
    gpus = visible_gpus(gpu_count) if jobs[0].device == "cuda" else []
    try:
        with Display(len(jobs)) as display:
            run_jobs(jobs, at_once=at_once, folder=execution.root / ".jobs", gpus=gpus, watch=display.watch)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all have stopped; one more in haste must not hide how to go on
        return False
    return True


def _execute_here(jobs: Sequence[Job]) -> bool:
    """One run after another in this process, where breakpoints work; no debugger opens by itself."""
    from results.launch.run.worker import run_job

    for number, job in enumerate(jobs, 1):
        state = run_job(job)
        print(f"[{number}/{len(jobs)}] {job.run.name}: {state}", flush=True)
        if state == "interrupted":
            return False
    return True
