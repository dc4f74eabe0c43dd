"""Leaving things as they were, for tests that load custom methods."""

from __future__ import annotations

import sys
from collections.abc import Container

from methods import custom
from methods.registry import METHODS
from results.store import provenance


def forget(known: Container[str], loaded: Container[str]) -> None:
    """Forget methods and modules but for these; what was worked out of their sources goes too."""
    for name in [name for name in METHODS if name not in known]:
        del METHODS[name]
    for module in [module for module in custom.LOADED if module not in loaded]:
        del custom.LOADED[module]
        sys.modules.pop(module, None)
    provenance.sources_sha256.cache_clear()
