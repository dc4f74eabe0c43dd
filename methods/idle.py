"""Fields of a config that do nothing while other fields switch off what would read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from methods.config import MethodConfig


@dataclass(frozen=True)
class Idle:
    """`fields` do nothing while every field of `while_` has one of its values."""

    fields: tuple[str, ...]
    while_: Mapping[str, tuple[Any, ...]]

    def holds(self, config: MethodConfig) -> bool:
        """Under this config?"""
        return all(getattr(config, name) in values for name, values in self.while_.items())


def idle_fields(rules: Iterable[Idle], config: MethodConfig) -> dict[str, str]:
    """Each field that does nothing under a config, with the fields and values that switch it off."""
    held = [rule for rule in rules if rule.holds(config)]
    return {field: _words(rule, config) for rule in held for field in rule.fields}


def _words(rule: Idle, config: MethodConfig) -> str:
    values = config.model_dump(mode="json")
    return " and ".join(f"{name}={json.dumps(values[name])}" for name in rule.while_)
