"""Leaving things as they were, for tests that load custom methods and data sets."""

from __future__ import annotations

import sys
from collections.abc import Container

from benchmarks.catalogue import BENCHMARKS
from benchmarks.data import datasets
from methods import custom
from methods.registry import METHODS
from results.launch.plan.custom import KNOWN
from results.store import provenance
from splits import loader


def forget(known: Container[str], loaded: Container[str]) -> None:
    """Forget methods and modules but for these; what was worked out of their sources goes too."""
    for name in [name for name in METHODS if name not in known]:
        del METHODS[name]
    for module in [module for module in custom.LOADED if module not in loaded]:
        del custom.LOADED[module]
        sys.modules.pop(module, None)
    provenance.sources_sha256.cache_clear()


def forget_data_sets() -> None:
    """Forget every custom data set, wherever it was made known."""
    for name in [name for name, known in BENCHMARKS.items() if known.custom]:
        dataset = f"own/{name}"
        for registry, key in (
            *((registry, name) for registry in (BENCHMARKS, loader.CUSTOM, KNOWN)),
            *((registry, dataset) for registry in (datasets._OPENERS, datasets.MASK_RULES)),
        ):
            registry.pop(key, None)
        datasets._ROOTLESS.discard(dataset)
