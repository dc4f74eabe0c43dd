"""What the commands do with a whole grid of runs: make it, tell its states."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.catalogue import BUILTIN, Data, benchmark
from benchmarks.data.catalogue import data_roots
from benchmarks.spec import ClipId
from results.files import sha256_of
from results.floor import warnings_of
from results.launch.brought import everything, keep
from results.launch.follow import counted, print_states, watched
from results.launch.job import Device, Job
from results.launch.plan import Request, Run, Status, methods_named, plan
from results.launch.resources import Resources
from results.launch.submission import statuses
from results.launch.sweep import settings_of
from results.provenance import threads as cores
from splits.errors import UserError

INTERRUPTED = 130
Shown = Callable[[Sequence[Run], Path], int]  # runs and where they lie; prints, returns the exit code
SIZES = ("short_side", "window", "stride", "flips")  # how an image is cut up to be asked about


def run(options: argparse.Namespace) -> int:
    """Train and score what is asked and not there yet; print the tables."""
    return make_grid(options, train=True)


def evaluate(options: argparse.Namespace) -> int:
    """Score finished weights under the evaluation asked for, without training."""
    return make_grid(options, train=False)


def make_grid(
    options: argparse.Namespace, *, train: bool, runs: Sequence[Run] | None = None, shown: Shown | None = None
) -> int:
    """Run what is asked and not there; print the tables of all that is. Returns the exit code.

    runs: instead of those that the command line plans; shown: what prints what came of them, instead of `gather`.
    """
    request, clip_file = request_of(options)
    runs, shown = plan(request) if runs is None else runs, shown or gather
    keep(options.runs, request.benchmarks, look_only=options.dry_run)
    _warn(request)
    _check_cluster(options)
    if options.cluster == "slurm":
        return _submit(options, request, runs, clip_file, shown, train=train)
    rows = statuses(runs, options.runs)
    if options.dry_run:
        return print_states(rows)
    device, count = _device(options)
    jobs = _jobs(rows, options, request, clip_file, device, train=train)
    if jobs and not _execute(jobs, options, count):
        print(f"interrupted; to go on: {_command()}", file=sys.stderr)
        return INTERRUPTED
    return shown(runs, options.runs)


def print_status(options: argparse.Namespace) -> int:
    """A line for each run asked for; with `--watch` again and again until none is at work."""
    request, _ = request_of(options)
    runs = plan(request)
    if options.watch is None:
        return print_states(statuses(runs, options.runs))
    return print_states(watched(runs, options.runs, options.watch))


def collect(options: argparse.Namespace) -> int:
    """Wait for what was submitted, then print the tables; returns the exit code."""
    from results.launch.cluster import wait_for

    request, _ = request_of(options)
    runs = plan(request)
    wait_for(runs, options.runs, options.interval)
    return gather(runs, options.runs)


def cancel(options: argparse.Namespace) -> int:
    """Cancel the living cluster jobs of the runs asked for."""
    from results.launch.cluster import cancel_grid

    request, _ = request_of(options)
    return cancel_grid(plan(request), options.runs)


def gather(runs: Sequence[Run], root: Path) -> int:
    """Print the tables of what is there and how many runs are in which state; returns the exit code."""
    rows = statuses(runs, root)
    _print_tables_of(runs, rows, root)
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
    from results.launch.cluster import submit_grid, wait_for

    def jobs_of(rows: Sequence[tuple[Run, Status]], device: Device) -> list[Job]:
        return _jobs([r for r in rows if r[1].state != "running"], options, request, clip_file, device, train=train)

    submit_grid(options, request.methods, runs, jobs_of)
    if options.dry_run or options.detach is not False:
        return 0
    wait_for(runs, options.runs, options.interval)
    return shown(runs, options.runs)


def _jobs(
    rows: Sequence[tuple[Run, Status]],
    options: argparse.Namespace,
    request: Request,
    clip_file: Path | None,
    device: Device,
    *,
    train: bool,
) -> list[Job]:
    """A job for each run that is to be made; one that waits in a queue belongs to its job there."""
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
            brought=everything(),
            weights_file=options.weights.resolve() if options.weights else None,
        )
        for run, seen in rows
        if seen.state != "queued" and _wanted(seen, options)
    ]


def _check_cluster(options: argparse.Namespace) -> None:
    """Refuse options that this executor would ignore."""
    given = [f"--{name.replace('_', '-')}" for name in Resources.model_fields if getattr(options, name)]
    given += ["--cluster-config"] if options.cluster_config else []
    if options.cluster != "slurm" and (given or options.detach):
        raise UserError(f"{given[0] if given else '--detach'} belongs to --cluster slurm")
    if options.cluster != "local" and options.jobs:
        other = "--array-parallelism" if options.cluster == "slurm" else "--cluster local"
        raise UserError(f"--jobs belongs to --cluster local; see {other}")


def request_of(options: argparse.Namespace) -> tuple[Request, Path | None]:
    """The request of a command line, and the CLIP's file where one was given."""
    clip, clip_file = clip_asked(options.clip)
    known = bool(data_roots(options.data_root))
    scoring = ("kind", "items", "absent_class", "background", "background_below", *SIZES)
    training = ("training_images", "crop_decision", "border")
    request = Request(
        methods=methods_named(options.methods),
        benchmarks=tuple(options.benchmarks or (["pascal-5i"] if known else ["shapes-5i"])),
        folds=None if options.folds is None else tuple(dict.fromkeys(options.folds)),
        seeds=tuple(dict.fromkeys(options.seeds)),
        clip=clip,
        setting=options.setting,
        scale=options.scale,
        part=options.part,
        templates=options.templates,
        overrides=tuple(options.set),
        names=options.class_names,
        training=given(options, training),
        inference=given(options, scoring),
        limit=options.limit,
        ranks=options.ranks,
        weights=_weights(options),
        sweep=settings_of(options),
        tune_on_test=options.tune_on_test,
        data=data_asked(options),
    )
    return request, clip_file


