"""Forks of a server that has imported everything: each is as a new process would be, and none is lost sight of."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
from results.launch.execute import processes
from results.launch.execute.processes import Forks, NewProcesses, processes_for

linux = pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux alone")


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """A server that has imported ZegCLIP."""
    folder = tmp_path_factory.mktemp("forks")
    found = processes_for(folder, jobs=2, threads=1, device="cpu", methods=["zegclip", "zegclip"])
    assert isinstance(found, Forks)
    yield found
    found._link.close()
    assert found._server.wait(30) == 0


def done(handle: processes.Handle, seconds: float = 120) -> None:
    """Wait for its end."""
    end = time.monotonic() + seconds
    while not handle.ended():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def look(path: str) -> None:
    """In the process: what it is like."""
    loaded, tasks = "methods.zegclip.zegclip" in sys.modules, len(os.listdir("/proc/self/task"))
    import numpy as np
    import torch

    began = time.process_time()
    numbers = {
        "loaded": loaded,
        "tasks": tasks,
        "cuda": torch.cuda.is_initialized(),
        "threads": torch.get_num_threads(),
        "variable": os.environ["OMP_NUM_THREADS"],
        "seed": torch.initial_seed(),
        "numpy": float(np.random.rand()),
        "python": random.random(),
        "processor": began,
        "input": os.read(0, 1).decode(),
        "child": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        "interrupt": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
    }
    torch.ones(300, 300, requires_grad=True).matmul(torch.ones(300, 300)).sum().backward()  # threads begin here
    Path(path).write_text(json.dumps(numbers))
    print("told")
    print("warned", file=sys.stderr)
    threading.Thread(target=lambda: (time.sleep(0.2), Path(path + ".late").write_text(""))).start()


@linux
def test_a_fork_is_as_a_new_process(forks: Forks, tmp_path: Path) -> None:
    """Fails when a fork shares a stream of random numbers, has another count of threads, starts on a used clock, has
    the caller's input, loses what it prints or a thread that is still at work; or when it has to import again.
    """
    new = NewProcesses(tmp_path, 1)
    handles = [submit(look, str(tmp_path / name)) for submit, name in ((forks.submit, "a"), (forks.submit, "b"))]
    handles.append(new.submit(look, str(tmp_path / "c")))
    for handle in handles:
        done(handle)
    one, other, fresh = (json.loads((tmp_path / name).read_text()) for name in "abc")
    assert all(told["interrupt"] and told["child"] and not told["cuda"] for told in (one, other, fresh))
    for name in ("threads", "variable", "input"):
        assert one[name] == fresh[name], name
    assert (one["threads"], one["input"], one["tasks"], one["loaded"]) == (1, "", 1, True)
    assert len({told["seed"] for told in (one, other, fresh)}) == 3
    assert one["numpy"] != other["numpy"]
    assert one["python"] != other["python"]
    assert one["processor"] < 1
    for handle, name in zip(handles, "abc", strict=True):
        assert "warned" in handle.log.read_text()
        assert "told" in handle.log.with_suffix(".out").read_text()
        assert (tmp_path / f"{name}.late").exists()


def sleep(path: str) -> None:
    """In the process: tell that it has begun, and wait to be stopped."""
    Path(path).write_text("")
    time.sleep(300)


def begun(path: Path) -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_fork_that_is_stopped_has_ended(forks: Forks, tmp_path: Path, number: signal.Signals) -> None:
    """Fails when the end of a killed fork is not seen, Ctrl-C ends it, or a signal after its end hits somebody else."""
    handle = forks.submit(sleep, str(tmp_path / "begun"))
    begun(tmp_path / "begun")
    handle.signal(signal.SIGINT)
    time.sleep(0.2)
    assert not handle.ended()
    handle.signal(number)
    done(handle)
    handle.signal(signal.SIGKILL)


def fail() -> None:
    """In the process: go wrong."""
    raise LookupError("gone wrong")


@linux
def test_what_goes_wrong_is_in_its_log(forks: Forks) -> None:
    """Fails when the stack trace of a job is lost, or its failure ends the server."""
    handle = forks.submit(fail)
    done(handle)
    assert "gone wrong" in handle.log.read_text()
    done(forks.submit(os.getpid))


@linux
def test_jobs_go_on_without_their_server(tmp_path: Path) -> None:
    """Fails when a server that is killed takes its forks along, or no further job is started; or when a server that
    cannot import what it is asked for leaves nothing but silence.
    """
    found = processes_for(tmp_path, jobs=2, threads=1, device="cpu", methods=[])
    first = found.submit(sleep, str(tmp_path / "first"))
    begun(tmp_path / "first")
    found._server.kill()
    found._server.wait()
    second = found.submit(sleep, str(tmp_path / "second"))
    begun(tmp_path / "second")
    assert not first.ended()
    for handle in (first, second):
        handle.signal(signal.SIGTERM)
        done(handle)
    assert "new1_log" in second.log.name


@pytest.mark.parametrize(("jobs", "device", "threads"), [(1, "cpu", 1), (8, "cuda", 1), (8, "cpu", 2)])
def test_what_would_not_survive_a_fork_gets_new_processes(tmp_path: Path, jobs: int, device: str, threads: int) -> None:
    """Fails when a fork could meet CUDA or threads that began before it, or a single job pays for a server."""
    found = processes_for(tmp_path, jobs=jobs, threads=threads, device=device, methods=["zegclip"])
    assert isinstance(found, NewProcesses)
