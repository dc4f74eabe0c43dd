"""Selective Global Distillation: how many features are picked, which ones, and what flows back."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.chimera.chimera_config import ChimeraConfig
from methods.chimera.chimera_seg import build, selection
from methods.contrast import valid_positions
from methods.method import Images

FIELDS = {"body": "small", "body_channels": 16, "alignment_heads": 2, "blocks": 1}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def all_valid(*shape):
    return torch.ones(*shape, dtype=torch.bool)


# -- how many


@settings(max_examples=300, deadline=None)
@given(
    length=st.integers(1, 1100),
    tenths=st.integers(1, 10),
    done=st.tuples(st.integers(0, 20_000), st.integers(1, 20_000)).map(sorted),
)
def test_linear_count_is_the_formula_exactly(length, tenths, done):
    """Fails if K_t is not ceil(l (1 - (1 - r) t)) in whole numbers: rounding must not add a feature; never 0."""
    step, total = done
    share = selection.picked_share(step / total, schedule="linear", last=tenths / 10, steps=4)
    count = selection.picked_counts(all_valid(1, length), share).item()
    exact = math.ceil(length * (1 - (1 - Fraction(tenths, 10)) * Fraction(step, total)))
    assert count == exact
    assert 1 <= count <= length


@pytest.mark.parametrize("schedule", ["linear", "cosine", "step"])
@pytest.mark.parametrize("last", [1e-6, 0.1, 0.5, 1.0])
def test_schedules_fall_from_all_to_the_last_share(schedule, last):
    """Fails if a schedule rises, starts or ends elsewhere, or reaches 0."""
    shares = [selection.picked_share(t / 1000, schedule=schedule, last=last, steps=4) for t in range(1001)]
    assert shares[0] == 1
    assert shares[-1] == pytest.approx(last)
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(shares))
    counts = [selection.picked_counts(all_valid(1, 64), s).item() for s in shares]
    assert counts[0] == 64
    assert counts[-1] == max(1, math.ceil(64 * last - 1e-6))
    assert min(counts) >= 1


def test_schedules_differ_as_their_names_say():
    """Cosine falls slowly at both ends, step stays on four levels of equal height; fails if two are the same."""
    share = lambda t, kind: selection.picked_share(t, schedule=kind, last=0.1, steps=4)  # noqa: E731
    assert share(0.5, "cosine") == pytest.approx(share(0.5, "linear")) == pytest.approx(0.55)
    assert share(0.1, "cosine") > share(0.1, "linear")
    assert share(0.9, "cosine") < share(0.9, "linear")
    assert share(0.25, "cosine") == pytest.approx(1 - 0.9 * (1 - math.sqrt(0.5)) / 2)
    levels = [share(t / 100, "step") for t in range(100)]
    assert levels == pytest.approx([1.0] * 25 + [0.7] * 25 + [0.4] * 25 + [0.1] * 25)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "step"])
def test_the_method_picks_what_the_schedule_says(make_clip, vocabulary, pictures, schedule):
    """Fails if the count in training is not that of the schedule at that progress, or is not logged."""
    torch.manual_seed(0)
    config = ChimeraConfig(**FIELDS, schedule=schedule, last_share=0.2)
    method = build(clip=make_clip(), vocabulary=vocabulary(3), config=config)
    labels = torch.zeros(2, 32, 32, dtype=torch.uint8)
    for progress in (0.0, 0.3, 0.62, 0.999):
        method.losses(pictures(2, 32, 32), labels, progress=progress)  # 8 x 8 features
        share = selection.picked_share(progress, schedule=schedule, last=0.2, steps=4)
        assert method.watched["picked_share"].item() == math.ceil(64 * share - 1e-9) / 64
        assert -1 <= method.watched["picked_similarity"].item() <= 1


# -- which


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 12))
def test_the_most_similar_are_picked(seed, count):
    """Fails if another than the highest are picked, or another number of them (a slow sort says which)."""
    similarity = draw(3, 12, seed=seed).mul(2).round().div(2)  # many ties
    picked = selection.most_similar(similarity, all_valid(3, 12), torch.full((3,), count))
    for row, mask in zip(similarity.tolist(), picked.tolist(), strict=True):
        expected = sorted(range(12), key=lambda i: (-row[i], i))[:count]
        assert [i for i in range(12) if mask[i]] == sorted(expected)


def test_ties_go_to_the_first_and_exactly_so_many():
    """Fails if equal similarities pick more than asked, or if who wins is left to the sort."""
    picked = selection.most_similar(torch.zeros(2, 5000), all_valid(2, 5000), torch.tensor([3, 4999]))
    assert picked.sum(1).tolist() == [3, 4999]
    assert picked[0, :3].all()
    assert not picked[1, -1]


def test_selection_knows_no_batch():
    """Fails if what is picked in one image depends on the others or on their order."""
    dense, token, order = draw(4, 8, 5, 5), draw(4, 8, seed=1), torch.tensor([2, 0, 3, 1])
    counts = torch.tensor([1, 7, 13, 25])

    def pick(which):
        return selection.most_similar(
            selection.similarities(dense[which], token[which]), all_valid(len(which), 25), counts[which]
        )

    whole = pick(torch.arange(4))
    assert torch.equal(pick(order), whole[order])
    assert all(torch.equal(pick(torch.tensor([i])), whole[i : i + 1]) for i in range(4))


def test_padding_is_never_picked_and_never_counted():
    """Fails if padding may be picked, or raises the number of those that are."""
    images = Images(torch.zeros(3, 3, 32, 32, dtype=torch.uint8), sizes=torch.tensor([[32, 32], [16, 8], [1, 1]]))
    valid = valid_positions(images, (4, 4))
    assert valid[1].nonzero().tolist() == [[0, 0], [1, 0]]
    assert valid.sum((1, 2)).tolist() == [16, 2, 1]
    similarity = torch.arange(16.0).expand(3, 16).clone()  # padding is what is most similar
    counts = selection.picked_counts(valid.flatten(1), 0.5)
    assert counts.tolist() == [8, 1, 1]
    picked = selection.most_similar(similarity, valid.flatten(1), counts)
    assert picked[0].nonzero().flatten().tolist() == list(range(8, 16))
    assert picked[1].nonzero().flatten().tolist() == [4]
    assert picked[2].nonzero().flatten().tolist() == [0]


def test_similarity_is_the_cosine():
    """Fails if norms matter, or positions are mixed up."""
    dense, token = draw(2, 8, 3, 4), draw(2, 8, seed=1)
    out = selection.similarities(dense, token)
    for b in range(2):
        for i in range(12):
            feature = dense[b, :, i // 4, i % 4]
            expected = feature @ token[b] / feature.norm() / token[b].norm()
            assert out[b, i].item() == pytest.approx(expected.item(), abs=1e-6)
    assert torch.allclose(selection.similarities(dense * 7, token / 3), out, atol=1e-6)


# -- what flows


def test_pooled_is_the_mean_of_the_picked():
    """Fails if others get a share or a gradient, or equal shares are not equal."""
    dense = draw(2, 8, 3, 4).requires_grad_()
    picked = torch.zeros(2, 12, dtype=torch.bool)
    picked[0, [1, 5]], picked[1, 11] = True, True
    out = selection.pooled(dense, picked)
    flat = dense.flatten(2)
    assert torch.allclose(out[0], (flat[0, :, 1] + flat[0, :, 5]) / 2)
    assert torch.allclose(out[1], flat[1, :, 11])
    out.sum().backward()
    assert torch.equal(dense.grad.flatten(2).any(1), picked)


def test_pooled_by_similarity():
    """Fails if the softmax reaches beyond the picked, or does not prefer the more similar."""
    dense, picked = draw(1, 8, 1, 4), torch.tensor([[True, False, True, True]])
    weights = torch.tensor([[1.0, 50.0, 0.0, 2.0]])
    shares = torch.tensor([math.e, 0, 1, math.e**2]) / (math.e + 1 + math.e**2)
    assert torch.allclose(selection.pooled(dense, picked, weights)[0], dense.flatten(2)[0] @ shares, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "softmax"])
def test_selection_carries_no_gradient(make_clip, vocabulary, pictures, pooling):
    """Fails if the choice of features is trained: the gradient must be that of pooling with the weights held fixed."""
    torch.manual_seed(0)
    config = ChimeraConfig(**FIELDS, sgd_loss="cosine", pooling=pooling)
    method = build(clip=make_clip(), vocabulary=vocabulary(3), config=config)
    dense, images = draw(2, 16, 4, 4).requires_grad_(), pictures(2, 32, 32)
    token = method.clip.tokens(images).cls
    method.distil(dense, images, 0.6)["distillation"].backward()
    similarity = torch.nn.functional.cosine_similarity(dense.detach().flatten(2), token[..., None], dim=1)
    weights = torch.full_like(similarity, -torch.inf)
    top = similarity.topk(math.ceil(16 * (1 - 0.9 * 0.6)), dim=1).indices
    weights.scatter_(1, top, similarity.gather(1, top) / config.temperature if pooling == "softmax" else 0.0)
    free = dense.detach().clone().requires_grad_()
    pooled = (free.flatten(2) * weights.softmax(1)[:, None]).sum(-1)
    (1 - torch.nn.functional.cosine_similarity(pooled, token)).mean().backward()
    assert torch.allclose(dense.grad, free.grad, atol=1e-7)


def test_the_teachers_token_decides(make_clip, vocabulary, pictures, monkeypatch):
    """Fails if features are compared with the head's own class token instead of CLIP's."""
    torch.manual_seed(0)
    method = build(clip=make_clip(), vocabulary=vocabulary(3), config=ChimeraConfig(**FIELDS))
    images, seen = pictures(2, 32, 32), []
    original = selection.similarities
    monkeypatch.setattr(selection, "similarities", lambda d, t: seen.append(t) or original(d, t))
    method.losses(images, torch.zeros(2, 32, 32, dtype=torch.uint8), progress=0.5)
    assert torch.equal(seen[0], method.clip.tokens(images).cls)


@pytest.mark.parametrize("distillation", ["selective", "global"])
def test_the_bank_takes_clips_tokens_after_the_loss(make_clip, vocabulary, pictures, distillation):
    """Fails if the method keeps a contrast of its own: the shared bank holds CLIP's tokens, and the first is free."""
    torch.manual_seed(0)
    config = ChimeraConfig(**FIELDS, distillation=distillation)
    method = build(clip=make_clip(), vocabulary=vocabulary(3), config=config)
    labels = torch.zeros(2, 32, 32, dtype=torch.uint8)
    first = method.losses(pictures(2, 32, 32), labels, progress=0)["distillation"]
    assert first.item() == pytest.approx(0, abs=1e-6)
    assert torch.allclose(method.bank.tokens[-2:], method.clip.tokens(pictures(2, 32, 32)).cls)
    assert method.losses(pictures(2, 32, 32, seed=1), labels, progress=0)["distillation"] > 0.01


def test_the_weight_of_distillation_grows(make_clip, vocabulary, pictures):
    """Fails if the warm-up is not linear, does not end where it is said to, or is there unasked."""

    def values(**fields):
        torch.manual_seed(0)
        config = ChimeraConfig(**FIELDS, sgd_loss="cosine", last_share=1.0, sgd_weight=2.0, **fields)
        method = build(clip=make_clip(), vocabulary=vocabulary(3), config=config)
        dense, images = draw(2, 16, 4, 4), pictures(2, 32, 32)
        return [method.distil(dense, images, p)["distillation"].item() for p in (0.0, 0.1, 0.4, 0.9)]

    always = values()
    assert always == pytest.approx(always[:1] * 4)
    assert values(sgd_warmup=0.4) == pytest.approx([w * always[0] for w in (0, 0.25, 1, 1)])
