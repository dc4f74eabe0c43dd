"""Examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FILES = [path for room in ("benchmarks", "methods", "results", "splits") for path in (PROJECT / room).rglob("*.py")]
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in FILES if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_give_what_they_say(module: str) -> None:
    """Fails when an example in a docstring is no longer true."""
    ran = doctest.testmod(importlib.import_module(module))
    assert ran.attempted
    assert not ran.failed
