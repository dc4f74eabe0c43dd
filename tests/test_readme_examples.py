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


def test_the_untrained_example_passes_the_check() -> None:
    """Fails when the class that the page shows for a method that trains nothing is refused by `check`."""
    torch = pytest.importorskip("torch")
    from methods.check import check
    from methods.method import Method

    (block,) = re.findall(r"```python\n(class Smoothed.*?)```", PAGES, re.DOTALL)
    functions = torch.nn.functional
    known = {"torch": torch, "Method": Method, "normalize": functions.normalize, "avg_pool2d": functions.avg_pool2d}
    exec(block, known)
    assert "losses" in check(known["Smoothed"], trained=False)
