"""A made-up benchmark and registry, so that the expected tables do not move with the real ones."""

from __future__ import annotations

import pytest

from methods.registry import MethodEntry
from splits.errors import UserError
from tests.results import factory


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`toy-2i` has two folds, `toy-one` one; the registry knows `zeta` and `alpha`, in this order."""
    known = {"toy-2i": factory.split(), "toy-one": factory.split("toy-one", folds=1, note="")}

    def load_split(name: str):
        if name not in known:
            raise UserError(f"unknown benchmark {name!r}; there are: {', '.join(known)}")
        return known[name]

    def entry(fidelity: str) -> MethodEntry:
        return MethodEntry(title="", config="", builder="", fidelity=fidelity, needs="nothing")

    methods = {"zeta": entry("exact"), "alpha": entry("our reading")}
    monkeypatch.setattr("results.tables.content.load_split", load_split)
    monkeypatch.setattr("results.tables.content.METHODS", methods)
    monkeypatch.setattr("results.tables.notes.METHODS", methods)
    monkeypatch.setattr("results.tables.stale_rows.METHODS", methods)
