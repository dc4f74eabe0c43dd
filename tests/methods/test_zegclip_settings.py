"""ZegCLIP's settings and switches: what labels may tell, who is shifted, and that each field does what it names."""

import itertools

import pytest
import torch

from methods.method import UNLABELLED, UNSEEN_EXTENT, VOID, Images
from methods.registry import METHODS

VARIANTS = [name for name in METHODS if name.startswith("zegclip")]


@pytest.mark.parametrize(
    ("setting", "unseen", "shift"),
    [
        ("inductive", (), 0.1),
        ("transductive", (3,), 0.0),
        ("transductive-known-extent", (3,), 0.0),
        ("fully-supervised", (), 0.0),
    ],
)
def test_seen_shift_only_of_seen_classes_and_only_when_inductive(make_method, setting, unseen, shift):
    """Fails if an unseen class is shifted, or a self-trained model's seen classes are."""
    method = make_method(setting=setting, unseen=unseen)
    scores = torch.randn(1, 3, 2, 2)
    out = method.activate(scores, torch.tensor([True, False, True]))
    assert torch.allclose(out[:, 1], scores[:, 1].sigmoid(), atol=0)
    assert torch.allclose(out[:, ::2], scores[:, ::2].sigmoid() - shift)
    assert method.seen_shift == shift


def test_exclusive_scores_are_logits(make_method):
    """Fails if the baseline's logits go through a sigmoid or are shifted: its softmax has no calibration."""
    method = make_method("zegclip-baseline")
    scores = torch.randn(1, 3, 2, 2)
    assert torch.equal(method.activate(scores, torch.ones(3, dtype=torch.bool)), scores)
    assert method.seen_shift == 0


@pytest.mark.parametrize("name", VARIANTS)
def test_unseen_pixels_are_unlabelled_pixels(make_method, batch, name):
    """Leakage: unseen pixels reach a method as 255, like background; a method has no other way to know them.

    Fails if anything but the label map and the training vocabulary reaches the losses, or if dropout, seeds or earlier
    steps make two equal calls differ.
    """
    images, labels = batch
    original = labels.clone()
    original[0, 8:16, :8], original[0, 8:16, 8:16] = 4, 5  # two unseen classes, as a data set has them

    def inductive(truth):
        return torch.where((truth >= 4) & (truth < UNSEEN_EXTENT), UNLABELLED, truth).to(torch.uint8)

    permuted = torch.where(original == 4, 5, torch.where(original == 5, 4, original))
    background = torch.where((original == 4) | (original == 5), UNLABELLED, original)
    values = []
    for truth in (original, permuted, background):
        method = make_method(name)
        torch.manual_seed(3)
        values.append({k: v.item() for k, v in method.losses(images, inductive(truth), progress=0.7).items()})
    assert values[0] == values[1] == values[2]
    kept = {name for module in method.modules() for name in getattr(module, "names", ())}
    assert not kept - {f"thing{i}" for i in range(4)}


def test_ignored_pixels_are_negatives_or_left_out(make_method, batch):
    """Fails if the switch does nothing: what an ignored pixel's logits are matters to "negative" alone."""
    method, ignoring = make_method(), make_method(ignored="left-out")
    _, labels = batch
    logits = torch.randn(2, 4, 32, 32)
    changed = torch.where((labels >= UNSEEN_EXTENT)[:, None], logits + 1, logits)
    before, after = (sum(method.criterion(x, labels).values()) for x in (logits, changed))
    assert before != after
    before, after = (sum(ignoring.criterion(x, labels).values()) for x in (logits, changed))
    assert before == after
    for code in (UNSEEN_EXTENT, VOID):
        other = torch.where(labels >= UNSEEN_EXTENT, code, labels).to(torch.uint8)
        assert sum(method.criterion(logits, other).values()) == sum(method.criterion(logits, labels).values())


@pytest.mark.parametrize(
    ("setting", "code"), [("transductive", UNLABELLED), ("transductive-known-extent", UNSEEN_EXTENT)]
)
def test_self_training_learns_only_where_its_setting_allows(make_method, batch, setting, code):
    """Fails if void or padding, or in the known-extent setting background, is given a pseudo label."""
    images, labels = batch
    method = make_method(setting=setting, unseen=(3,), prompt_dropout=0, decoder_dropout=0)
    labels = torch.where(labels == 3, UNSEEN_EXTENT, labels).to(torch.uint8)
    expected = torch.where(labels == code, 3, labels).to(torch.uint8)  # the only unseen class
    ours = method.losses(images, labels, progress=0.9)
    method.config = method.config.model_copy(update={"setting": "fully-supervised"})
    told = method.losses(images, expected, progress=0.9)
    assert {k: v.item() for k, v in ours.items()} == {k: v.item() for k, v in told.items()}


@pytest.mark.parametrize(("setting", "unseen"), [("inductive", (1,)), ("transductive", ()), ("fully-supervised", (0,))])
def test_vocabulary_must_fit_the_setting(make_method, setting, unseen):
    """Fails if an inductive model could be built that has heard an unseen name."""
    with pytest.raises(ValueError, match="trains on"):
        make_method(setting=setting, unseen=unseen)


def test_paper_switches_change_the_loss(make_method, batch):
    """Fails if a field that names a difference between paper and code does nothing."""
    values = [
        tuple(
            v.item()
            for v in make_method(prompt_dropout=0, decoder_dropout=0, **fields).losses(*batch, progress=0).values()
        )
        for fields in ({}, {"focal_alpha": None}, {"dice_denominator": "squares"}, {"memory": "projected"})
    ]
    assert all(a != b for a, b in itertools.combinations(values, 2))


def test_normalisation_switch(make_method, small_clip):
    """ImageNet's statistics as released, or CLIP's own; padding is zero after either."""
    images = Images(torch.full((1, 3, 16, 16), 128, dtype=torch.uint8), sizes=torch.tensor([[16, 8]]))
    released, own = make_method().normalised(images), make_method(normalisation="clip").normalised(images)
    expected = (128 - torch.tensor([123.675, 116.28, 103.53])) / torch.tensor([58.395, 57.12, 57.375])
    assert torch.allclose(released[0, :, 0, 0], expected)
    expected = (128 / 255 - torch.tensor([0.48145466, 0.4578275, 0.40821073])) / torch.tensor(
        [0.26862954, 0.26130258, 0.27577711]
    )
    assert torch.allclose(own[0, :, 0, 0], expected, atol=1e-5)
    assert not released[..., 8:].any()
    assert not own[..., 8:].any()


def test_text_dtype(make_method, small_clip, vocabulary):
    """float16 rounds the prototypes as the released files are; float32 leaves them."""
    exact = small_clip.text_prototypes(vocabulary(4).texts, vocabulary(4).templates)
    assert torch.equal(make_method(text_dtype="float32").text, exact)
    assert torch.equal(make_method().text, exact.half().float())
    assert not torch.equal(make_method().text, exact)


def test_token_scale(make_method, small_clip, batch):
    """sqrt-width multiplies CLS, patches and texts by sqrt(d), and nothing else."""
    unit, scaled = make_method().eval(), make_method(token_scale="sqrt-width").eval()
    tokens = unit.encoder(unit.normalised(batch[0]))
    root = small_clip.embed_dim**0.5
    expected = unit.head(tokens.cls * root, tokens.dense * root, unit.text * root)
    assert torch.allclose(scaled.head(tokens.cls, tokens.dense, unit.text), expected, atol=1e-6)
