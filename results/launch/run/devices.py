"""On which device runs are made, and how many at once. Torch is imported only where a GPU may be meant."""

from __future__ import annotations

import argparse

from benchmarks.data.parallel import cores
from results.launch.run.job import Device
from splits.errors import UserError


def chosen_device(options: argparse.Namespace) -> Device:
    """Where runs are made; raises UserError for a GPU that is not there."""
    return device_and_count(options)[0]


def device_and_count(options: argparse.Namespace) -> tuple[Device, int]:
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
