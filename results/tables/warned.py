"""What records say of their data and inputs, under every table of their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from results.store.record import Result


def warned(results: Iterable[Result]) -> Iterator[str]:
    """Each warning once, and whose it is if not all have it."""
    rows: dict[str, set[str]] = {}
    labels = set()
    for result in results:
        labels.add(result.label)
        for line in result.warnings:
            rows.setdefault(line, set()).add(result.label)
    for line, of in rows.items():
        whose = "" if of == labels else f", {', '.join(sorted(of))}"
        yield f"Warning{whose}: {line}."
