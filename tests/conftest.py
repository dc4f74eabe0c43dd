"""For all tests: what the harness keeps of data it has read lies in a folder of the session, not in the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A fresh cache, unless the caller names one."""
    if "ZSS_CACHE" in os.environ:
        yield
        return
    os.environ["ZSS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ["ZSS_CACHE"]
