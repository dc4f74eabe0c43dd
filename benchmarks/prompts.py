"""Class names and templates as CLIP's tokenizer reads them: small letters, mended text, words, digits and signs.

Names that differ on paper may be one prompt to CLIP ("Crane", "crane "), and a prompt ends after 77 tokens whatever was
to follow. Imports no torch, but for prompts that are too long to count otherwise.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from splits.errors import UserError

CONTEXT: Final = 77  # tokens of a prompt, the marks of its beginning and end among them
ROOM: Final = CONTEXT - 2
SHOWN: Final = 60  # letters of a name in a message
QUOTING: Final = frozenset('"[]{}<>;|\u201c\u201d')  # of lists in JSON, Python or a shell that came along
PIECES: Final = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def pieces(text: str) -> tuple[str, ...]:
    """What CLIP's tokenizer splits a text into before it looks for tokens; equal pieces are equal tokens.

    Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", Section 2.4.

    >>> pieces("Tom&amp;Jerry  12")
    ('tom', '&', 'jerry', '1', '2')
    """
    import ftfy
    import regex  # both come with open_clip; too slow to import for those who name no class

    mended = html.unescape(html.unescape(ftfy.fix_text(text)))
    return tuple(regex.findall(PIECES, " ".join(mended.split()).lower(), regex.IGNORECASE))


def asked(classes: Sequence[str], words: Mapping[str, Sequence[str]]) -> list[str]:
    """Words that CLIP must tell apart: those of each class that has some of its own, the names of the others.

    >>> asked(["cow", "dog"], {"dog": ["hound", "puppy"]})
    ['cow', 'hound', 'puppy']
    """
    return [word for name in classes for word in words.get(name, (name,))]


def check_names(names: Sequence[str], templates: Sequence[str], source: str) -> tuple[str, ...]:
    """Raises UserError where a name is empty, or two names or two templates are one to CLIP; returns what to know.

    names: the words for each class. source: where they come from, for messages.
    """
    if not names:
        raise UserError(f"{source}: expected a name for CLIP, got none")
    if empty := [name for name in names if not pieces(name)]:
        raise UserError(f"{source}: the class name {empty[0]!r} is empty to CLIP; give it a word")
    prompts = {name: tuple(pieces(template.replace("{}", name)) for template in templates) for name in names}
    _differ({name: tuple(prompt[:ROOM] for prompt in rows) for name, rows in prompts.items()}, source, "class names")
    _differ(dict(zip(templates, zip(*prompts.values(), strict=True), strict=True)), source, "templates")
    remarks = []
    if cut := [name for name in names if _cut(name, prompts[name], templates)]:
        remarks.append(f"CLIP reads {ROOM} tokens and no more of the prompts of {_shown(cut)}: they are cut")
    if lines := [name for name in names if "_" in name]:
        remarks.append(f"CLIP reads the underscore as a sign of its own in {_shown(lines)}; write a blank for a blank")
    if strange := [name for name in names if any(letter in QUOTING or _unseen(letter) for letter in name)]:
        remarks.append(
            f"CLIP reads quotes, brackets and letters that are not seen as signs of their own in {_shown(strange)}; "
            "write the words alone"
        )
    return tuple(remarks)


def _unseen(letter: str) -> bool:
    """Is it a mark that nothing is printed for, as a blank of no width, and that CLIP reads? It drops some."""
    return unicodedata.category(letter) == "Cf" and bool(pieces(letter))


def _differ(rows: dict[str, tuple[tuple[str, ...], ...]], source: str, what: str) -> None:
    first: dict[tuple[tuple[str, ...], ...], str] = {}
    for text, row in rows.items():
        if (other := first.setdefault(row, text)) is not text:
            raise UserError(
                f"{source}: CLIP reads the {what} {_short(other)} and {_short(text)} alike, so that one of them would "
                "never be found; name them differently"
            )


def _cut(name: str, rows: Sequence[tuple[str, ...]], templates: Sequence[str]) -> bool:
    """Is a prompt longer than what CLIP reads? A token is a byte of a piece at least, a piece a token at least."""
    if any(len(row) > ROOM for row in rows):
        return True
    long = [t for t, row in zip(templates, rows, strict=True) if sum(len(piece.encode()) for piece in row) > ROOM]
    if not long:
        return False
    from methods.clip.tokens import token_counts

    return max(token_counts([template.replace("{}", name) for template in long])) > ROOM


def _short(name: str) -> str:
    return repr(name if len(name) <= SHOWN else f"{name[: SHOWN // 2]}...{name[-SHOWN // 2 :]}")


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(_short, names[:3])) + (", ..." if len(names) > 3 else "")
