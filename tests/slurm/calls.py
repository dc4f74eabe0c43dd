"""The harness as people call it on a cluster, and what they see of its runs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from results.store.folders import find_records
from results.store.record import RunRecord

PROJECT = Path(__file__).resolve().parents[2]
SLURM = ("--cluster", "slurm", "--time", "15")


class Harness:
    """Calls the harness in the environment of a cluster."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.environment = {k: v for k, v in cluster.environment.items() if k != "ZSS_DATA_ROOT"}
        self.environment |= {"OMP_NUM_THREADS": "1"}

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROJECT / "harness.py"), *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=self.environment | environment)

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def submit(self, root: Path, *arguments: str) -> str:
        """Submit; the id of the (last) job."""
        done = self("run", *SLURM, *arguments, "--runs", root)
        assert done.returncode == 0, done.stderr
        return re.findall(r"^job (\d+):", done.stdout, flags=re.MULTILINE)[-1]

    def collect(self, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self("collect", *arguments, "--runs", root, "--interval", "1")

    @contextmanager
    def standing_still(self, root: Path) -> Iterator[int]:
        """Hold the run's process after some steps, so that what happens meanwhile happens in the midst of training."""
        self.cluster.wait_until(lambda: step_of(root) >= 8, f"{root} trains", 200)
        claim = max(root.glob("*/zegclip/*/claims/*.json"))
        pid = json.loads(claim.read_text())["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def told_to_stop(self, pid: int) -> None:
        """Wait until USR2 has come for a process that stands still (SLURM's own comes with CONT, and is obeyed)."""
        self.cluster.wait_until(lambda: not stands(pid) or signal.SIGUSR2 in pending(pid), "USR2 is sent", 90)


def records(root: Path) -> dict[str, RunRecord]:
    found = {}
    for record in find_records(root):
        assert isinstance(record, RunRecord), record
        found[f"{record.result.train.folder} {record.result.evaluation.key}"] = record
    return found


def step_of(root: Path) -> int:
    states = [path.read_text() for path in root.glob("*/*/*/state.json")]
    return max((int(m[1]) for text in states if (m := re.search(r'"step":(\d+)', text))), default=0)


def stands(pid: int) -> bool:
    """Is a process held by STOP?"""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    return False


def pending(pid: int) -> set[int]:
    """Signals sent to a process and not yet taken."""
    found = set()
    with contextlib.suppress(OSError):
        for mask in re.findall(r"^(?:SigPnd|ShdPnd):\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
            found |= {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}
    return found
