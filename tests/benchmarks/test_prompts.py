"""Class names are compared as CLIP's tokenizer reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.catalogue import BENCHMARKS
from benchmarks.prompts import check_names, pieces
from benchmarks.templates import TEMPLATES, templates
from splits.errors import UserError

ONE = ("a photo of a {}",)
LONG = "the animal that stands " * 25
NAMES = st.text(st.sampled_from("abcAB  é1_-'&;.\u00a0\ufb01ü"), max_size=9)


@pytest.fixture(scope="module")
def tokenizer():
    return pytest.importorskip("open_clip").SimpleTokenizer()


@settings(max_examples=300, deadline=None)
@given(NAMES, NAMES)
def test_pieces_are_equal_where_the_tokens_are(tokenizer, one, other):
    """Fails when two names with the same tokens are called different, or two with other tokens alike."""
    assert (pieces(one) == pieces(other)) == (tokenizer.encode(one) == tokenizer.encode(other))


@pytest.mark.parametrize(
    "names",
    [
        ("Crane", "cow", "crane "),
        ("dog", "Dog"),
        ("wall-brick", "wall - brick"),
        ("tom &amp; jerry", "Tom & Jerry"),
        ("ｄog", "dog"),  # full width
        (f"{LONG}cow", f"{LONG}dog"),
    ],
)
def test_names_that_are_one_to_clip(names):
    """Fails when two classes get one prompt, so that one of them is never predicted, without a word."""
    with pytest.raises(UserError, match="alike") as caught:
        check_names(names, ONE, "farm.toml")
    assert str(caught.value).startswith("farm.toml: ")
    assert all(repr(name)[-5:-1] in str(caught.value) for name in (names[0], names[-1]))


@pytest.mark.parametrize("name", ["", " ", "\u00a0", "&nbsp;"])
def test_empty_names(name):
    """Fails when a class has no word."""
    with pytest.raises(UserError, match="empty to CLIP"):
        check_names(("cow", name), ONE, "farm.toml")


def test_no_name():
    """Fails when a list without names, of classes or of a class's words, is a stack trace."""
    with pytest.raises(UserError, match=r"^farm\.toml: expected a name for CLIP, got none$"):
        check_names((), ONE, "farm.toml")


def test_what_is_worth_knowing():
    """Fails when a prompt that CLIP cuts, or an underscore, passes unseen; or a plain name is remarked on."""
    cut, lines = check_names((f"cow {LONG}", "traffic_light", "wall-brick"), ONE, "farm.toml")
    assert "75 tokens" in cut
    assert "'traffic_light'" in lines
    assert check_names(("cow", "traffic light", "wall-brick", "internationalization"), ONE, "farm.toml") == ()


@pytest.mark.parametrize("name", ['["cow"', "cow;", "cow\u200b", "co\u00adw", "\u201ccow\u201d"])
def test_signs_that_came_along(name):
    """Fails when what parts names elsewhere, or is not seen, is asked as a token of its own without a word."""
    (line,) = check_names((name, "dog"), ONE, "farm.toml")
    assert repr(name) in line
    assert check_names(("cow\ufeff", "dog (pet), small", "cow's calf", "A+"), ONE, "farm.toml") == ()


def test_cut_within_a_word():
    """Fails when the tokens of long words are not counted, only words are: 40 words of two tokens are 80."""
    word = "antidisestablishmentarianism"
    (line,) = check_names((f"{word} " * 20, "cow"), ONE, "farm.toml")
    assert "are cut" in line


def test_templates_that_are_one_to_clip():
    """Fails when one template counts twice in the mean of prompts."""
    with pytest.raises(UserError, match="templates"):
        check_names(("cow", "dog"), ("a photo of a {}", "A photo of a {} "), "mine")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_shipped_names_differ(name):
    """Fails when two classes, or two templates, of a shipped benchmark are one to CLIP."""
    bench = BENCHMARKS[name]
    for sentences in (templates(bench.templates), *TEMPLATES.values()):
        assert check_names(bench.split.classes, sentences, name) == ()
