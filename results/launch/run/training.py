"""What every rank of a run does: build the method, read its share of each batch, train."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.catalogue import benchmark
from benchmarks.data.cache import cache_folder
from benchmarks.data.limited import Limited, Without
from benchmarks.data.reader import Reader, Watch
from benchmarks.training.batches import batches
from benchmarks.training.checkpoint import Checkpoints
from benchmarks.training.fabric import ClusterEnvironment, DDPStrategy, Fabric, LightningEnvironment
from benchmarks.training.ranks import Ranks
from benchmarks.training.train import Progress, Trained, train
from methods.clip import Clip
from methods.method import Images, Method
from methods.registry import entry
from results.launch.plan.settings import config_of
from results.launch.run.build import build, clip_of, train_set
from results.launch.run.environment import bound_onednn, environment
from results.launch.run.job import Device, Job
from results.store.provenance import node
from splits.errors import UserError


def set_up(device: str, threads: int, *, half: bool = False) -> None:
    """Threads, determinism and oneDNN's vectors of this process; what measures runs sets them up alike.

    half: is anything computed in half precision?
    """
    torch.set_num_threads(threads)
    bound_onednn(half=half)
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    if device != "cpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS is not; read at its first product
        # no value is read before it is written
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def built(job: Job, *, finished: bool = False) -> tuple[Clip | None, Method]:
    """The CLIP and the method of a job as training begins, on the CPU; `finished` as of `build`."""
    # Texts are embedded on the CPU: minutes for hundreds of classes, in which a GPU would wait. Runs on a CPU make them
    # anew, so that no record depends on what another process, of other vectors, left in a cache.
    kept = cache_folder() / "texts" if job.device == "cuda" else None
    clip = clip_of(job.run.train.clip, job.clip_file, text_cache=kept)
    return clip, build(job.run.train, clip, finished=finished)


def trained(
    job: Job,
    method: Method,
    checkpoints: Checkpoints,
    ranks: Ranks,
    *,
    watch: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    prepared: Watch = lambda done, total: None,
) -> Trained:
    """Train a job's method, together with the other ranks where there are any. See `benchmarks.training`."""
    spec = job.run.train
    recipe = spec.recipe.shortened(spec.limit)
    members = ranks.gather(f"{node()} {device_name(job.device)}")
    done = train(
        method,
        lambda start: _batches(job, start, ranks, prepared),
        recipe,
        seed=spec.seed,
        fabric=fabric_of(job.device, recipe.precision, ranks),
        checkpoints=checkpoints,
        watch=watch,
        stop=stop,
        ranks=ranks,
        over=entry(spec.method).averaging(config_of(spec)).over,
    )
    return replace(done, members=tuple(members)) if ranks.count > 1 else done


def device_name(device: Device) -> str:
    """The GPU's name as its driver has it, or "cpu"."""
    return "cpu" if device == "cpu" else torch.cuda.get_device_name(torch.cuda.current_device())


def fabric_of(device: Device, precision: str, ranks: Ranks) -> Fabric:
    """Fabric for this process: alone, or as one of the ranks, whose process group exists by then.

    Left to itself Fabric would take SLURM's variables, wherever it finds them, for its own. Each rank is a node of one
    device to it: which device that is has been decided.
    """
    if ranks.count == 1:
        return Fabric(accelerator=device, devices=1, precision=precision, plugins=[LightningEnvironment()])  # type: ignore[arg-type]
    fabric = Fabric(
        accelerator=device,
        devices=1 if device == "cpu" else [torch.cuda.current_device()],
        num_nodes=ranks.count,
        precision=precision,  # type: ignore[arg-type]
        # A parameter may get no gradient in a step, on one rank or on all (no latent class in a batch). Nor are buckets
        # laid out anew after the first step then: more than two ranks would round their sums otherwise after a restart.
        strategy=DDPStrategy(find_unused_parameters=True),
        plugins=[_Member(ranks)],
    )
    # else Fabric takes all cores, but only where the variable is not set: results would depend on who started the run
    with environment(OMP_NUM_THREADS=str(torch.get_num_threads())):
        fabric.launch()
    return fabric


def opened(job: Job, name: str, part: str, limit: int | None, expected: str, prepared: Watch) -> Reader:
    """A part of a benchmark of the job, ready to be read. Raises UserError where it is not that of the plan."""
    reader = job.data.open(benchmark(name), part)
    if reader.partial and reader.content_sha256() != expected:
        raise UserError(
            f"{job.run.name}: the {part} images that are present are not those of the plan; plan the run again"
        )
    if not len(reader):
        raise UserError(f"{job.run.name}: no {part} image is present")
    reader.prepare(prepared)
    return Limited(reader, limit) if limit is not None else reader


def _batches(job: Job, start: int, ranks: Ranks, prepared: Watch) -> Iterator[tuple[Images, Tensor]]:
    """This rank's share of the batches from a step on."""
    spec = job.run.train
    bench, side = benchmark(spec.benchmark), spec.side
    split, fold = bench.split, bench.split.fold(spec.fold)
    drop = side.training_images == "drop"
    reader = opened(job, spec.benchmark, "train", None if drop else spec.limit, side.data.ids_sha256, prepared)
    if drop:
        unlearned = [id_ for name, id_ in zip(split.classes, split.ids, strict=True) if name not in fold.seen]
        reader = Without(reader, unlearned, limit=spec.limit)
    return batches(
        train_set(spec, reader),
        len(reader),
        seed=spec.seed,
        batch=spec.recipe.batch,
        start=start,
        workers=job.workers,
        rank=ranks.rank,
        ranks=ranks.count,
        pinned=job.device == "cuda",
    )


class _Member(ClusterEnvironment):
    """One of the ranks, as Fabric asks for it."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        raise RuntimeError("the process group is made before Fabric is")

    @property
    def main_port(self) -> int:
        raise RuntimeError("the process group is made before Fabric is")

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._ranks.count

    def set_world_size(self, size: int) -> None:
        assert size == self._ranks.count

    def global_rank(self) -> int:
        return self._ranks.rank

    def set_global_rank(self, rank: int) -> None:
        assert rank == self._ranks.rank

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._ranks.rank
