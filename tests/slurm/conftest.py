"""One throw-away cluster for all tests of this folder; they are skipped, with the reason, where there can be none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm import throwaway
from tests.slurm.calls import Harness


@pytest.fixture(scope="session")
def cluster() -> Iterator[throwaway.Cluster]:
    """A running SLURM of three nodes, in a folder that other users may enter too."""
    if reason := throwaway.missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="zss-slurm-") as folder, throwaway.Cluster(Path(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def harness(cluster: throwaway.Cluster) -> Harness:
    """The harness on that cluster."""
    return Harness(cluster)
