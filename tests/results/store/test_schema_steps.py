"""Records of earlier schemas are read as today's."""

from __future__ import annotations

from results.store.record import SCHEMA
from results.store.schema_steps import STEPS, upgraded


def test_steps_are_taken_in_turn() -> None:
    """Fails if steps are left out, taken twice, or change what they are given."""
    old = {"schema_version": 1, "value": 1}
    steps = {1: lambda data: {**data, "second": data["value"] + 1}, 2: lambda data: {**data, "third": data["second"]}}
    assert upgraded(old, steps) == {"schema_version": 3, "value": 1, "second": 2, "third": 2}
    assert old == {"schema_version": 1, "value": 1}


def test_every_schema_leads_to_todays() -> None:
    """Fails when the version rises and nobody says how records of the version before are read."""
    assert list(STEPS) == list(range(1, SCHEMA))
