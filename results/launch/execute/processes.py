"""Local processes for jobs: forks of a server that has imported everything, or new ones where forks are no use.

A job of a grid on a CPU would spend seconds on imports. A GPU does not survive a fork that comes too late, and a long
run gains nothing; with several threads, NumPy's library begins them when it is imported. Such jobs get new processes.
Either kind outlives a harness that is killed.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from results.launch.run.environment import job_variables
from results.launch.run.fork_server import LENGTH, PID, READY

MODULE = "results.launch.run.fork_server"
Work = Callable[..., Any]


class Handle(Protocol):
    """A process at work."""

    log: Path  # what it wrote to its standard error

    def ended(self) -> bool:
        """Is it gone?"""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it is gone."""


class Processes(Protocol):
    """Starts processes."""

    def submit(self, work: Work, *arguments: Any) -> Handle:
        """One that calls a function, which is pickled by its name."""


def processes_for(folder: Path, *, jobs: int, threads: int, device: str, methods: Sequence[str]) -> Processes:
    """How so many jobs are started best; logs go to a new folder below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    logs = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=folder))
    new = NewProcesses(logs, threads)
    if sys.platform != "linux" or device != "cpu" or threads > 1 or jobs < 2:
        return new
    return Forks(logs, list(dict.fromkeys(methods)), new)


class NewProcesses:
    """Each job in an interpreter of its own."""

    def __init__(self, logs: Path, threads: int):
        self._logs, self._threads, self._count = logs, threads, 0

    def submit(self, work: Work, *arguments: Any) -> Handle:
        """See `Processes`."""
        self._count += 1
        out, err = _log_files(self._logs, f"new{self._count}")
        with open(out, "ab") as told, open(err, "ab") as warned, tempfile.TemporaryFile() as content:
            content.write(pickle.dumps((work, arguments)))
            content.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", MODULE], stdin=content, stdout=told, stderr=warned, env=_env(self._threads)
            )
        return _New(process, err)


class Forks:
    """Each job in a fork of one server, which is started with the first; new processes where it cannot be."""

    def __init__(self, logs: Path, methods: list[str], instead: NewProcesses):
        self._logs, self._count, self._instead = logs, 0, instead
        self._link, theirs = socket.socketpair()
        command = [sys.executable, "-u", "-m", MODULE, str(theirs.fileno()), *methods]
        out, err = _log_files(logs, "server")
        with theirs, open(out, "ab") as told, open(err, "ab") as warned:
            self._server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=warned,
                pass_fds=[theirs.fileno()],
                env=_env(1),
            )
        self._ready: bool | None = None  # not known yet

    def submit(self, work: Work, *arguments: Any) -> Handle:
        """See `Processes`."""
        if self._ready is None:
            self._ready = self._link.recv(1) == READY  # or its end
        if self._ready and (handle := self._forked(pickle.dumps((work, arguments)))):
            return handle
        self._ready = False
        return self._instead.submit(work, *arguments)

    def _forked(self, content: bytes) -> Handle | None:
        """A fork at work; None where the server is gone."""
        self._count += 1
        out, err = _log_files(self._logs, f"fork{self._count}")
        ours, theirs = os.pipe()
        with open(out, "ab") as told, open(err, "ab") as warned:
            handles = [theirs, told.fileno(), warned.fileno()]
            try:
                socket.send_fds(self._link, [LENGTH.pack(len(content))], handles)
                self._link.sendall(content)
            except OSError:
                os.close(ours)
                return None
            finally:
                os.close(theirs)
        told_pid = os.read(ours, PID.size)  # at once, or the end where it could not fork
        if len(told_pid) < PID.size:
            os.close(ours)
            return None
        return _Fork(PID.unpack(told_pid)[0], ours, err)

    def __del__(self) -> None:
        self._link.close()  # the server ends; its children go on


class _New:
    def __init__(self, process: subprocess.Popen[bytes], log: Path):
        self._process, self.log = process, log

    def ended(self) -> bool:
        return self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        if not self.ended():
            self._process.send_signal(number)


class _Fork:
    """Its pipe is read to its end when it has ended: no process id tells that for sure."""

    def __init__(self, pid: int, life: int, log: Path):
        os.set_blocking(life, False)
        self._pid, self._life, self.log = pid, life, log
        self._ended = False

    def ended(self) -> bool:
        if not self._ended:
            with suppress(BlockingIOError):
                self._ended = os.read(self._life, 1) == b""
                os.close(self._life)
        return self._ended

    def signal(self, number: signal.Signals) -> None:
        if not self.ended():
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)


def _log_files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}_log.out", folder / f"{name}_log.err"


def _env(threads: int) -> dict[str, str]:
    return os.environ | job_variables(threads)
