"""For all tests: what the harness keeps of data it has read lies in a folder of the session, not in the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from results.launch.run.environment import vector_variables

os.environ.update(vector_variables())  # before NumPy is imported: tests compute as jobs do
from methods import custom
from methods.registry import METHODS
from tests.unregister import forget, forget_data_sets


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A fresh cache, unless the caller names one."""
    if "ZSS_CACHE" in os.environ:
        yield
        return
    os.environ["ZSS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ["ZSS_CACHE"]


@pytest.fixture(scope="module", autouse=True)
def registries_as_they_were() -> Iterator[None]:
    """A module's custom methods and data sets are gone when it ends: what `all` means depends on no order of tests.

    Fixtures of a module end before this one, which began before them.
    """
    methods, loaded = set(METHODS), set(custom.LOADED)
    yield
    if set(METHODS) != methods or set(custom.LOADED) != loaded:
        forget(methods, loaded)
    forget_data_sets()


@pytest.fixture
def fast_kernels() -> Iterator[None]:
    """As on a GPU: under deterministic algorithms torch takes other ways to resize, which no pretended device has."""
    torch = pytest.importorskip("torch")
    kept = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    yield
    torch.use_deterministic_algorithms(kept)