def data_asked(options: argparse.Namespace) -> Data:
    """Where the data of a command line lie, and how much of them may be missing."""
    return Data(root=options.data_root, subset=options.subset, year=options.year or "")


def given(options: argparse.Namespace, names: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """The options of these names that were given, with their values."""
    return tuple((name, getattr(options, name)) for name in names if getattr(options, name) is not None)


def clip_asked(text: str | None) -> tuple[ClipId | None, Path | None]:
    """What `--clip` names, and the file where it is one; raises UserError for what it cannot be."""
    if text is None:
        return None, None
    model, slash, weights = text.partition("/")
    if not slash or not model or not weights:
        raise UserError(f"--clip {text}: expected MODEL/TAG (ViT-B-16/openai) or MODEL/path/to/weights")
    path = Path(weights).expanduser()
    if path.is_file():
        return ClipId(model=model, pretrained="file", sha256=sha256_of(path)), path.resolve()
    if path.suffix in (".pt", ".pth", ".bin", ".safetensors"):
        raise UserError(f"--clip {text}: there is no file {path}")
    return ClipId(model=model, pretrained=weights), None


def _weights(options: argparse.Namespace) -> str:
    if options.weights is None:
        return ""
    if not options.weights.is_file():
        raise UserError(f"--weights {options.weights}: there is no such file")
    if len(methods_named(options.methods)) != 1:
        raise UserError("--weights: these are the weights of one method; name it with --methods")
    return sha256_of(options.weights)


def _wanted(seen: Status, options: argparse.Namespace) -> bool:
    if options.force:
        return True
    if seen.state == "done":
        return False
    return {"failed": options.retry, "stale": options.stale}.get(seen.state, True)


def chosen_device(options: argparse.Namespace) -> Device:
    """Where runs are made; raises UserError for a GPU that is not there."""
    return _device(options)[0]


def _device(options: argparse.Namespace) -> tuple[Device, int]:
    """Where runs are made, and how many at once by default."""
    if device_asked(options.device) == "cpu":
        return "cpu", max(1, cores() // (options.threads * options.ranks))
    import torch

    if (count := torch.cuda.device_count()) < options.ranks:
        raise UserError(f"--ranks {options.ranks}: each takes a GPU, and torch sees {count} here; or --device cpu")
    return "cuda", count // options.ranks


def device_asked(asked: Device | None) -> Device:
    """The device of a command line: a GPU where there is one, unless the CPU is asked for."""
    if asked == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise UserError("--device cuda: torch sees no GPU here; leave --device out to run on the CPU")
    return "cpu"


def _execute(jobs: Sequence[Job], options: argparse.Namespace, count: int) -> bool:
    """Run the jobs; False where a person stopped them."""
    from results.launch.display import Display
    from results.launch.local import run_jobs, visible_gpus

    if options.cluster == "debug":
        return _execute_here(jobs)
    print(f"{len(jobs)} runs to make, {options.jobs or count} at once, in {options.runs}", flush=True)
    gpus = visible_gpus(count * options.ranks) if jobs[0].device == "cuda" else []
    try:
        with Display(len(jobs)) as display:
            run_jobs(jobs, at_once=options.jobs or count, folder=options.runs / ".jobs", gpus=gpus, watch=display.watch)
    except KeyboardInterrupt:
        return False
    return True


def _execute_here(jobs: Sequence[Job]) -> bool:
    """One run after another in this process, where breakpoints work; no debugger opens by itself."""
    from results.launch.worker import run_job

    for number, job in enumerate(jobs, 1):
        state = run_job(job)
        print(f"[{number}/{len(jobs)}] {job.run.name}: {state}", flush=True)
        if state == "interrupted":
            return False
    return True


def _print_tables_of(runs: Sequence[Run], rows: Sequence[tuple[Run, Status]], root: Path) -> None:
    from results.tables import build_tables

    readable = [run for run, seen in rows if seen.state in ("done", "stale")]
    records = [record for run in readable if (record := run.folder(root).read_record(run.evaluation))]
    states = {run.train.folder: seen.words for run, seen in rows if seen.state not in ("done", "stale")}
    stale = frozenset(run.train.folder for run, seen in rows if seen.state == "stale")
    whole = all(
        {run.train.fold for run in runs if run.train.benchmark == name}
        == {f.index for f in benchmark(name).split.folds}
        for name in {run.train.benchmark for run in runs}
    )
    # a mean over some of the folds is no result: what was asked for is shown fold by fold
    for table in build_tables(records, by="method" if whole else "fold", states=states, stale=stale):
        print("\n" + table.markdown())
    for line in warnings_of(records):
        print(f"warning: {line}", file=sys.stderr)


def summary(rows: Sequence[tuple[Run, Status]]) -> int:
    """The last line, and the exit code: 1 where a run is not done."""
    missing = [(run, seen) for run, seen in rows if seen.state not in ("done", "stale")]
    print(f"\n{counted(rows)}")
    for run, seen in missing:
        hint = " (again with --retry)" if seen.state == "failed" else ""
        print(f"  {run.name}: {seen.words}{hint}", file=sys.stderr)
    return 1 if missing else 0


def _warn(request: Request) -> None:
    photos = [name for name in request.benchmarks if benchmark(name).photos]
    if photos and (request.clip is None or request.clip.pretrained == BUILTIN):
        print(
            f"note: {', '.join(photos)} under the built-in CLIP, which was trained on drawn shapes: this shows that "
            "the data is wired right, its numbers mean nothing on photos. Use --clip ViT-B-16/openai for real ones.",
            file=sys.stderr,
        )


def _command() -> str:
    return " ".join(["python", *sys.argv])
