"""The sentences that class names are put into, by name. No torch here.

Which of them are used is part of the protocol (its `queries`), so other templates are another protocol. With the class
names of a benchmark they reproduce the text files of the released ZegCLIP: `voc12_single` is "single" on VOC's names,
`coco_multi` and `context_multi` are "multi" on those of COCO-Stuff and PASCAL Context.
"""

from __future__ import annotations

from typing import Final

from benchmarks.imagenet_templates import IMAGENET
from benchmarks.shapes.captions import TEMPLATES as SHAPES
from splits.errors import UserError
from splits.near import suggestion

_SIZES = ("", "small ", "medium ", "large ")

TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "shapes": SHAPES,
    "single": ("a photo of a {}",),  # as released, without a full stop
    "multi": (
        *(f"a photo of a {size}{{}}." for size in _SIZES),
        *(f"This is a photo of a {size}{{}}." for size in _SIZES),
        "a {} in the scene.",
        "a photo of a {} in the scene.",
        "There is a {} in the scene.",
        "There is the {} in the scene.",
        "This is a {} in the scene.",
        "This is the {} in the scene.",
        "This is one {} in the scene.",
    ),
    "imagenet-80": IMAGENET,
}


def templates(name: str) -> tuple[str, ...]:
    """The templates of a name; raises UserError naming those that exist.

    >>> len(templates("multi"))
    15
    """
    if name not in TEMPLATES:
        raise UserError(f"no templates are called {name!r}; {suggestion(name, TEMPLATES)}")
    return TEMPLATES[name]
