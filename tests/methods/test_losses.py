"""Losses against slow, obvious NumPy versions, and their handling of label codes and ranks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods import losses
from methods.method import UNLABELLED, UNSEEN_EXTENT, VOID

CODES = (UNLABELLED, VOID, UNSEEN_EXTENT)


def drawn(seed, classes, b=2, h=5, w=4):
    rng = np.random.default_rng(seed)
    labels = rng.choice([*range(classes), *CODES], size=(b, h, w)).astype(np.uint8)
    return rng.normal(size=(b, classes, h, w)) * 3, labels


def slow_focal_and_dice(logits, labels, alpha, gamma, squares, left_out):
    """Pixel by pixel; the sums that the docstrings promise."""
    pairs = {(b, c) for b in range(len(labels)) for c in range(logits.shape[1]) if (labels[b] == c).any()}
    count, focal, dice = max(1, len(pairs)), 0.0, 0.0
    for b in range(logits.shape[0]):
        counted = [(i, j) for i, j in np.ndindex(*labels[b].shape) if not left_out or labels[b, i, j] < UNSEEN_EXTENT]
        for c in range(logits.shape[1]):
            total = overlap = predicted = area = 0.0
            for i, j in counted:
                p = 1 / (1 + np.exp(-logits[b, c, i, j]))
                truth = labels[b, i, j] == c
                p_true, weight = (p, alpha) if truth else (1 - p, 1 - alpha if alpha is not None else None)
                total += (1 if alpha is None else weight) * (1 - p_true) ** gamma * -np.log(p_true)
                overlap, area = overlap + p * truth, area + truth
                predicted += p * p if squares else p
            focal += total / max(1, len(counted))
            if (b, c) in pairs:
                dice += 1 - (2 * overlap + 1) / (predicted + area + 1)
    return focal / count, dice / count


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(1, 4),
    alpha=st.sampled_from([None, 0.25, 0.6]),
    gamma=st.sampled_from([0.0, 1.5, 2.0]),
    squares=st.booleans(),
    left_out=st.booleans(),
)
def test_focal_and_dice(seed, classes, alpha, gamma, squares, left_out):
    """Fails on another formula, another average, or another treatment of unlabelled pixels."""
    logits, labels = drawn(seed, classes)
    expected = slow_focal_and_dice(logits, labels, alpha, gamma, squares, left_out)
    x, y = torch.from_numpy(logits), torch.from_numpy(labels)
    count = losses.mask_count(losses.class_areas(y, classes))
    ignored = "left-out" if left_out else "negative"
    focal = losses.focal_loss(x, y, count, alpha=alpha, gamma=gamma, ignored=ignored)
    dice = losses.dice_loss(x, y, count, denominator="squares" if squares else "sum", ignored=ignored)
    assert focal.item() == pytest.approx(expected[0], rel=1e-9)
    assert dice.item() == pytest.approx(expected[1], rel=1e-9, abs=1e-12)


def test_large_logits_stay_finite():
    """Fails if a confident mistake overflows: the loss is then the logit itself."""
    logits = torch.tensor([[[[-200.0, 200.0]]]], requires_grad=True)
    labels = torch.tensor([[[0, UNLABELLED]]], dtype=torch.uint8)
    loss = losses.focal_loss(logits, labels, torch.tensor(1.0), alpha=0.25, gamma=2)
    loss.backward()
    assert loss.item() == pytest.approx(200 * (0.25 + 0.75) / 2)
    assert logits.grad.isfinite().all()


def test_nothing_labelled():
    """An image without a labelled pixel: no dice, every channel negative in the focal term, K = 1."""
    labels = torch.full((1, 4, 4), UNLABELLED, dtype=torch.uint8)
    logits = torch.zeros(1, 3, 4, 4, requires_grad=True)
    count = losses.mask_count(losses.class_areas(labels, 3))
    assert count == 1
    assert losses.dice_loss(logits, labels, count) == 0
    focal = losses.focal_loss(logits, labels, count, alpha=0.25, gamma=2)
    assert focal.item() == pytest.approx(3 * 0.75 * 0.25 * np.log(2), rel=1e-6)
    left_out = losses.focal_loss(logits, labels, count, alpha=0.25, gamma=2, ignored="left-out")
    assert left_out == losses.exclusive_loss(logits, labels) == 0
    (left_out + losses.exclusive_loss(logits, labels)).backward()
    assert not logits.grad.any()


def test_exclusive_loss():
    """Softmax cross-entropy over labelled pixels alone; fails if a code counts as a class or in the mean."""
    logits, labels = drawn(3, 4)
    x = torch.from_numpy(logits)
    chosen = [
        -torch.log_softmax(x[b, :, i, j], 0)[labels[b, i, j]]
        for b, i, j in np.ndindex(*labels.shape)
        if labels[b, i, j] < UNSEEN_EXTENT
    ]
    assert torch.allclose(losses.exclusive_loss(x, torch.from_numpy(labels)), torch.stack(chosen).mean())


def test_mask_count_is_the_mean_over_ranks(monkeypatch):
    """K is all-reduced and divided by the ranks; fails if every rank divides by its own count."""
    areas = torch.tensor([[7, 1, 0], [9, 0, 0]])
    assert losses.mask_count(areas) == 3
    fake = SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, get_world_size=lambda: 2, all_reduce=lambda t: t.add_(2)
    )
    monkeypatch.setattr(losses, "dist", fake)
    assert losses.mask_count(areas) == 2.5
    fake.all_reduce = lambda t: t.zero_()
    assert losses.mask_count(areas) == 1


def test_two_ranks_lose_what_one_loses_on_both_batches(monkeypatch):
    """The mean over ranks of each loss is the loss of the whole batch; fails if K is summed or kept per rank."""
    logits, labels = (torch.from_numpy(v) for v in drawn(7, 3))

    def both(x, y):
        count = losses.mask_count(losses.class_areas(y, 3))
        return losses.focal_loss(x, y, count, alpha=0.25, gamma=2) + losses.dice_loss(x, y, count)

    whole = both(logits, labels)
    total = (losses.class_areas(labels, 3) > 0).sum()
    fake = SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: True,
        get_world_size=lambda: 2,
        all_reduce=lambda t: t.fill_(total.item()),
    )
    monkeypatch.setattr(losses, "dist", fake)
    parts = [both(logits[i : i + 1], labels[i : i + 1]) for i in range(2)]
    assert torch.allclose(sum(parts) / 2, whole, rtol=1e-9)


def test_pseudo_labels():
    """Fails if a seen class is given, if another code is touched, or if a tie does not go to the lowest index."""
    labels = torch.tensor([[[0, UNSEEN_EXTENT, UNLABELLED, VOID, UNSEEN_EXTENT]]], dtype=torch.uint8)
    seen = torch.tensor([True, False, True, False])
    logits = torch.tensor([9.0, 1.0, 8.0, 2.0])[None, :, None, None].repeat(1, 1, 1, 5)
    logits[..., 4] = 1.0
    given = losses.pseudo_labelled(labels, logits, seen, UNSEEN_EXTENT)
    assert given.tolist() == [[[0, 3, UNLABELLED, VOID, 1]]]
    given = losses.pseudo_labelled(labels, logits, seen, UNLABELLED)
    assert given.tolist() == [[[0, UNSEEN_EXTENT, 3, VOID, UNSEEN_EXTENT]]]
    assert given.dtype == torch.uint8


def test_only_seen():
    """The table: i-th seen class to i, unseen classes to 255, codes stay."""
    labels = torch.tensor([[[0, 1, 2, 3, *CODES]]], dtype=torch.uint8)
    assert losses.only_seen(labels, torch.tensor([False, True, False, True])).tolist() == [[[255, 0, 255, 1, *CODES]]]


def test_upsampling_is_the_identity_at_its_own_size_and_float32_from_bfloat16():
    """Fails if bf16 logits are interpolated in bf16, where they tie."""
    logits = torch.randn(1, 2, 4, 4)
    assert losses.upsampled(logits, (4, 4)) is logits
    half = losses.upsampled(logits.bfloat16(), (8, 8))
    assert half.dtype == torch.float32
    assert torch.equal(half, losses.upsampled(logits.bfloat16().float(), (8, 8)))
    assert losses.upsampled(logits.double(), (8, 8)).dtype == torch.float64
