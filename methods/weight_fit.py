"""What of a file of weights does not fit what is loaded, in one line of a length that a person reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

SHOWN = 3  # names of each kind in a message


@dataclass(frozen=True)
class Misfit:
    """Names of tensors that are missing, that nothing here is called, of another shape, or of other values."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()  # "name (3, 4) instead of (3, 5)", "name int8 instead of float32"
    differing: tuple[str, ...] = ()  # frozen tensors that are not those of the CLIP in use

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.misshapen or self.differing)

    def words(self) -> str:
        """How many of each kind there are, and the first of them.

        >>> Misfit(missing=("a", "b", "c", "d"), misshapen=("e (2,) instead of (3,)",)).words()
        '4 missing (a, b, c, ...), 1 of another shape or type (e (2,) instead of (3,))'
        """
        kinds = {
            "missing": self.missing,
            "unknown": self.extra,
            "of another shape or type": self.misshapen,
            "of other values than the CLIP in use": self.differing,
        }
        return ", ".join(f"{len(names)} {kind} ({listed(names)})" for kind, names in kinds.items() if names)


def misfit(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], *, lacking: Collection[str] = ()) -> Misfit:
    """What keeps `theirs` from being loaded into `ours`; `lacking`: names that files may leave out."""
    return Misfit(
        missing=tuple(sorted(ours.keys() - theirs.keys() - set(lacking))),
        extra=tuple(sorted(theirs.keys() - ours.keys())),
        misshapen=tuple(sorted(misshapen(ours, theirs))),
    )


def misshapen(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Iterable[str]:
    """Tensors that both have, of different shapes, with these; and whole numbers (of a quantised file) for floats."""
    for name in ours.keys() & theirs.keys():
        mine, other = ours[name], theirs[name]
        if mine.shape != other.shape:
            yield f"{name} {tuple(other.shape)} instead of {tuple(mine.shape)}"
        elif mine.is_floating_point() and not other.is_floating_point():
            yield f"{name} {type_of(other)} instead of {type_of(mine)}"


def type_of(tensor: Tensor) -> str:
    """Its type of number.

    >>> import torch
    >>> type_of(torch.zeros(1, dtype=torch.int8))
    'int8'
    """
    return str(tensor.dtype).removeprefix("torch.")


def listed(names: Collection[str], most: int = SHOWN) -> str:
    """The first names of some.

    >>> listed(("a", "b", "c", "d"))
    'a, b, c, ...'
    """
    return ", ".join(list(names)[:most]) + (", ..." if len(names) > most else "")
