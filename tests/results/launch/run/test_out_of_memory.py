"""Memory that is not there: one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from results.launch.plan.request import Request  # noqa: E402
from results.launch.plan.runs import plan  # noqa: E402
from results.launch.run import make  # noqa: E402
from results.launch.run.out_of_memory import memory_words  # noqa: E402
from results.launch.run.worker import run_job  # noqa: E402
from tests.torture.trials import job_of  # noqa: E402

CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB of which 1.2 GiB is free. "
    "If reserved but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF"
)


@pytest.mark.parametrize(
    ("given", "trained", "said"),
    [
        ({}, False, "16 images at once (CUDA out of memory); --accumulate 2"),
        ({"accumulate": 2}, False, "8 images at once (CUDA out of memory); --accumulate 4"),
        ({"ranks": 2, "accumulate": 4}, False, "2 images at once (CUDA out of memory); --accumulate 8"),
        ({"accumulate": 16}, False, "smaller crop"),
        ({}, True, "while scoring (CUDA out of memory); give smaller windows"),
    ],
)
def test_it_says_what_fits_next(given: dict, trained: bool, said: str) -> None:
    """Fails when the advice cannot be followed: a K that does not cut the batch equally, or that is asked for already;
    or when a lack of memory while scoring is to be mended by training otherwise.
    """
    (run,) = plan(Request(("zegclip",), ("shapes-5i",), folds=(0,), **given))
    words = memory_words(torch.OutOfMemoryError(CUDA), run, trained=trained)
    assert said in words
    assert len(words.splitlines()) == 1


def test_a_cpus_words_are_known_too() -> None:
    """Fails when torch's error on a CPU ends in a stack trace; any other error is not for here."""
    (run,) = plan(Request(("zegclip",), ("shapes-5i",), folds=(0,)))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50, dtype=torch.uint8)
    assert "can't allocate memory" in memory_words(caught.value, run, trained=False)
    assert "--accumulate 2" in memory_words(MemoryError(), run, trained=False)
    assert memory_words(RuntimeError("shapes differ"), run, trained=False) == ""


def test_a_librarys_words_are_known_too() -> None:
    """Fails when the memory runs out just where cuBLAS makes its own, and that ends in a stack trace."""
    (run,) = plan(Request(("zegclip",), ("shapes-5i",), folds=(0,)))
    error = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    assert "CUBLAS_STATUS_ALLOC_FAILED" in memory_words(error, run, trained=False)
    error = RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED")
    assert "DEVICE_ALLOCATION_FAILED" in memory_words(error, run, trained=False)


def test_a_run_that_lacks_memory_ends_in_that_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a person reads a stack trace of torch's allocator in the place of what to do."""

    def lacking(*_: object) -> bool:
        raise torch.OutOfMemoryError(CUDA)

    job = job_of("zegclip", tmp_path)
    monkeypatch.setattr(make, "make_record", lacking)
    assert run_job(job) == "failed"
    folder = job.run.folder(tmp_path)
    assert "--accumulate" in folder.read_state()["reason"]
    assert not (folder.path / "error.txt").exists()
