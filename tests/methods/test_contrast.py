"""InfoNCE, pooling, the bank and regions against plain NumPy, and what must hold of them."""

from typing import get_args

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from methods.contrast import (
    Candidates,
    Regions,
    TokenBank,
    attention_pool,
    bank_loss,
    gathered,
    info_nce,
    valid_positions,
)
from methods.method import UNLABELLED, VOID, Images


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def rows(count, width=6, seed=0):
    return torch.randn(count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_info_nce(query, positive, negatives, tau):
    """One query: minus the log of exp(q p) over the sum of all, in float64."""
    q = unit(query)
    own = np.exp(q @ unit(positive) / tau)
    return -np.log(own / (own + sum(np.exp(q @ unit(n) / tau) for n in negatives)))


def test_info_nce_is_the_formula():
    """Fails if norms matter, the temperature is misplaced, a forbidden candidate counts or the positive does not."""
    queries, candidates = 3 * rows(4, seed=1), 0.5 * rows(7, seed=2)
    positive = torch.tensor([2, 0, 6, 2])
    allowed = torch.rand(4, 7, generator=torch.Generator().manual_seed(3)) < 0.5
    loss = info_nce(queries, candidates, positive, allowed, temperature=0.2)
    for i in range(4):
        negatives = [candidates[j].numpy() for j in range(7) if allowed[i, j] and j != positive[i]]
        expected = slow_info_nce(queries[i].numpy(), candidates[positive[i]].numpy(), negatives, 0.2)
        assert loss[i].item() == pytest.approx(expected, abs=1e-12)


def test_info_nce_alone_is_zero():
    """Fails if a positive without negatives costs something (the first step, with an empty bank)."""
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    assert info_nce(rows(2), rows(2, seed=1), torch.arange(2), nothing, temperature=0.07).tolist() == [0, 0]


def test_gradients():
    """Fails if a gradient of InfoNCE, pooling or region means is wrong (float64)."""
    allowed = torch.tensor([[True, False, True], [True, True, False]])
    where = torch.tensor([0, 1])
    assert torch.autograd.gradcheck(
        lambda q, c: info_nce(q, c, where, allowed, temperature=0.3),
        (rows(2).requires_grad_(), rows(3, seed=1).requires_grad_()),
    )
    features = rows(2 * 4 * 2, 3, seed=4).reshape(2, 4, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, t: attention_pool(f, t)[0], (features, rows(2, 4).requires_grad_()))
    labels = torch.randint(0, 3, (2, 4, 6), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert torch.autograd.gradcheck(lambda f: Regions(labels, 3).means(f), (features,))


def test_attention_pool_is_the_formula():
    """Fails if weights are not softmax(C^T F / sqrt(D)) of un-normalised sides, or the entropy is not theirs."""
    features, token = rows(2 * 5 * 3, 4, seed=1).reshape(2, 5, 3, 4), 4 * rows(2, 5, seed=2)
    pooled, entropy = attention_pool(features, token)
    for b in range(2):
        f = features[b].reshape(5, 12).numpy()
        w = np.exp(token[b].numpy() @ f / np.sqrt(5))
        w /= w.sum()
        np.testing.assert_allclose(pooled[b].numpy(), f @ w, atol=1e-12)
        assert entropy[b].item() == pytest.approx(-(w * np.log(w)).sum() / np.log(12), abs=1e-12)
    assert 0 < entropy.min() < entropy.max() < 1
    assert attention_pool(torch.ones(1, 5, 3, 4), token[:1].float())[1].item() == pytest.approx(1)


def test_attention_pool_without_padding():
    """Fails if padding weighs in, a real position does not, or the entropy counts positions that are left out."""
    features, token = rows(2 * 5 * 4, 6, seed=1).reshape(2, 5, 4, 6), 4 * rows(2, 5, seed=2)
    images = Images(torch.zeros(2, 3, 16, 24, dtype=torch.uint8), torch.tensor([[16, 24], [8, 12]]))
    valid = valid_positions(images, (4, 6))
    pooled, entropy = attention_pool(features, token, valid)
    torch.testing.assert_close(pooled[:1], attention_pool(features, token)[0][:1])
    cut, its = attention_pool(features[1:, :, :2, :3], token[1:])
    torch.testing.assert_close(pooled[1:], cut)
    torch.testing.assert_close(entropy[1:], its, check_dtype=False)


def test_bank_is_first_in_first_out():
    """Fails if the bank keeps other tokens than the last ones, or an empty place counts as a token."""
    bank, history = TokenBank(size=5, width=6), np.zeros((0, 6))
    assert bank.held().tolist() == [False] * 5
    for step, count in enumerate((2, 2, 2, 7, 1)):
        new = rows(count, seed=step).float()
        bank.enqueue(new)
        history = np.concatenate([history, new.numpy()])
        kept = history[-5:]
        assert bank.held().tolist() == [False] * (5 - len(kept)) + [True] * len(kept)
        np.testing.assert_array_equal(bank.tokens[bank.held()].numpy(), kept)


@pytest.mark.parametrize("size", [2, 5, 24])
@pytest.mark.parametrize("candidates", get_args(Candidates))
def test_bank_loss_over_steps(candidates, size):
    """Fails if a token is a candidate that must not be, one is missing, or the positive stands twice among them."""
    bank, earlier = TokenBank(size=size, width=6).double(), []
    for step in range(4):
        pooled, tokens = rows(3, seed=2 * step), rows(3, seed=2 * step + 1)
        loss = bank_loss(pooled, tokens, bank, temperature=0.1, candidates=candidates)
        mine = list(tokens.numpy())
        expected = []
        for i in range(3):
            if candidates == "enqueued":  # the step enters, the oldest leave, then all that is there but the positive
                negatives = [t for t in [*earlier, *mine][-size:] if t is not mine[i]]
            else:
                negatives = earlier[-size:] + [t for t in mine if t is not mine[i] and candidates == "bank+batch"]
            expected.append(slow_info_nce(pooled[i].numpy(), mine[i], negatives, 0.1))
        assert loss.item() == pytest.approx(np.mean(expected), abs=1e-9)
        earlier += mine


@pytest.mark.parametrize("candidates", get_args(Candidates))
def test_the_positive_never_stands_against_itself(candidates):
    """Fails if a picture that comes again, in the bank or in the step, is its own negative."""
    bank, token = TokenBank(size=4, width=6).double(), rows(1, seed=1)
    bank.enqueue(torch.cat([token, rows(1, seed=2)]))
    both = torch.cat([token, 2 * token])  # compared by direction
    loss = bank_loss(rows(2, seed=3), both, bank, temperature=0.1, candidates=candidates)
    expected = [
        slow_info_nce(rows(2, seed=3)[i].numpy(), token[0].numpy(), [rows(1, seed=2)[0].numpy()], 0.1) for i in range(2)
    ]
    assert loss.item() == pytest.approx(np.mean(expected), abs=1e-9)


def test_no_gradient_reaches_tokens_through_the_bank():
    """Fails if the bank keeps a graph alive."""
    bank, pooled = TokenBank(size=4, width=6).double(), rows(2).requires_grad_()
    bank_loss(pooled, rows(2, seed=1), bank, temperature=0.1, candidates="bank+batch").backward()
    assert pooled.grad is not None
    assert not bank.tokens.requires_grad


def _rank(rank, world, address, folder):
    dist.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=world)
    bank = TokenBank(size=5, width=6).double()
    losses = []
    for step in range(2):
        mine = slice(2 * rank, 2 * rank + 2)
        pooled, tokens = rows(4, seed=2 * step)[mine], rows(4, seed=2 * step + 1)[mine]
        losses.append(bank_loss(pooled, tokens, bank, temperature=0.1, candidates="bank+batch").item())
    torch.save({"losses": losses, "bank": bank.tokens, "first": gathered(rows(2))[1]}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_are_one(tmp_path):
    """Fails if ranks hold different banks, or two ranks of two differ from one rank of four."""
    mp.spawn(_rank, args=(2, tmp_path / "rendezvous", str(tmp_path)), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    bank, alone = TokenBank(size=5, width=6).double(), []
    for step in range(2):
        pooled, tokens = rows(4, seed=2 * step), rows(4, seed=2 * step + 1)
        alone.append(bank_loss(pooled, tokens, bank, temperature=0.1, candidates="bank+batch").item())
    assert torch.equal(ranks[0]["bank"], ranks[1]["bank"])
    assert torch.equal(ranks[0]["bank"], bank.tokens)
    assert [rank["first"] for rank in ranks] == [0, 2]
    for step in range(2):
        assert sum(rank["losses"][step] for rank in ranks) / 2 == pytest.approx(alone[step], abs=1e-12)


def labels_of(seed=0):
    codes = torch.tensor([0, 1, 2, 4, UNLABELLED, VOID], dtype=torch.uint8)
    labels = codes[torch.randint(0, 6, (3, 8, 8), generator=torch.Generator().manual_seed(seed))]
    labels[1] = UNLABELLED
    return labels


def test_regions_and_their_means():
    """Fails if a region is missing, belongs to another image, or its mean is not over exactly its pixels."""
    labels, features = labels_of(), rows(3 * 5 * 4, 4, seed=1).reshape(3, 5, 4, 4)
    regions = Regions(labels, 5)
    expected = [(b, c) for b in range(3) for c in range(5) if (labels[b] == c).any()]
    assert list(zip(regions.image.tolist(), regions.label.tolist(), strict=True)) == expected
    big = features.repeat_interleave(2, 2).repeat_interleave(2, 3)  # a pixel has its cell's feature
    for (b, c), mask, mean in zip(expected, regions.masks, regions.means(features), strict=True):
        assert torch.equal(mask, labels[b] == c)
        np.testing.assert_allclose(mean, big[b][:, mask].mean(1), atol=1e-7)


def test_rows_by_image():
    """Fails if padding moves a row to another image or order, or shows what is not there."""
    regions = Regions(labels_of(), 5)
    padded, there = regions.padded(rows(len(regions)))
    assert there.sum(1).tolist() == [4, 0, 4]
    assert torch.equal(padded[there], rows(len(regions)))
    assert not padded[~there].any()


def test_no_region_at_all():
    """Fails if a step without any class or latent class ends in an error."""
    regions = Regions(torch.full((2, 8, 8), VOID, dtype=torch.uint8), 5)
    assert len(regions) == 0
    assert regions.means(torch.ones(2, 5, 4, 4)).shape == (0, 5)
    padded, there = regions.padded(torch.zeros(0, 5))
    assert padded.shape == (2, 1, 5)
    assert not there.any()
