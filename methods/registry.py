"""The methods, by name. No torch here, so that planning and listing stay fast.

A built-in method is a folder with its code, its config and the entries of its variants, and one line in METHODS; see
docs/adding-a-method.md. `methods.custom` adds the entries of custom methods.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from methods.cascade_clip import cascade_clip_entries
from methods.chimera import chimera_entries
from methods.distillation import distillation_entries
from methods.method_entry import MethodEntry
from methods.otseg import otseg_entries
from methods.training_free import training_free_entries
from methods.zegclip import zegclip_entries
from splits.near import suggestion

if TYPE_CHECKING:
    from methods.clip import Clip
    from methods.config import MethodConfig
    from methods.method import Method, Vocabulary

__all__ = ["METHODS", "MethodEntry", "build_method", "config_class", "entry"]

LISTED_BY: Final = "`list methods` names all"
METHODS: dict[str, MethodEntry] = {  # in the order of lists and tables
    **training_free_entries.FLOORS,
    **zegclip_entries.ENTRIES,
    **distillation_entries.ENTRIES,
    **chimera_entries.ENTRIES,
    **training_free_entries.READOUTS,
    **cascade_clip_entries.ENTRIES,
    **otseg_entries.ENTRIES,
}


def entry(name: str) -> MethodEntry:
    """The entry of a method; raises ValueError naming the ones that exist."""
    if name not in METHODS:
        raise ValueError(f"no method is called {name!r}; {suggestion(name, METHODS, listed_by=LISTED_BY)}")
    return METHODS[name]


def config_class(name: str) -> type[MethodConfig]:
    """The config model of a method."""
    return _imported(entry(name).config)


def build_method(name: str, *, clip: Clip | None, vocabulary: Vocabulary, config: MethodConfig) -> Method:
    """Build a method for a training vocabulary (in the inductive setting: the seen classes alone)."""
    return _imported(entry(name).builder)(clip=clip, vocabulary=vocabulary, config=config)


def _imported(target: str) -> Any:
    module, attribute = target.split(":")
    return getattr(import_module(module), attribute)
