"""What accumulated gradients leave otherwise than whole batches would: a line under the tables of such runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from methods.registry import METHODS, config_class
from results.store.record import RunRecord


def apart_of(method: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What a method with these settings, those off their defaults, makes of each micro-batch alone; in words."""
    if method not in METHODS:
        return ("what is not known: the method is not here",)
    try:
        config = config_class(method).model_validate(dict(settings))
    except ValidationError:
        return ("what is not known: the method has other settings by now",)
    return METHODS[method].averaging(config).apart


def accumulated(records: Iterable[RunRecord]) -> Iterator[str]:
    """One line where gradients were accumulated: for each row, whether they are those of its whole batches."""
    groups: dict[str, set[str]] = {}
    for record in records:
        train = record.result.train
        if train.recipe.accumulate > 1:
            apart = apart_of(train.method, train.config)
            words = f"of each micro-batch alone: {'; '.join(apart)}" if apart else "gradients of the whole batch"
            groups.setdefault(words, set()).add(record.result.label)
    if groups:
        each = "; ".join(f"{', '.join(sorted(labels))}: {words}" for words, labels in sorted(groups.items()))
        yield f"Accumulated over micro-batches, dropout drawn for each: {each}."
