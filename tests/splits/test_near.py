"""Names that are not there: what was probably meant."""

from __future__ import annotations

import pytest

from methods.registry import METHODS
from splits.near import LISTED, SUGGESTED, near, suggestion


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_is_found_by_one_slip(name: str) -> None:
    """Fails when a letter left out, doubled, or in another case makes a method's name unknowable."""
    for slip in (name[:1] + name[2:], name + name[-1], name.upper(), name.replace("-", "_"), name.replace("-", " ")):
        same = slip.replace("-", "") in {other.replace("-", "") for other in METHODS}  # sc-clip less a c is sclip
        if not same:
            assert name in near(slip, METHODS), slip


def test_what_is_unlike_everything_is_not_guessed() -> None:
    """Fails when a suggestion is made at any price: it would be nonsense."""
    assert near("mine", ["pascal-5i", "coco-20i"]) == []
    assert near("", ["a"]) == []
    assert "did you mean" not in suggestion("mine", ["pascal-5i"])


def test_long_lists_are_not_printed() -> None:
    """Fails when a slip is answered with dozens of names, or a short list is kept from the reader."""
    many = [f"name{i:03d}" for i in range(LISTED + 1)]
    assert suggestion("name001x", many, listed_by="`list` names all").count("name") == SUGGESTED + 1
    assert suggestion("valu", ["val", "tune"]) == "did you mean val? There are: val, tune"
    assert suggestion("a", []) == "there are none"
