"""The examples in docs of a method and of a data set are the tested files, letter by letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGES = "\n".join(
    (HERE.parent / "docs" / f"your-{name}.md").read_text(encoding="utf-8") for name in ("method", "data-set")
)


@pytest.mark.parametrize(
    ("language", "sign", "file"), [("python", "METHODS = {", "adapter.py"), ("toml", "masks =", "farm.toml")]
)
def test_an_example_shown_is_the_tested_file(language: str, sign: str, file: str) -> None:
    """Fails when a page shows another text than the one that is run by the tests."""
    shown = [block for block in re.findall(rf"```{language}\n(.*?)```", PAGES, re.DOTALL) if sign in block]
    assert shown
    assert all(block == (HERE / "examples" / file).read_text(encoding="utf-8") for block in shown)
