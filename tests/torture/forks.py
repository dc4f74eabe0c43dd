"""An executor whose jobs are forks of this process: the harness's own loop over a grid, without the price of starting.

It is one of `execute.processes`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from results.launch.run.job import Job
from tests.torture.trials import forked


class _Handle:
    def __init__(self, pid: int, log: Path):
        self._pid, self.log, self._code = pid, log, None

    def ended(self) -> bool:
        if self._code is None:
            done, status = os.waitpid(self._pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if done else None
        return self._code is not None

    def signal(self, number: signal.Signals) -> None:
        if not self.ended():
            os.kill(self._pid, number)


class Forks:
    """Takes `executor.submit(function, *arguments)`."""

    def __init__(self, folder: Path, jobs: Sequence[Job]):
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
