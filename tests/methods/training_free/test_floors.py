"""The floors and the training-free read-out."""

import pytest
import torch

from methods.method import UNLABELLED, UNSEEN_EXTENT, VOID, Images, Vocabulary
from methods.registry import build_method, config_class


def made(name, vocabulary, clip=None, **fields):
    return build_method(name, clip=clip, vocabulary=vocabulary, config=config_class(name)(**fields))


def test_constant_is_the_class_with_most_labelled_pixels(vocabulary, pictures):
    """Fails if codes are counted as classes, or counts do not add up over steps."""
    method = made("constant", vocabulary(3))
    images = pictures(1, 4, 4)
    for label, pixels in ((2, 5), (1, 4), (1, 4), (UNLABELLED, 16), (VOID, 16), (UNSEEN_EXTENT, 16)):
        labels = torch.full((1, 4, 4), UNLABELLED, dtype=torch.uint8)
        labels.view(-1)[:pixels] = label
        assert method.losses(images, labels, progress=0.0) == {}
    assert method.counts.tolist() == [0, 8, 5]
    asked = Vocabulary(("new", "thing1", "thing2"), (False, True, True), ("a", "b", "c"), ("{}",))
    scores = method.scores(pictures(2, 4, 4), asked)
    assert scores.shape == (2, 3, 1, 1)
    assert scores.argmax(1).flatten().tolist() == [1, 1]
    assert method.parameter_groups() == []


def test_constant_keeps_its_counts_in_a_checkpoint(vocabulary, pictures):
    """Fails if what it learned is lost with the process."""
    first, second = made("constant", vocabulary(3)), made("constant", vocabulary(3))
    first.losses(pictures(1, 4, 4), torch.full((1, 4, 4), 2, dtype=torch.uint8), progress=0.0)
    second.load_trained_state(first.trained_state())
    assert second.counts.tolist() == [0, 0, 16]


def test_random_depends_on_the_picture_and_the_class_alone(vocabulary, pictures):
    """Fails if a seed, the batch, the order or padding changes the scores: evaluation must not depend on chance."""
    method, images = made("random", vocabulary(3)), pictures(3, 20, 20)
    torch.manual_seed(1)
    scores = method.scores(images, vocabulary(3))
    torch.manual_seed(2)
    assert torch.equal(method.scores(Images(images.pixels[[2, 0]]), vocabulary(3)), scores[[2, 0]])
    assert torch.equal(method.scores(images, vocabulary(2)), scores[:, :2])
    padded = torch.nn.functional.pad(images.pixels, (0, 12, 0, 7))
    sizes = torch.tensor([[20, 20]] * 3)
    assert torch.equal(method.scores(Images(padded, sizes), vocabulary(3))[..., :3, :3], scores)
    assert not torch.equal(scores[0], scores[1])
    assert 0 <= scores.min() <= scores.max() < 1


def test_random_classes_win_equally_often(vocabulary, pictures):
    """Fails if the floor prefers a class: its IoU would then not be chance."""
    winners = made("random", vocabulary(4), cell=1).scores(pictures(4, 64, 64), vocabulary(4)).argmax(1)
    shares = torch.bincount(winners.flatten(), minlength=4) / winners.numel()
    assert (shares - 0.25).abs().max() < 0.02


@pytest.mark.parametrize("readout", ["plain", "value"])
def test_training_free_scores_are_cosines(small_clip, vocabulary, pictures, readout):
    """Fails on another read-out, scale or missing norm."""
    method = made("clip", vocabulary(2), small_clip, readout=readout)
    images, asked = pictures(2, 32, 40), vocabulary(3)
    dense = small_clip.tokens(images, readout=readout).dense
    text = small_clip.text_prototypes(asked.texts, asked.templates)
    expected = 100 * torch.nn.functional.cosine_similarity(dense[:, None], text[None, :, :, None, None], dim=2)
    assert torch.allclose(method.scores(images, asked), expected, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = method.scores(images, asked)
    assert scores.dtype == torch.float32
    assert not torch.equal(scores.bfloat16().float(), scores)  # rounded scores tie in the argmax
    assert torch.equal(method.activate(expected, asked.seen_mask()), expected)
    assert method.losses(images, torch.zeros(2, 32, 40, dtype=torch.uint8), progress=0.0) == {}
    assert method.parameter_groups() == []
    assert method.trained_state() == {}
