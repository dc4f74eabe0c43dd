"""How runs are made: nothing here changes a number. Light: the command line reads its defaults from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from results.launch.plan.request import Device
from splits.errors import UserError

Cluster = Literal["local", "slurm", "debug"]


@dataclass(frozen=True)
class Execution:
    """How to make runs. Raises UserError for a field that the chosen cluster would ignore."""

    root: Path  # where runs are stored
    train: bool = True  # False: only score weights that are there
    jobs: int | None = None  # runs at once; None: one a core, or one a GPU
    threads: int = 1  # CPU threads of a run
    workers: int = 0  # data loader processes of a run
    device: Device | None = None  # None: cuda where there is one
    logs: tuple[str, ...] = ()  # loggers that curves are copied to: tensorboard, wandb
    dry_run: bool = False  # print the runs and their states, start nothing
    force: bool = False  # throw away what is there and run again
    retry: bool = False  # run failed ones again
    stale: bool = False  # run again what was made with other sources, body weights or data
    cluster: Cluster = "local"
    resources: Mapping[str, Any] = field(default_factory=dict)  # fields of `Resources` for every method
    cluster_config: Path | None = None  # a TOML file with more of them
    detach: bool | None = None  # submit and go; None: on SLURM
    interval: float = 15  # seconds between looks at the cluster

    def __post_init__(self) -> None:
        given = [f"--{name.replace('_', '-')}" for name, value in self.resources.items() if value]
        given += ["--cluster-config"] if self.cluster_config else []
        if self.cluster != "slurm" and (given or self.detach):
            raise UserError(f"{given[0] if given else '--detach'} belongs to --cluster slurm")
        if self.cluster != "local" and self.jobs:
            other = "--array-parallelism" if self.cluster == "slurm" else "--cluster local"
            raise UserError(f"--jobs belongs to --cluster local; see {other}")
