"""A process that has imported what runs need, and forks a child for each of them: no run waits for imports again.

    python -m results.launch.run.fork_server SOCKET METHOD...    a server; `execute.processes` talks to it
    python -m results.launch.run.fork_server < WORK              one job in a process of its own, without a server

Nothing is computed before a fork: no thread has begun, no device was touched, no random number drawn. Only on Linux;
elsewhere libraries do not survive a fork.
"""

from __future__ import annotations

import array
import atexit
import gc
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import traceback
from importlib import import_module
from pathlib import Path
from typing import NoReturn

LENGTH = struct.Struct("!Q")  # before each pickle
PID = struct.Struct("!Q")
READY = b"+"
USUAL = ("results.launch.run.make", "benchmarks.training.faster_transforms")


def main(arguments: list[str]) -> int:
    """Serve until the other end of the socket is closed, or do one job; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who started us decides
    if not arguments:
        return _done(sys.stdin.buffer.read())
    link = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries children: a pipe says that they ended
    _preload(arguments[1:])
    link.sendall(READY)
    while (order := _order(link)) is not None:
        content, (life, out, err) = order
        if os.fork() == 0:
            link.close()
            _child(content, life, out, err)
        for handle in (life, out, err):
            os.close(handle)
    _end(0)


def _preload(methods: list[str]) -> None:
    """Import what runs of these methods import. Raises RuntimeError where a child could not live on it."""
    from methods.registry import METHODS

    for module in (*USUAL, *(METHODS[name].builder.partition(":")[0] for name in methods if name in METHODS)):
        import_module(module)
    torch = sys.modules["torch"]
    if torch.cuda.is_initialized() or len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("something has begun threads, or CUDA, when it was imported: a fork would not survive that")
    gc.collect()
    gc.freeze()  # a child's collector leaves pages alone that it shares


def _order(link: socket.socket) -> tuple[bytes, array.array[int]] | None:
    """The next job as a pickle, with the handles of its pipe and its logs; None where nobody will send one."""
    head, handles, _, _ = socket.recv_fds(link, LENGTH.size, 3)
    if not head:
        return None
    content = b""
    (size,) = LENGTH.unpack(head)
    while len(content) < size:
        if not (part := link.recv(size - len(content))):
            return None
        content += part
    return content, array.array("i", handles)


def _child(content: bytes, life: int, out: int, err: int) -> NoReturn:
    """A job in this new process. life: the pipe that is open for as long as it lives."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
        os.close(source)
    os.write(life, PID.pack(os.getpid()))
    os.set_inheritable(life, False)  # a process that it starts may live on
    sys.modules["numpy"].random.seed()  # as in a new process: else all runs would share streams unsaid
    sys.modules["torch"].default_generator.seed()
    _end(_done(content))


def _end(code: int) -> NoReturn:
    """End as an interpreter does, but for freeing what forks share."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _done(content: bytes) -> int:
    """Do the work: a function and its arguments."""
    try:
        work, arguments = pickle.loads(content)
        work(*arguments)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    sys.exit(main(sys.argv[1:]))
