"""What the commands do with a whole grid of runs: make it, tell its states."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.catalogue import BUILTIN, benchmark, builtin_clip
from results.launch.commands.parse import request_of
from results.launch.execute.follow import counted, print_states, watched
from results.launch.execute.resources import Resources
from results.launch.execute.submission import statuses
from results.launch.plan.body_weights import refuse_absent
from results.launch.plan.custom import everything, keep
from results.launch.plan.recipe_changes import departures
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import Status
from results.launch.plan.transfer import asked
from results.launch.run.devices import device_and_count
from results.launch.run.job import Device, Job
from results.tables.sanity_floor import warnings_of
from splits.errors import UserError

INTERRUPTED = 130
Rows = Sequence[tuple[Run, Status]]
Shown = Callable[[Rows, Path], int]  # runs as they stand and where they lie; prints, returns the exit code


def run(options: argparse.Namespace) -> int:
    """Train and score what is asked and not there yet; print the tables."""
    return make_grid(options, train=True)


def evaluate(options: argparse.Namespace) -> int:
    """Score finished weights under the evaluation asked for, without training."""
    return make_grid(options, train=False)


def make_grid(options: argparse.Namespace, *, train: bool) -> int:
    """Run what is asked and not there; print the tables of all that is. Returns the exit code."""
    request, clip_file = request_of(options)
    return make_runs(options, request, clip_file, asked(options, request, clip_file), gather, train=train)


def make_runs(
    options: argparse.Namespace,
    request: Request,
    clip_file: Path | None,
    runs: Sequence[Run],
    shown: Shown,
    *,
    train: bool,
) -> int:
    """Make those of these runs that are not there, then show what came of all. Returns the exit code."""
    keep(options.runs, dict.fromkeys(name for run in runs for name in run.benchmarks), look_only=options.dry_run)
    _check_cluster(options)
    if options.log:
        from results.launch.run.loggers import check_logs

        check_logs(options.log)
    _warn(request, runs, trained=train)
    if options.cluster == "slurm":
        return _submit(options, request, runs, clip_file, shown, train=train)
    rows = statuses(runs, options.runs)
    if options.dry_run:
        return print_states(rows)
    if wanted := _to_make(rows, options):  # else torch, which knows the devices, need not be imported
        refuse_absent((run for run, _ in wanted if train), options.runs)
        device, count = device_and_count(options)
        if not _execute(_jobs(wanted, options, request, clip_file, device, train=train), options, count):
            print(f"interrupted; to go on: {_command()}", file=sys.stderr)
            return INTERRUPTED
        rows = statuses(runs, options.runs)
    return shown(rows, options.runs)


def print_status(options: argparse.Namespace) -> int:
    """A line for each run asked for; with `--watch` again and again until none is at work."""
    request, clip_file = request_of(options)
    runs = asked(options, request, clip_file)
    if options.watch is None:
        return print_states(statuses(runs, options.runs))
    return print_states(watched(runs, options.runs, options.watch))


def collect(options: argparse.Namespace) -> int:
    """Wait for what was submitted, then print the tables; returns the exit code."""
    from results.launch.execute.cluster import wait_for

    request, clip_file = request_of(options)
    runs = asked(options, request, clip_file)
    wait_for(runs, options.runs, options.interval)
    return gather(statuses(runs, options.runs), options.runs)


def cancel(options: argparse.Namespace) -> int:
    """Cancel the living cluster jobs of the runs asked for."""
    from results.launch.execute.cluster import cancel_grid

    request, clip_file = request_of(options)
    return cancel_grid(asked(options, request, clip_file), options.runs)


def gather(rows: Rows, root: Path) -> int:
    """Print the tables of what is there and how many runs are in which state; returns the exit code."""
    _print_tables_of(rows, root)
    return summary(rows)


def _submit(
    options: argparse.Namespace,
    request: Request,
    runs: Sequence[Run],
    clip_file: Path | None,
    shown: Shown,
    *,
    train: bool,
) -> int:
    """Submit what is asked and not there to SLURM; then go, or stay until the end where asked to."""
    from results.launch.execute.cluster import submit_grid, wait_for

    def jobs_of(rows: Rows, device: Device) -> list[Job]:
        wanted = [row for row in _to_make(rows, options) if row[1].state != "running"]
        return _jobs(wanted, options, request, clip_file, device, train=train)

    submit_grid(options, request.methods, runs, jobs_of)
    if options.dry_run or options.detach is not False:
        return 0
    wait_for(runs, options.runs, options.interval)
    return shown(statuses(runs, options.runs), options.runs)


def _jobs(
    rows: Rows,
    options: argparse.Namespace,
    request: Request,
    clip_file: Path | None,
    device: Device,
    *,
    train: bool,
) -> list[Job]:
    """A job for each of these runs."""
    return [
        Job(
            run=run,
            root=options.runs.resolve(),
            data=request.data,
            train=train,
            force=options.force or (train and seen.state == "stale"),
            threads=options.threads,
            workers=options.workers,
            device=device,
            clip_file=clip_file,
            logs=tuple(dict.fromkeys(options.log)),
            brought=everything(),
            weights_file=options.weights.resolve() if options.weights else None,
        )
        for run, seen in rows
    ]


def _to_make(rows: Rows, options: argparse.Namespace) -> list[tuple[Run, Status]]:
    """The runs that are to be made; one that waits in a queue belongs to its job there."""
    return [(run, seen) for run, seen in rows if seen.state != "queued" and _wanted(seen, options)]


def _check_cluster(options: argparse.Namespace) -> None:
    """Refuse options that this executor would ignore."""
    given = [f"--{name.replace('_', '-')}" for name in Resources.model_fields if getattr(options, name)]
    given += ["--cluster-config"] if options.cluster_config else []
    if options.cluster != "slurm" and (given or options.detach):
        raise UserError(f"{given[0] if given else '--detach'} belongs to --cluster slurm")
    if options.cluster != "local" and options.jobs:
        other = "--array-parallelism" if options.cluster == "slurm" else "--cluster local"
        raise UserError(f"--jobs belongs to --cluster local; see {other}")


def _wanted(seen: Status, options: argparse.Namespace) -> bool:
    if options.force:
        return True
    if seen.state == "done":
        return False
    return {"failed": options.retry, "stale": options.stale}.get(seen.state, True)


def _execute(jobs: Sequence[Job], options: argparse.Namespace, count: int) -> bool:
    """Run the jobs; False where a person stopped them."""
    from results.launch.execute.display import Display
    from results.launch.execute.local import run_jobs, visible_gpus

    if options.cluster == "debug":
        return _execute_here(jobs)
    print(f"{len(jobs)} runs to make, {options.jobs or count} at once, in {options.runs}", flush=True)
    gpus = visible_gpus(count * options.ranks) if jobs[0].device == "cuda" else []
    try:
        with Display(len(jobs)) as display:
            run_jobs(jobs, at_once=options.jobs or count, folder=options.runs / ".jobs", gpus=gpus, watch=display.watch)
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


def _print_tables_of(rows: Rows, root: Path) -> None:
    from results.tables.tables import build_tables

    readable = [run for run, seen in rows if seen.state in ("done", "stale")]
    records = [record for run in readable if (record := run.folder(root).read_record(run.evaluation))]
    lacking = [(run, seen) for run, seen in rows if seen.state not in ("done", "stale")]
    # a transfer that is not there is told below; its training may well be, and its folder is the training's
    states = {run.train.folder: seen.words for run, seen in lacking if not run.evaluation.transferred}
    stale = frozenset(run.train.folder for run, seen in rows if seen.state == "stale")
    whole = all(
        {run.evaluation.fold for run, _ in rows if run.evaluation.benchmark == name}
        == {f.index for f in benchmark(name).split.folds}
        for name in {run.evaluation.benchmark for run, _ in rows}
    )
    # a mean over some of the folds is no result: what was asked for is shown fold by fold
    for table in build_tables(records, by="method" if whole else "fold", states=states, stale=stale):
        print("\n" + table.markdown())
    for line in warnings_of(records):
        print(f"warning: {line}", file=sys.stderr)


def summary(rows: Rows) -> int:
    """The last line, and the exit code: 1 where a run is not done."""
    missing = [(run, seen) for run, seen in rows if seen.state not in ("done", "stale")]
    print(f"\n{counted(rows)}")
    for run, seen in missing:
        hint = " (again with --retry)" if seen.state == "failed" else ""
        print(f"  {run.name}: {seen.words}{hint}", file=sys.stderr)
    return 1 if missing else 0


def _warn(request: Request, runs: Sequence[Run], *, trained: bool) -> None:
    for line in departures(request, [run for run in runs if trained and not run.evaluation.drawn]):
        print(f"warning: {line}", file=sys.stderr)
    scored = {r.evaluation.benchmark: r.train.clip or request.clip or builtin_clip() for r in runs}
    photos = [name for name, clip in scored.items() if benchmark(name).photos and clip.pretrained == BUILTIN]
    if photos:
        print(
            f"note: {', '.join(photos)} under the built-in CLIP, which was trained on drawn shapes: this shows that "
            "the data is wired right, its numbers mean nothing on photos. Use --clip ViT-B-16/openai for real ones.",
            file=sys.stderr,
        )


def _command() -> str:
    return " ".join(["python", *sys.argv])
