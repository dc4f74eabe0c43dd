"""What tests that make runs in their own process put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from methods import custom
from methods.registry import METHODS
from tests.unregister import forget


@contextmanager
def _torch_kept() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    kept = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(kept[0])
    torch.set_num_threads(kept[1])


@pytest.fixture
def torch_as_it_was() -> Iterator[None]:
    """A run in this process makes torch deterministic; other tests choose for themselves."""
    with _torch_kept():
        yield


@pytest.fixture(scope="module")
def torch_as_before_the_module() -> Iterator[None]:
    """The same for runs that the tests of a module share."""
    with _torch_kept():
        yield


@pytest.fixture
def forgotten(torch_as_it_was: None) -> Iterator[None]:
    """Methods that a test loads are forgotten after it; torch is as it was."""
    known, loaded = set(METHODS), set(custom.LOADED)
    yield
    forget(known, loaded)
