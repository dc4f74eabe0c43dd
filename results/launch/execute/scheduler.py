"""Talking to SLURM: what it has of ours, what it allows, what can never start.

States come from `squeue`, which every cluster has; `sacct`, which many have not, is called only for jobs that
`squeue` has forgotten. Jobs are known by name: ids start again when a controller's state is wiped, names do not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
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
NAMES_AT_ONCE = 100
WHICH_CLUSTER = ("SLURM_CONF", "SLURM_CONF_SERVER")
OVERRULING = ("SBATCH_", "SLURM_", "SRUN_", "SALLOC_", "SQUEUE_", "SINFO_", "SACCT_", "SCANCEL_", "SCONTROL_")


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


Key = tuple[str, int]  # the job's name and the element's index
REST = -1  # the index of a record without one: of a job that is no array, or of an array's elements that never started


def require() -> None:
    """Raise UserError where there is no SLURM."""
    absent = [name for name in ("sbatch", "srun", "squeue", "scancel", "scontrol") if shutil.which(name) is None]
    if absent:
        raise UserError(
            f"--cluster slurm: there is no {absent[0]} on this machine; use a login node, or --cluster local"
        )


def is_here() -> bool:
    """Is there a SLURM that answers?"""
    try:
        require()
        _output("scontrol", "ping")
    except UserError:
        return False
    return True


def elements(names: Iterable[str]) -> dict[Key, Element]:
    """Every element of the jobs of these names that SLURM remembers, minutes after its end included, whoever submitted
    it. Raises Unreachable.
    """
    found: dict[Key, Element] = {}
    wanted = sorted(set(names))
    for start in range(0, len(wanted), NAMES_AT_ONCE):
        part = ",".join(wanted[start : start + NAMES_AT_ONCE])
        text = _squeue("--array", f"--name={part}", "--format=%i|%T|%N|%r|%j")
        for line in text.splitlines():
            job_id, state, node, reason, name = line.split("|", 4)
            for index in _indices(job_id) if state != "REVOKED" else ():  # it runs on another cluster of a federation
                found[name, index] = Element(job_id, state, "" if reason == "None" else reason, node)
    return found


def element_of(found: Mapping[Key, Element], name: str, index: int) -> Element | None:
    """An element by its own record, or by the one that stands for it."""
    return found.get((name, index)) or found.get((name, REST))


def hides_others() -> bool:
    """Does the site show each user only their own jobs?"""
    try:
        match = re.search(r"^PrivateData\s*=\s*(.*)$", _output("scontrol", "show", "config"), flags=re.MULTILINE)
    except Unreachable:
        return False
    return match is not None and "jobs" in match[1].split(",")


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
        base = job_id.partition("_")[0]
        for index in _indices(job_id):
            name = base if index == REST else f"{base}_{index}"
            found[name] = Element(name, state.split()[0], "", node)  # "CANCELLED by 0"
    return found


def max_array() -> int:
    """How many elements an array may have."""
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", _output("scontrol", "show", "config"), flags=re.MULTILINE)
    return int(match[1]) if match else 1001


def check_partition(name: str, minutes: int) -> None:
    """Refuse a partition that is not there, or whose time limit is below this. Raises UserError."""
    limits = dict(line.split("|") for line in _output("sinfo", "--all", "--noheader", "--format=%P|%l").splitlines())
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
        return _squeue("--array", f"--jobs={job_id}", "--format=%T").strip()
    except Unreachable:
        return ""


@contextmanager
def submitter_environment() -> Iterator[None]:
    """The environment to submit from: without variables that would overrule the script, or that are another job's.

    sbatch and srun take their options from SBATCH_*, SLURM_* and SRUN_* too. What says which cluster stays.
    """
    kept = {name: value for name, value in os.environ.items() if _overrules(name)}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def _overrules(name: str) -> bool:
    return name.startswith(OVERRULING) and name not in WHICH_CLUSTER


def _indices(job_id: str) -> list[int]:
    """The elements that a record of SLURM's stands for: one, several, or the rest.

    >>> _indices("12_3"), _indices("12_[1,4-6%2]"), _indices("12")
    ([3], [1, 4, 5, 6], [-1])
    """
    _, _, text = job_id.partition("_")
    if text.isdigit():
        return [int(text)]
    ranges = re.findall(r"(\d+)(?:-(\d+))?(?::(\d+))?", text.partition("%")[0])
    return [i for a, b, step in ranges for i in range(int(a), int(b or a) + 1, int(step or 1))] or [REST]


def _minutes(limit: str) -> int | None:
    """Minutes of a limit as sinfo prints it ([D-][HH:]MM:SS, infinite)."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if not match:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + minutes


def _squeue(*options: str) -> str:
    """What squeue prints; --all: of jobs in hidden partitions too, which it keeps even from who submitted them."""
    return _output("squeue", "--all", "--noheader", "--states=all", *options)


def _output(*command: str) -> str:
    # a person's SQUEUE_FORMAT would change what is printed, SLURM_CLUSTERS whom it is asked of
    environment = {name: value for name, value in os.environ.items() if not _overrules(name)}
    environment["SLURM_BITSTR_LEN"] = "0"  # a list of elements in brackets is cut after 64 letters otherwise
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"{command[0]} did not answer: {error}") from None
    if done.returncode != 0:
        raise Unreachable(f"{command[0]} failed: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
    return done.stdout
