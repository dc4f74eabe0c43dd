"""What a method returns, held against the interface where the harness takes it: no number is made of another shape.

What is wrong is said with the place in the file of a method that is not the harness's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from methods.check_places import place_of_method
from methods.method import Method
from splits.errors import UserError


def named_losses(method: Method, losses: Any, *, trained: bool) -> dict[str, Tensor]:
    """The losses of a step. Raises UserError where they are no named scalars or, of what is trained, have no gradient.

    >>> named_losses(Method(), 3.0, trained=False)
    Traceback (most recent call last):
    splits.errors.UserError: what losses returned is of type float; expected a dict of names and scalar tensors
    """
    wrong = partial(_wrong, method, "losses")
    if not isinstance(losses, Mapping):
        raise wrong(f"what losses returned is {_what(losses)}; expected a dict of names and scalar tensors")
    for name, value in losses.items():
        if not isinstance(value, Tensor) or value.ndim:
            raise wrong(f"the loss {name} is {_what(value)}; expected a scalar tensor")
    if trained and losses and not any(value.requires_grad for value in losses.values()):
        raise wrong("no loss has a gradient; leave one out where nothing can be learned from a batch")
    return dict(losses)


def grouped_parameters(method: Method) -> list[dict]:
    """The method's `parameter_groups`. Raises UserError where they are no list of dicts with `params`."""
    groups: Any = method.parameter_groups()
    if not isinstance(groups, Sequence) or not all(isinstance(g, dict) and "params" in g for g in groups):
        words = f"what parameter_groups returned is {_what(groups)}; expected a list of dicts with `params`"
        raise _wrong(method, "parameter_groups", words)
    return list(groups)


def scores_of(method: Method, scores: Any, pictures: int, classes: int) -> Tensor:
    """Scores `(pictures, classes, h, w)`. Raises UserError for any other shape, and for what are no floating points."""
    fits = isinstance(scores, Tensor) and scores.ndim == 4 and scores.shape[:2] == (pictures, classes)
    if not fits or not scores.is_floating_point() or not scores.numel():
        asked = f"{pictures} picture{'s' if pictures > 1 else ''} and {classes} classes"
        expected = f"expected floating-point numbers of shape ({pictures}, {classes}, h, w)"
        raise _wrong(method, "scores", f"scores of {asked} are {_what(scores)}; {expected}")
    return scores


def activated(method: Method, scores: Tensor, seen: Tensor) -> Tensor:
    """What the method's `activate` makes of scores. Raises UserError for another shape than theirs."""
    made: Any = method.activate(scores, seen)
    if not isinstance(made, Tensor) or made.shape != scores.shape:
        words = (
            f"what activate makes of scores of shape {tuple(scores.shape)} is {_what(made)}; expected the same shape"
        )
        raise _wrong(method, "activate", words)
    return made


def seen_shift_of(method: Method) -> tuple[float, float]:
    """`seen_shift` and `shift_span`. Raises UserError where one is no finite number."""
    for name in ("seen_shift", "shift_span"):
        value = getattr(method, name)
        if isinstance(value, str) or not hasattr(value, "__float__") or not math.isfinite(value):
            raise _wrong(method, "__init__", f"{name} is {value!r}; expected a finite number")
    return method.seen_shift, method.shift_span


def place_of(method: Method, function: str) -> str:
    """`file line n: ` of a function of a method; empty for one of the harness's own."""
    if type(method).__module__.partition(".")[0] == "methods":
        return ""
    file, _, line = place_of_method(type(method), function).rpartition(":")
    return f"{file} line {line}: " if file else ""


def _wrong(method: Method, function: str, words: str) -> UserError:
    return UserError(f"{place_of(method, function)}{words}")


def _what(value: Any) -> str:
    """A returned value in words.

    >>> import torch
    >>> _what(torch.zeros(2, 3)), _what(torch.zeros(1).long()), _what(None), _what(3.0), _what([1, 2])
    ('float32 of shape (2, 3)', 'int64 of shape (1,)', 'None', 'of type float', 'of type list')
    """
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    return "None" if value is None else f"of type {type(value).__name__}"
