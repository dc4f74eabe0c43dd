"""When do class names of different data sets mean the same? Names as their sets have them, and what is written here.

A name matches, at the first of three steps that finds any class:

1. the same letters, digits and signs ("tv monitor", "TV/Monitor", "tvmonitor");
2. `SYNONYMS`: VOC's and PASCAL-Context's words against COCO's;
3. a class that is a kind of the other, as COCO-Stuff writes kinds ("wall-brick" of "wall", "sky-other" of "sky").

Classes of one list never match one another: a name that is in the list itself ends the search at step 1, so that
COCO-Stuff's "wall-brick" and "wall-concrete" stay two classes. "table" is no "dining table": COCO-Stuff has both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from splits.text import one_form

# Step 2. The VOC classes that COCO calls otherwise; all of VOC's are in COCO (Lin et al. 2014, section 3.1), each pair
# is ours to read off the two lists. PASCAL-Context has VOC's words. The last two: Context's word, COCO-Stuff's word.
SYNONYMS: Final = (
    ("aeroplane", "airplane"),
    ("motorbike", "motorcycle"),
    ("pottedplant", "potted plant"),
    ("diningtable", "dining table"),
    ("sofa", "couch"),
    ("tvmonitor", "tv", "television", "monitor"),
    ("sidewalk", "pavement"),
    ("shelves", "shelf"),
)


_DASH: Final = "[-\u2010-\u2015]"
_PARTING: Final = "_/\\.,;:'\"\u00b7"
# Unicode's categories of blanks, brackets, quotes, marks that join words, and what is not seen
_PARTING_KINDS: Final = frozenset({"Zs", "Zl", "Zp", "Ps", "Pe", "Pi", "Pf", "Pc", "Cc", "Cf"})


def plain(name: str) -> str:
    """A name in small letters without what only parts words: blanks, quotes, brackets, dashes and points.

    Signs that mean something stay: "A+" is no "A-", "1.5" no "15".

    >>> plain("TV/Monitor"), plain("dining-table"), plain("A-")
    ('tvmonitor', 'diningtable', 'a-')
    """
    text = re.sub(rf"{_DASH}+", "-", one_form(one_form(name).casefold()))
    text = re.sub(r"(?<=\w)-(?=\w)(?<!\d-(?=\d))|\s-\s", "", text)
    return "".join(sign for place, sign in enumerate(text) if not _parts(text, place))


def _parts(text: str, place: int) -> bool:
    """Does the sign at this place only part words?"""
    sign = text[place]
    if sign in ".,/" and text[place - 1 : place].isdecimal() and text[place + 1 : place + 2].isdecimal():
        return False
    return sign in _PARTING or unicodedata.category(sign) in _PARTING_KINDS


_FIRST: Final = {plain(word): plain(group[0]) for group in SYNONYMS for word in group}


def canonical(name: str) -> str:
    """The first of its synonyms, plain.

    >>> canonical("Airplane"), canonical("dog")
    ('aeroplane', 'dog')
    """
    return _FIRST.get(plain(name), plain(name))


def meant(words: Iterable[str], classes: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Those of `classes` (name -> every word for it) that mean what `words` say, in order.

    >>> meant(["couch"], {"sofa": ["sofa"], "chair": ["chair"]})
    ('sofa',)
    """
    words = tuple(words)
    for same in (_same_letters, _synonyms, _kind):
        found = [name for name, terms in classes.items() if any(same(a, t) for a in words for t in terms)]
        if found:
            return tuple(found)
    return ()


def _same_letters(a: str, b: str) -> bool:
    return plain(a) == plain(b)


def _synonyms(a: str, b: str) -> bool:
    return canonical(a) == canonical(b)


def _kind(a: str, b: str) -> bool:
    """Is one of them a kind of the other?"""
    parted = ((kind.partition("-"), whole) for kind, whole in ((a, b), (b, a)))
    return any(bool(more) and canonical(first) == canonical(whole) for (first, _, more), whole in parted)
