"""What `list` prints."""

from __future__ import annotations

import pytest

from methods.registry import METHODS
from results.launch.plan.listing import list_methods


@pytest.mark.parametrize("width", [80, 140])
def test_methods_fit_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a line is wider than the terminal, or a method, or the word that runs its group, is missing."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = list_methods().splitlines()
    assert max(map(len, lines)) <= width
    begun = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert sorted(begun) == sorted(METHODS)
    assert {"--methods all", "--methods rivals", "--methods ablation:zegclip"} <= set(lines)
