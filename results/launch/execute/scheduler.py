"""Talking to SLURM: what it has of ours, what it allows, what can never start.

States come from `squeue`, which every cluster has; `sacct`, which many have not, is called only for jobs that
`squeue` has forgotten. Jobs are known by name: ids start again when a controller's state is wiped, names do not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from splits.errors import UserError

PREFIX = "zss-"  # of the names of our jobs
ENDED = frozenset(
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY REVOKED TIMEOUT".split()  # PREEMPTED goes on
)
# reasons of pending jobs that no waiting mends
HOPELESS = frozenset(
    "AccountNotAllowed AssocGrpBB BadConstraints DependencyNeverSatisfied InvalidAccount InvalidQOS "
    "PartitionConfig PartitionNodeLimit PartitionTimeLimit QOSNotAllowed JobHoldMaxRequeue "
    "AssocMaxCpuPerJobLimit AssocMaxNodePerJobLimit AssocMaxWallDurationPerJobLimit AssocMaxGRESPerJob "
    "QOSMaxCpuPerJobLimit QOSMaxGRESPerJob QOSMaxMemoryPerJob QOSMaxNodePerJobLimit "
    "QOSMaxWallDurationPerJobLimit QOSTimeLimit".split()
)
TIMEOUT_SECONDS = 60


class Unreachable(UserError):
    """SLURM does not answer."""


@dataclass(frozen=True)
class Element:
    """A job, or an element of an array, as SLURM has it."""

    job_id: str  # 12, or 12_3
    state: str
    reason: str = ""
    node: str = ""

    @property
    def active(self) -> bool:
        """Will it run, or is it running?"""
        return self.state not in ENDED

    @property
    def hopeless(self) -> bool:
        """Can it never start?"""
        return self.state == "PENDING" and self.reason in HOPELESS


Key = tuple[str, int]  # the job's name and the element's index (0 for a job that is no array)


def require() -> None:
    """Raise UserError where there is no SLURM."""
    absent = [name for name in ("sbatch", "srun", "squeue", "scancel", "scontrol") if shutil.which(name) is None]
    if absent:
        raise UserError(
            f"--cluster slurm: there is no {absent[0]} on this machine; use a login node, or --cluster local"
        )


def elements() -> dict[Key, Element]:
    """Every job of ours that SLURM remembers, minutes after its end included. Raises Unreachable."""
    text = _output(
        "squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%i|%T|%N|%r|%j"
    )
    found: dict[Key, Element] = {}
    for line in text.splitlines():
        job_id, state, node, reason, name = line.split("|", 4)
        if name.startswith(PREFIX):
            found[name, _index(job_id)] = Element(job_id, state, "" if reason == "None" else reason, node)
    return found


def ended_elements(job_ids: Iterable[str]) -> dict[str, Element]:
    """What `sacct` knows of jobs that `squeue` has forgotten, by id; {} where there is no accounting."""
    ids = sorted(set(job_ids))
    if not ids or shutil.which("sacct") is None:
        return {}
    try:
        text = _output("sacct", "-X", "-n", "-P", "-o", "JobID,State,NodeList", "-j", ",".join(ids))
    except Unreachable:
        return {}
    found = {}
    for line in text.splitlines():
        job_id, state, node = line.split("|")
        found[job_id] = Element(job_id, state.split()[0], "", node)  # "CANCELLED by 0"
    return found


def max_array() -> int:
    """How many elements an array may have."""
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", _output("scontrol", "show", "config"), flags=re.MULTILINE)
    return int(match[1]) if match else 1001


def check_partition(name: str, minutes: int) -> None:
    """Refuse a partition that is not there, or whose time limit is below this. Raises UserError."""
    limits = dict(line.split("|") for line in _output("sinfo", "--noheader", "--format=%P|%l").splitlines())
    default = next((key for key in limits if key.endswith("*")), "")
    limits = {key.rstrip("*"): value for key, value in limits.items()}
    if name and (unknown := [part for part in name.split(",") if part not in limits]):
        raise UserError(f"--partition {name}: there is no {unknown[0]}; there are: {', '.join(limits)}")
    for part in name.split(",") if name else filter(None, [default.rstrip("*")]):
        if (allowed := _minutes(limits[part])) is not None and minutes > allowed:
            raise UserError(f"--time: partition {part} allows {limits[part]} at most ({minutes} minutes were asked)")


def cancel(ids: Iterable[str], *, name: str = "") -> None:
    """Cancel jobs or elements by id, or all of one name."""
    if name:
        _output("scancel", f"--user={os.getuid()}", f"--name={name}")
    ids = list(ids)
    for start in range(0, len(ids), 100):
        _output("scancel", *ids[start : start + 100])


def state_of(job_id: str) -> str:
    """The state of one job; empty where SLURM does not know or does not answer."""
    try:
        return _output("squeue", "--noheader", "--array", "--states=all", f"--jobs={job_id}", "--format=%T").strip()
    except Unreachable:
        return ""


@contextmanager
def submitter_environment() -> Iterator[None]:
    """The environment to submit from: inside a SLURM job, without that job's variables, but with SLURM_CONF."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    import submitit  # only now: whoever merely looks at states waits for its import too

    conf = os.environ.get("SLURM_CONF")
    with submitit.helpers.clean_env():
        if conf is not None:
            os.environ["SLURM_CONF"] = conf
        yield


def _index(job_id: str) -> int:
    _, _, index = job_id.partition("_")
    return int(index) if index.isdigit() else 0


def _minutes(limit: str) -> int | None:
    """Minutes of a limit as sinfo prints it ([D-][HH:]MM:SS, infinite)."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if not match:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + minutes


def _output(*command: str) -> str:
    # a person's SQUEUE_FORMAT and the like would change what is printed
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SQUEUE_", "SINFO_", "SACCT_", "SCANCEL_"))}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"{command[0]} did not answer: {error}") from None
    if done.returncode != 0:
        raise Unreachable(f"{command[0]} failed: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
    return done.stdout
