"""The sentences of the shapes world: the tiny CLIP learnt from them, and every query uses them."""

from typing import Final

TEMPLATES: Final[tuple[str, ...]] = (
    "a photo of a {}.",
    "a picture of a {}.",
    "a drawing of a {}.",
    "an image of one {}.",
    "a {} on a light background.",
    "there is a {} in the scene.",
)
