"""An executor whose jobs are forks of this process: the harness's own loop over a grid, without the price of starting.

It has what `execute.local` uses of submitit's: submit, and handles with done, paths and the inner process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.torture.trials import forked


class _Paths:
    def __init__(self, stderr: Path):
        self.stderr = stderr


class _Inner:
    """What of a process is asked for where it is to be stopped."""

    def __init__(self, pid: int):
        self.pid, self.code = pid, None

    def poll(self) -> int | None:
        if self.code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if done else None
        return self.code

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


class _Handle:
    def __init__(self, pid: int, log: Path):
        self._process, self.paths = _Inner(pid), _Paths(log)

    def done(self) -> bool:
        return self._process.poll() is not None


class Forks:
    """Takes `executor.submit(function, *arguments)`."""

    def __init__(self, folder: Path):
        self.folder, self.count = folder, 0
        folder.mkdir(parents=True, exist_ok=True)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> _Handle:
        self.count += 1
        log = self.folder / f"fork-{os.getpid()}-{self.count}.txt"
        return _Handle(forked(lambda: work(*arguments), log), log)


@contextmanager
def fork_executor() -> Iterator[None]:
    """Within, `run_jobs` forks its jobs."""
    with mock.patch("results.launch.execute.local._executor", Forks):
        yield
