"""What a method returns is of the interface's shape, or refused with the line of its file."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from benchmarks.protocol import Inference
from benchmarks.scoring.activation import activated_columns, activated_planes
from benchmarks.scoring.planes import views
from methods.method import Method, Vocabulary
from methods.returned import grouped_parameters, named_losses, place_of, scores_of, seen_shift_of
from splits.errors import UserError

HERE = re.escape(__file__)


class Wrong(Method):
    """Returns whatever it is made with."""

    def __init__(self, value: object = None) -> None:
        super().__init__()
        self.value = value

    def losses(self, images, labels, *, progress):
        return self.value

    def scores(self, images, vocabulary):
        return self.value

    def activate(self, scores, seen):
        return self.value(scores)

    def parameter_groups(self):
        return self.value


def test_losses_are_named_scalars():
    """Fails when a step with something else for losses ends in the words of a library, or is added up anyhow."""
    scalar = torch.zeros((), requires_grad=True)
    assert named_losses(Wrong(), {"a": scalar, "b": torch.ones(())}, trained=True).keys() == {"a", "b"}
    assert named_losses(Wrong(), {}, trained=True) == {}
    assert named_losses(Wrong(), {"a": torch.zeros(())}, trained=False)
    for value, words in [
        (None, "what losses returned is None; expected a dict"),
        (scalar, r"is float32 of shape \(\); expected a dict"),
        ({"a": 3.0}, "the loss a is of type float; expected a scalar tensor"),
        ({"a": torch.zeros(2)}, r"the loss a is float32 of shape \(2,\)"),
        ({"a": torch.zeros(())}, "no loss has a gradient"),
    ]:
        with pytest.raises(UserError, match=rf"^{HERE} line \d+: .*{words}"):
            named_losses(Wrong(), value, trained=True)


@pytest.mark.parametrize("groups", [None, iter(()), [torch.zeros(1)], [{"lr_scale": 1.0}]])
def test_parameter_groups_are_dicts(groups):
    """Fails when a list of bare parameters ends in the words of a library."""
    with pytest.raises(UserError, match=rf"^{HERE} line \d+: what parameter_groups returned is"):
        grouped_parameters(Wrong(groups))


@pytest.mark.parametrize(
    "shape", [(2, 4, 3, 3), (2, 6, 3, 3), (4, 5, 3, 3), (1, 5, 3, 3), (2, 3, 3, 5), (5, 3, 3), (2, 5, 3, 0)]
)
def test_scores_of_another_shape_are_refused(shape):
    """Fails when scores of a class too many or a picture too many are cut to fit, and become a number in a table."""
    with pytest.raises(UserError, match=r"scores of 2 pictures and 5 classes are float32 of shape .*\(2, 5, h, w\)"):
        scores_of(Wrong(), torch.zeros(shape), 2, 5)


@pytest.mark.parametrize("value", [None, (), np.zeros((2, 5, 3, 3)), torch.zeros(2, 5, 3, 3).long()])
def test_scores_that_are_no_floating_points_are_refused(value):
    """Fails when whole numbers, arrays or nothing end in the words of a library."""
    with pytest.raises(UserError, match="expected floating-point numbers of shape"):
        scores_of(Wrong(), value, 2, 5)


def test_a_picture_is_asked_about_through_this_door():
    """Fails when the pass over a benchmark does not look at the shape of what a method says."""
    vocabulary = Vocabulary(("a", "b"), (True, False), ("a", "b"), ("{}",))
    picture = np.zeros((8, 8, 3), np.uint8)
    assert views(Wrong(torch.zeros(1, 2, 2, 2)), picture, vocabulary, Inference(short_side=8)).grids[0].shape[1] == 2
    with pytest.raises(UserError, match=r"scores of 1 picture and 2 classes are float32 of shape \(1, 3, 2, 2\)"):
        views(Wrong(torch.zeros(1, 3, 2, 2)), picture, vocabulary, Inference(short_side=8))


@pytest.mark.parametrize("spoil", [lambda _: None, lambda scores: scores[:, :, :1], lambda scores: scores.sum()])
def test_activate_keeps_the_shape(spoil):
    """Fails when what `activate` lost is filled up by broadcasting."""
    scores, seen = torch.zeros(1, 2, 4, 4), torch.tensor([True, False])
    with pytest.raises(UserError, match=rf"^{HERE} line \d+: what activate makes"):
        activated_planes(Wrong(spoil), scores, seen)
    with pytest.raises(UserError, match=rf"^{HERE} line \d+: what activate makes"):
        activated_columns(Wrong(spoil), scores.reshape(16, 2), seen)


@pytest.mark.parametrize("value", ["0.5", None, float("nan"), float("inf")])
def test_shifts_are_finite_numbers(value):
    """Fails when a shift that is none ends in the words of a library, or in NaN."""
    method = Wrong()
    method.seen_shift = value
    with pytest.raises(UserError, match=r"seen_shift is .*; expected a finite number"):
        seen_shift_of(method)
    assert seen_shift_of(Wrong()) == (Method.seen_shift, Method.shift_span)


def test_the_harness_own_methods_have_no_place():
    """Fails when a message about a method of the harness sends its reader into the harness's files."""
    assert place_of(Method(), "losses") == ""
