"""What a job gets of a cluster: from options and a TOML file, checked before anything reaches an sbatch line.

    partition = "gpu"            # the same names as the options
    gpus = 1
    time = "24:00:00"
    setup = ["module load cuda"]
    slurm = { exclude = "node7" }
    [methods.zegclip]            # what differs for one method
    time = "2-00:00:00"

The command line has the last word over the file, a method's table over the rest of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from benchmarks.toml import read_toml
from benchmarks.values import Value, formed
from methods.registry import METHODS
from splits.errors import UserError

Name = Annotated[str, formed(r"[A-Za-z0-9_.,:@+-]*", "letters, digits and _ . , : @ + - alone")]
Features = Annotated[
    str, formed(r"[A-Za-z0-9_.,:@+&|*()\[\]!-]*", "letters, digits and _ . , : @ + & | * ( ) [ ] ! - alone")
]
GPUS = formed(r"([A-Za-z0-9_.-]+:)?(0|[1-9][0-9]?)", "[TYPE:]N with at most 99 GPUs, e.g. 2 or a100:2")
MEMORY = formed(r"([1-9][0-9]*[KMGT]?)?", "a whole number with K, M, G, T or no unit, e.g. 16G")
OPTION = re.compile(r"[a-z][a-z0-9-]*")
# set by the harness itself, or by an option of its own
RESERVED = frozenset(
    "account array chdir cluster-constraint clusters constraint cpus-per-task error export export-file get-user-env "
    "gpus-per-node gres input job-name mem nodes no-requeue ntasks ntasks-per-node open-mode output parsable partition "
    "qos requeue signal test-only time wait wrap".split()
)
EARLY_SECONDS = 60  # SLURM may send the signal that much before the delay given


class Resources(Value):
    """One job's share of a cluster. Fields at their default are left to the cluster."""

    partition: Name = ""
    gpus: Annotated[str, GPUS] = "0"  # a node; TYPE:1 names the type
    nodes: int = Field(default=1, ge=1)
    cpus: int | None = Field(default=None, ge=1)  # a rank; None: threads and data loader processes
    mem: Annotated[str, MEMORY] = ""  # per node; MiB where no unit is given
    time: str = "24:00:00"
    account: Name = ""
    qos: Name = ""
    constraint: Features = ""
    array_parallelism: int | None = Field(default=None, ge=1)
    signal_delay: int = Field(default=90, ge=5)  # seconds before the time limit at which a run has to stop
    requeues: int = Field(default=10, ge=0)  # how often a run may hit its time limit
    setup: tuple[str, ...] = ()  # shell lines before the run
    stage_data: str = ""  # a folder of each node to copy the data to; may name its variables, e.g. $SLURM_TMPDIR
    slurm: dict[str, str] = {}  # further options of sbatch

    @field_validator("time")
    @classmethod
    def _time(cls, value: str) -> str:
        minutes_of(value)
        return value

    @field_validator("setup")
    @classmethod
    def _setup(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            if not line.isprintable() or line.lstrip().startswith("#SBATCH"):
                raise ValueError(f"expected one line of shell each, got {line!r}")
        return lines

    @field_validator("slurm")
    @classmethod
    def _slurm(cls, options: dict[str, str]) -> dict[str, str]:
        for key, value in options.items():
            if not OPTION.fullmatch(key):
                raise ValueError(f"{key!r} is no long option of sbatch, expected e.g. exclude=node7")
            if key in RESERVED:
                raise ValueError(f"{key!r} is set by the harness or has an option of its own")
            if not value.isprintable():
                raise ValueError(f"{key}: expected one line, got {value!r}")
        return options

    @property
    def minutes(self) -> int:
        """The time limit."""
        return minutes_of(self.time)

    @property
    def on_gpu(self) -> bool:
        """Does the job get a GPU?"""
        return self.gpu_count > 0

    @property
    def gpu_count(self) -> int:
        """GPUs of a run on each of its nodes."""
        return int(self.gpus.rpartition(":")[2])

    def of(self, ranks: int) -> Resources:
        """What a run of so many ranks gets of this: one alone, which trains nothing, takes one node and one GPU.

        Raises UserError where the ranks do not fit.
        """
        if ranks == 1:
            kind, colon, _ = self.gpus.rpartition(":")
            return self.model_copy(update={"nodes": 1, "gpus": f"{kind}{colon}1" if self.on_gpu else self.gpus})
        if self.on_gpu and self.nodes * self.gpu_count != ranks:
            raise UserError(
                f"--ranks {ranks} with --gpus {self.gpus} on --nodes {self.nodes}: {self.nodes * self.gpu_count} GPUs "
                "for as many processes; give one GPU a rank"
            )
        if ranks % self.nodes:
            raise UserError(f"--ranks {ranks} on --nodes {self.nodes}: nodes get the same number of ranks each")
        return self

    def check(self) -> None:
        """Refuse a time limit in which the signal to stop could come before the run has begun."""
        if self.minutes * 60 <= self.signal_delay + EARLY_SECONDS:
            raise UserError(
                f"--time {self.time} with --signal-delay {self.signal_delay}: SLURM may ask a run to stop "
                f"{EARLY_SECONDS} s earlier than the delay, before it has begun; give more time or less delay"
            )


def minutes_of(text: str) -> int:
    """Minutes of a time limit as SLURM writes it: MINUTES, H:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS; rounded up.

    MM:SS, which SLURM knows too, is refused: who writes 24:00 mostly means hours. Raises ValueError.

    >>> minutes_of("90"), minutes_of("24:00:00"), minutes_of("2-12")
    (90, 1440, 3600)
    """
    match = re.fullmatch(r"(\d+)|(?:(\d+)-)?(\d+)(?::(\d\d))?(?::(\d\d))?", text, flags=re.ASCII)
    if not match or (not match[1] and not match[2] and not match[5]):
        hint = f"; for hours write {text}:00" if re.fullmatch(r"\d+:\d\d", text) else ""
        raise ValueError(f"{text!r} is no time limit, expected MINUTES, H:MM:SS or D-HH:MM:SS{hint}")
    if match[1]:
        total = float(match[1])
    else:
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
        total = days * 1440 + hours * 60 + minutes + seconds / 60
    if total <= 0:
        raise ValueError(f"{text!r}: a time limit of nothing means no limit to SLURM; give one")
    return -int(-total // 1)


def resources_for(
    methods: tuple[str, ...], given: Mapping[str, Any], config: Path | None, *, ranks: int
) -> dict[str, Resources]:
    """The resources of each method's runs. Raises UserError for anything that must not reach an sbatch line.

    given: fields for every method, which win over those of the file `config`. ranks: of each run. A floor asks
    for no GPU, unless its own table in the file does.
    """
    general, special = _file(config)
    source = "cluster options" + (f" and {config}" if config else "")
    found = {}
    for method in methods:
        values = general | special.get(method, {}) | dict(given)
        if is_floor(method):
            values["gpus"] = special.get(method, {}).get("gpus", "0")
        values["slurm"] = {k: v for table in (general, special.get(method, {}), given) for k, v in _slurm(table)}
        found[method] = Resources.parse(values, source=source)
        found[method].check()
        if ranks == 1 and (found[method].gpu_count > 1 or found[method].nodes > 1):
            raise UserError(
                f"--gpus {found[method].gpus} --nodes {found[method].nodes}: one process uses one GPU; let as many "
                "train each run together with --ranks (that is another run, in status and collect too)"
            )
    return found


def is_floor(method: str) -> bool:
    """Is it a method that no GPU would help, as far as the harness knows?"""
    return method in METHODS and METHODS[method].is_floor


def _slurm(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return values.get("slurm", {}).items()


def _file(path: Path | None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The general values of a TOML file, and those of single methods."""
    if path is None:
        return {}, {}
    content = read_toml(path, "--cluster-config")
    special = content.pop("methods", {})
    for table in (content, *(special.values() if isinstance(special, dict) else ())):
        if isinstance(table, dict) and not isinstance(table.get("slurm", {}), dict):
            raise UserError(f'--cluster-config {path}: slurm: expected a table such as {{ exclude = "node7" }}')
    if not isinstance(special, dict) or not all(isinstance(values, dict) for values in special.values()):
        raise UserError(f"--cluster-config {path}: methods: expected tables such as [methods.zegclip]")
    if unknown := sorted(special.keys() - METHODS.keys()):
        raise UserError(f"--cluster-config {path}: no method is called {unknown[0]!r}")
    return _plain(content), {method: _plain(values) for method, values in special.items()}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers where a person may write them: `gpus = 1`, `time = 90`, `slurm = { nice = 100 }`."""
    values = dict(values)
    for name in ("gpus", "time", "mem"):
        if type(values.get(name)) is int:
            values[name] = str(values[name])
    if isinstance(slurm := values.get("slurm", {}), dict):
        values["slurm"] = {key: str(value) if type(value) is int else value for key, value in slurm.items()}
    return values
