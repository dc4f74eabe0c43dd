"""How many tokens CLIP's own tokenizer makes of a text. Apart from the models, so that asking needs no weights."""

from __future__ import annotations

from collections.abc import Sequence

import open_clip  # type: ignore[import-untyped]


def token_counts(texts: Sequence[str]) -> list[int]:
    """Tokens of each text, without those that mark its beginning and end."""
    tokenizer = open_clip.SimpleTokenizer()
    return [len(tokenizer.encode(text)) for text in texts]
