"""Is a run the same again? Train and score a method several ways and compare everything bit for bit.

The ways: twice alike; with data loader processes; stopped and gone on with at every k-th step; and stopped halfway
twice, for the checkpoints. Each is a real run in a folder of its own, cut short and thrown away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.training.checkpoint import Checkpoints
from benchmarks.training.train import SECONDS
from results.launch.plan.request import Files, Repetition, Request
from results.launch.plan.runs import plan
from results.launch.run.devices import device_and_count
from results.launch.run.job import Job
from results.launch.run.ranks import LocalRanks
from results.launch.run.worker import work
from results.store.confusion import ARRAYS, counted
from results.store.folders import CONFUSION, WEIGHTS
from results.store.provenance import sources_sha256
from splits.errors import UserError

Leaves = dict[str, Any]  # what a run left, by name: tensors, arrays, numbers


@dataclass(frozen=True)
class Way:
    """One way to make a run."""

    name: str
    workers: int = 0
    every: int | None = None  # stopped after so many steps, and gone on with, until it is trained


def compared_runs(request: Request, files: Files, repetition: Repetition) -> Iterator[tuple[str, bool]]:
    """A line for each run of the request and way, and whether it came out the same."""
    threads = repetition.threads
    device, _ = device_and_count(repetition.device, threads=threads, ranks=request.ranks)
    for run in plan(request):
        job = Job(run, Path(), data=request.data, threads=threads, device=device, clip_file=files.clip)
        for line, same in compared(job, repetition):
            yield f"{run.name}: {line}", same


def compared(job: Job, repetition: Repetition) -> Iterator[tuple[str, bool]]:
    """What was done another way, and whether it came out the same, for each way; the reference is trained first."""
    iterations, every = job.run.train.recipe.shortened(job.run.train.limit).iterations, repetition.resume_every
    ways = [Way("again"), *(Way(f"with {n} loader processes", workers=n) for n in repetition.worker_counts)]
    if iterations > every:
        ways.append(Way(f"resumed at every {every}. step" if every > 1 else "resumed at every step", every=every))
    with tempfile.TemporaryDirectory(prefix="zss-determinism-") as folder:
        reference = made(job, Way("first"), Path(folder, "first"))
        for number, way in enumerate(ways):
            yield _verdict(way.name, reference, made(job, way, Path(folder, str(number))))
        if iterations > 1:
            half = iterations // 2
            pair = [halfway(job, half, Path(folder, f"half-{number}")) for number in range(2)]
            yield _verdict(f"checkpoint of step {half} again", *pair)


def _verdict(name: str, first: Leaves, second: Leaves) -> tuple[str, bool]:
    differing = different(first, second)
    if not differing:
        return f"{name}: the same, {len(first)} values", True
    more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
    return f"{name}: DIFFERENT in {', '.join(differing[:3])}{more} of {len(first)} values", False


def made(job: Job, way: Way, root: Path) -> Leaves:
    """Make the run in a fresh folder this way; what it left. Raises UserError where it failed."""
    job = replace(job, root=root, workers=way.workers)
    folder = job.run.folder(root)
    while True:
        stop = _after(way.every) if way.every and not folder.trained() else _never
        if _state(job, stop) == "done":
            break
    record = folder.read_record(job.run.evaluation)
    assert record is not None
    leaves: Leaves = {f"loss {p.step} {k}": v for p in record.result.losses for k, v in p.losses.items()}
    leaves |= {f"weights {name}": value for name, value in load_file(folder.path / WEIGHTS).items()}
    counts = counted(folder.evaluation(job.run.evaluation) / CONFUSION, ARRAYS)
    leaves |= {f"confusion {name}": value for name, value in counts.items()}
    result = record.result.model_dump(mode="json", exclude={"losses"})
    return leaves | {f"result {name}": value for name, value in result.items()}


def halfway(job: Job, step: int, root: Path) -> Leaves:
    """Everything in the checkpoint of a run that was stopped after so many steps."""
    job = replace(job, root=root)
    _state(job, _after(step))
    path, spec = job.run.folder(root).path, job.run.train
    state, _ = Checkpoints(path, spec.digest(), _no_write, sources_sha256(spec.method)).latest()
    return {name: value for name, value in _flat("checkpoint", state) if name != f"checkpoint {SECONDS}"}


def _state(job: Job, stop: Callable[[], bool]) -> str:
    folder = job.run.folder(job.root)
    claim = folder.claims.claim()
    if claim is None:
        raise UserError(f"{folder.path}: somebody else is at it")
    with LocalRanks(job) as others:
        state = work(job, folder, claim, stop, others)
    if state not in ("done", "interrupted"):
        raise UserError(f"{job.run.name}: {state}: {folder.read_state().get('reason', 'no reason was stored')}")
    return state


def _after(steps: int) -> Callable[[], bool]:
    """A `stop` that says yes from its n-th question on: training asks once after every step."""
    steps_done = 0

    def stop() -> bool:
        nonlocal steps_done
        steps_done += 1
        return steps_done >= steps

    return stop


def _never() -> bool:
    return False


def _no_write(path: Path, content: bytes) -> None:
    raise RuntimeError(f"{path}: nothing is to be written here")


def different(first: Leaves, second: Leaves) -> list[str]:
    """The names of values that are not the same bit for bit, or that one of the two lacks."""
    names = [*first, *(name for name in second if name not in first)]
    return [name for name in names if name not in first or name not in second or not _same(first[name], second[name])]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and _bytes(one) == _bytes(other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return type(one) is type(other) and one == other


def _bytes(tensor: Tensor) -> bytes:
    """The bits of a tensor, whatever its type; so that -0 is not 0 and NaN is itself."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name} {key}", inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _flat(f"{name} {index}", inner)
    else:
        yield name, value
