"""The options that several commands share and that change no number: how runs are made, and on which cluster."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from results.launch.commands.options import natural, positive
from results.launch.execute.execution import Cluster, Execution
from results.launch.plan.request import Device

LOGS = ("tensorboard", "wandb")
AS_SBATCH = "as sbatch's"


def how_to_execute(parser: argparse.ArgumentParser) -> None:
    """What changes no number."""
    group = parser.add_argument_group("how to execute (changes no number)")
    group.add_argument("--jobs", type=positive, metavar="N", help="runs at once; default: one a core, or one a GPU")
    threads(group)
    group.add_argument(
        "--workers",
        type=natural,
        default=Execution.workers,
        metavar="N",
        help="data loader processes of a run; default: %(default)s",
    )
    device(group)
    group.add_argument(
        "--log",
        nargs="+",
        choices=LOGS,
        default=[],
        help="copy losses, rates and scores into the run's folder for these (pip install '.[logging]'; W&B: offline)",
    )
    group.add_argument("--dry-run", action="store_true", help="print the runs and their states, start nothing")
    group.add_argument("--force", action="store_true", help="throw away what is there and run again")
    group.add_argument("--retry", action="store_true", help="run failed ones again")
    group.add_argument(
        "--stale", action="store_true", help="run again what was made with other method sources, body weights or data"
    )


def threads(parser: argparse._ActionsContainer) -> None:
    """Threads of one process."""
    parser.add_argument(
        "--threads",
        type=positive,
        default=Execution.threads,
        metavar="N",
        help="CPU threads of a run; default: %(default)s",
    )


def device(parser: argparse._ActionsContainer) -> None:
    """The kind of device."""
    parser.add_argument("--device", choices=get_args(Device), help="default: cuda where there is one")


def on_a_cluster(parser: argparse.ArgumentParser) -> None:
    """The executor and the resources of a run there."""
    group = parser.add_argument_group("on a cluster (changes no number)")
    group.add_argument(
        "--cluster",
        default=Execution.cluster,
        choices=get_args(Cluster),
        help="local: processes here; slurm: arrays of jobs; debug: one after another in this process; "
        "default: %(default)s",
    )
    group.add_argument("--partition", metavar="P", help=AS_SBATCH)
    group.add_argument("--gpus", metavar="[TYPE:]N", help="of a run on each of its nodes, one a rank; default: 0")
    group.add_argument("--nodes", type=positive, metavar="N", help="over which a run's ranks are spread; default: 1")
    group.add_argument("--cpus", type=positive, metavar="N", help="cores a rank; default: threads and workers")
    group.add_argument("--mem", metavar="SIZE", help="memory of a run on each of its nodes, e.g. 16G")
    group.add_argument("--time", metavar="LIMIT", help="MINUTES, H:MM:SS or D-HH:MM:SS; default: 24:00:00")
    group.add_argument("--account", metavar="A", help=AS_SBATCH)
    group.add_argument("--qos", metavar="Q", help=AS_SBATCH)
    group.add_argument("--constraint", metavar="C", help=AS_SBATCH)
    group.add_argument("--array-parallelism", type=positive, metavar="N", help="runs of an array at once")
    group.add_argument(
        "--signal-delay", type=positive, metavar="S", help="seconds before the limit to stop at; default: 90"
    )
    group.add_argument("--requeues", type=natural, metavar="N", help="time limits a run may hit; default: 10")
    group.add_argument("--setup", action="append", metavar="LINE", help="shell before the run, e.g. 'module load cuda'")
    group.add_argument(
        "--stage-data",
        metavar="DIR",
        help="copy or unpack the data to this folder of each node, e.g. '$SLURM_TMPDIR', once",
    )
    group.add_argument(
        "--slurm", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="further long options of sbatch"
    )
    group.add_argument("--cluster-config", type=Path, metavar="FILE", help="the same in TOML, also for single methods")
    group.add_argument(
        "--detach",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="submit and go; default on slurm, where --no-detach stays to the end",
    )
    interval(group)


def interval(parser: argparse._ActionsContainer) -> None:
    """How often to look at a cluster."""
    parser.add_argument(
        "--interval",
        type=positive,
        default=Execution.interval,
        metavar="SECONDS",
        help="between looks at the cluster; default: %(default)s",
    )
