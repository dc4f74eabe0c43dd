"""On which device runs are made, and how many at once. Torch is imported only where a GPU may be meant."""

from __future__ import annotations

from benchmarks.data.parallel import cores
from results.launch.plan.request import Device, Run
from splits.errors import UserError


def device_and_count(device: Device | None, *, threads: int, ranks: int) -> tuple[Device, int]:
    """Where runs are made, and how many at once by default. Raises UserError where there are too few GPUs."""
    if chosen_device(device) == "cpu":
        return "cpu", max(1, cores() // (threads * ranks))
    import torch

    if (count := torch.cuda.device_count()) < ranks:
        raise UserError(f"--ranks {ranks}: each takes a GPU, and torch sees {count} here; or --device cpu")
    return "cuda", count // ranks


def chosen_device(device: Device | None) -> Device:
    """The device of this process: a GPU where there is one, unless the CPU is wanted; UserError for one that is not."""
    if device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise UserError("--device cuda: torch sees no GPU here; leave --device out to run on the CPU")
    return "cpu"


def check_precision(run: Run, device: Device, *, train: bool) -> None:
    """Raise UserError for TF32 on a CPU, which has none: the record would say of its numbers what is not so."""
    asked = ["--precision tf32"] if run.evaluation.precision == "tf32" else []
    asked += ["--set recipe.tf32=true"] if train and run.train.recipe.tf32 else []
    if asked and device == "cpu":
        raise UserError(f"{' and '.join(asked)}: TF32 is of CUDA, and this run is made on the CPU; leave it out")
