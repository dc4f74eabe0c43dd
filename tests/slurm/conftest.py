"""One throw-away cluster for all tests of this folder; they are skipped, with the reason, where there can be none."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


def _throwaway() -> ModuleType:
    """The bring-up beside this file (tests are no package)."""
    spec = importlib.util.spec_from_file_location("throwaway_slurm", Path(__file__).with_name("throwaway.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A running SLURM of three nodes."""
    throwaway = _throwaway()
    if reason := throwaway.missing():
        pytest.skip(reason)
    with throwaway.Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running
