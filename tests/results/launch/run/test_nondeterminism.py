"""What torch says is not deterministic reaches the record."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from results.launch.run import scoring  # noqa: E402
from results.launch.run.nondeterminism import CUBLAS, named  # noqa: E402
from results.launch.run.training import set_up  # noqa: E402
from results.launch.run.worker import run_job  # noqa: E402
from tests.torture.trials import job_of  # noqa: E402

OPERATION = (
    "upsample_bilinear2d_backward_out_cuda does not have a deterministic implementation, but you set "
    "'torch.use_deterministic_algorithms(True, warn_only=True)'. You can file an issue."
)
WORKSPACE = (
    "Deterministic behavior was enabled with either `torch.use_deterministic_algorithms(True)` or\n"
    "`at::Context::setDeterministicAlgorithms(true)`, but this operation is not deterministic because it uses CuBLAS "
    "and you have CUDA >= 10.2."
)

ATTENTION = (
    "Memory Efficient attention defaults to a non-deterministic algorithm. To explicitly enable determinism call "
    "torch.use_deterministic_algorithms(True, warn_only=False)."
)


def test_operations_are_named_once_and_others_are_shown() -> None:
    """Fails when an operation is lost, named twice, or a warning of something else is swallowed."""
    with warnings.catch_warnings(record=True) as printed, named() as names:
        for _ in range(2):
            warnings.warn(OPERATION, stacklevel=1)
        warnings.warn(WORKSPACE, stacklevel=1)
        warnings.warn(ATTENTION, stacklevel=1)
        warnings.warn("the disk is slow", stacklevel=1)
    assert names == {"upsample_bilinear2d_backward_out_cuda", CUBLAS, "Memory Efficient attention"}
    assert [str(w.message) for w in printed] == ["the disk is slow"]


def test_torch_itself_words_it_so() -> None:
    """Fails when torch words its warning in another way than is looked for."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with named() as names:
            torch.empty(3).put_(torch.tensor([0]), torch.tensor([1.0]))
    finally:
        torch.use_deterministic_algorithms(False)
    assert names == {"put_"}


def test_what_torch_warns_of_once_is_named_in_every_run() -> None:
    """Fails when the second run of a process says nothing of attention, of which torch warns once in a process."""
    was = torch.is_warn_always_enabled()
    with named():
        assert torch.is_warn_always_enabled()
    assert torch.is_warn_always_enabled() == was


@pytest.mark.usefixtures("torch_as_it_was")
def test_a_gpu_is_set_up_for_what_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when every record of a GPU names cuBLAS for want of a variable, when a person's choice is lost, or when
    memory is filled at each step for nothing.
    """
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    filled = torch.utils.deterministic.fill_uninitialized_memory
    try:
        set_up("cuda", 1)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
        del os.environ["CUBLAS_WORKSPACE_CONFIG"]
        set_up("cuda", 1)
        assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"
        set_up("cpu", 1)
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = filled


def test_the_record_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a warning of a run does not reach its record."""
    evaluate = scoring.evaluate

    def warning(*arguments, **options):
        warnings.warn(OPERATION, stacklevel=1)
        return evaluate(*arguments, **options)

    monkeypatch.setattr(scoring, "evaluate", warning)
    job = job_of("constant", tmp_path, limit=2)
    assert run_job(job) == "done"
    record = job.run.folder(tmp_path).read_record(job.run.evaluation)
    assert record.provenance.scoring.nondeterministic == ("upsample_bilinear2d_backward_out_cuda",)
