"""Curves over training, drawn from records."""

from results.curves import mean_losses
from results.record import LossPoint
from tests.results.factory import record


def test_what_is_only_watched_is_no_loss() -> None:
    """Fails if a figure that a method logs beside its losses (a share, a similarity) is added to them."""
    points = (
        LossPoint(step=3, losses={"distillation": 2.0, "dice": 0.5, "watched picked_share": 0.9}),
        LossPoint(step=6, losses={"distillation": 1.0, "dice": 0.25, "watched picked_share": 0.8}),
    )
    made = record()
    made = made.model_copy(update={"result": made.result.model_copy(update={"losses": points})})
    assert mean_losses([made]) == ([3, 6], [2.5, 1.25])
