"""Parameters and multiply-accumulates of ZegCLIP's followers beside the counts made from their released code."""

import pytest
import torch

from benchmarks.training.costs import gmacs, parameters
from methods.registry import build_method, config_class

VIT_B16 = {"image_size": 224, "patch_size": 16, "width": 768, "layers": 12, "head_width": 64}
# trainable as the released code counts them, those that get a gradient, without a text tower
PUBLISHED = [
    ("cascade-clip", {}, 40_094_982, 22_748_934),
    ("cascade-clip", {"prompt_tokens": 35}, 40_325_382, 22_979_334),
    ("cascade-clip", {"prompt_tokens": 50}, 40_463_622, 23_117_574),
    ("otseg", {}, 13_821_184, 8_039_168),
    ("otseg+", {"prompt_tokens": 100}, 14_650_624, 8_868_608),
]


@pytest.fixture(scope="module")
def full_size(make_clip):
    return make_clip(embed_dim=512, vision=VIT_B16)


@pytest.mark.parametrize(("name", "fields", "published", "used"), PUBLISHED)
def test_parameters_at_full_size(full_size, vocabulary, name, fields, published, used):
    """Fails when a tensor of the released model is missing here, or one trains that never gets a gradient there."""
    method = build_method(name, clip=full_size, vocabulary=vocabulary(2), config=config_class(name)(**fields))
    assert method.published_parameters == published
    assert parameters(method)[0] == used
    if name == "cascade-clip":
        fixed = sum(b.numel() for b in method.encoder.buffers())
        assert fixed == 2_368_512  # frozen at random: six norms, six projections
        assert {"encoder.projections", "encoder.tap_norms.5.bias"} <= method.trained_state().keys()


def test_variants_that_nobody_published_have_no_published_count(make_method):
    """Fails when an ablation's count stands beside the released model's."""
    for name in ("cascade-clip-shared-decoder", "cascade-clip-without-nga", "cascade-clip-clip-projection"):
        assert make_method(name).published_parameters is None
    assert make_method("otseg-one-text", decoder_heads=1).published_parameters is not None  # the same tensors


def _decoder(queries, patches, width, layers, texts=1):
    """By hand: projections, products, feed-forward; of the last layer the scores alone."""
    scores = queries * width**2 + patches * width**2 + queries * patches * width
    layer = scores + patches * width**2 + queries * patches * width + 9 * queries * width**2
    return (layers - 1) * layer + scores


@pytest.mark.parametrize("classes", [3, 6])
def test_gmacs_by_hand(make_method, vocabulary, classes):
    """Fails when a stage, a text or a map counts twice or as nothing."""
    width, embed, blocks, patch, prompts, side = 32, 16, 3, 8, 3, 32
    n = (side // patch) ** 2
    tokens = 1 + prompts + n
    block = 4 * tokens * width**2 + 2 * tokens**2 * width + 8 * tokens * width**2
    image = n * width * 3 * patch**2 + blocks * prompts * width**2 + blocks * block + (1 + n) * width * embed
    cascade = make_method("cascade-clip", classes=classes)  # three blocks: one in each stage
    stages = 3 * (2 * classes * embed**2 + _decoder(classes, n, embed, 3))
    taps = 2 * n * width * embed  # projections; a weighted sum of one map is no product of matrices
    assert gmacs(cascade, vocabulary(classes), side) == pytest.approx((image + stages + taps) / 1e9, rel=1e-12)
    for name, first in (("otseg", 1), ("otseg-without-mps", 0)):
        otseg = make_method(name, classes=classes, decoder_heads=1)
        queries = 6 * classes
        head = 2 * queries * embed**2 + first * queries * n * embed + _decoder(queries, n, embed, 3)
        assert gmacs(otseg, vocabulary(classes), side) == pytest.approx((image + head) / 1e9, rel=1e-12)


def test_a_seed_draws_the_fixed_projections(make_method):
    """Fails when they do not follow from the seed, are trained, or are left out of what is stored."""
    one, same, other = (make_method("cascade-clip", seed=seed).encoder.projections for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not one.requires_grad


def test_the_last_stage_alone_is_zegclip(make_method, pictures, vocabulary):
    """Fails when the third stage is anything but ZegCLIP's own head: the others' queries and keys set to zero."""
    cascade, zegclip = make_method("cascade-clip"), make_method("zegclip")
    zegclip.encoder.load_state_dict(
        {k: v for k, v in cascade.encoder.state_dict().items() if not k.startswith(("tap_norms", "projections"))}
    )
    zegclip.head.load_state_dict(cascade.head.stages[2].state_dict())
    with torch.no_grad():
        for stage in cascade.head.stages[:2]:
            stage.decoder.last.q.weight.zero_()
            stage.decoder.last.q.bias.zero_()
        ours, theirs = (m.eval().scores(pictures(2, 32, 32), vocabulary(4)) for m in (cascade, zegclip))
    assert torch.allclose(ours, theirs, atol=1e-6)
