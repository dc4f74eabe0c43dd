"""Bodies: the interface, the small body, the groups for the optimiser."""

from typing import get_args

import pytest
import torch
from torch import nn

from methods.bodies import Body, build_body
from methods.bodies.mmseg_architectures import PUBLISHED
from methods.bodies.paramwise import Paramwise
from methods.body_names import BodyName


def small(seed=0, **arguments):
    torch.manual_seed(seed)
    return build_body("small", **({"out_channels": 16} | arguments))


def pixels(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(64, 64), (65, 47), (7, 130), (1, 1)])
def test_small_body_covers_any_picture(size):
    """Fails if a side that is no multiple of the stride crashes, or its grid is floored."""
    body = small()
    out = body(pixels(2, 3, *size))
    assert out.shape == (2, 16, *(-(-side // body.stride) for side in size))


def test_small_body_sees_each_picture_alone():
    """Fails if a picture's features depend on its batch at test."""
    body = small().double().train()
    x = pixels(3, 3, 32, 40).double()
    body(x)  # statistics other than those it starts with
    body.eval()
    assert torch.allclose(body(x)[1:2], body(x[1:2]), atol=1e-12)


def test_small_body_is_small_and_says_so():
    """Fails if its size leaves the range that its docstring gives."""
    assert sum(p.numel() for p in small(out_channels=64).parameters()) == pytest.approx(0.9e6, rel=0.05)


def test_small_body_is_drawn_from_torchs_generator():
    """Fails if two runs of one seed start differently, or two seeds alike."""
    one, same, other = small(0).state_dict(), small(0).state_dict(), small(1).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_gradient_reaches_every_parameter_of_the_small_body():
    """Fails if a part of it is never used."""
    body = small()
    body(pixels(2, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in body.parameters())


def test_small_body_can_learn_where_things_are():
    """Fails if positions are mixed up on the way: the features must follow a bright square of 8 pixels."""
    body = small(out_channels=2)
    optimiser = torch.optim.AdamW(body.parameter_groups(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)

    def scene():
        x, y = torch.zeros(8, 3, 32, 48), torch.zeros(8, 8, 12, dtype=torch.long)
        for i in range(8):
            row, column = (int(torch.randint(0, n, (), generator=generator)) for n in (7, 11))
            x[i, :, 4 * row : 4 * row + 8, 4 * column : 4 * column + 8] = 1
            y[i, row : row + 2, column : column + 2] = 1
        return x, y

    for _ in range(40):
        x, y = scene()
        loss = nn.functional.cross_entropy(body(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, y = scene()
    assert (body(x).argmax(1) == y).float().mean() > 0.97


def test_groups_hold_everything_that_trains_once():
    """Fails if a parameter is lost or doubled, a norm decays, or a frozen parameter is given to the optimiser."""
    body = small()
    body.stem.requires_grad_(False)
    groups = body.parameter_groups()
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in body.parameters() if p.requires_grad)
    still = {id(p) for group in groups if group.get("weight_decay") == 0.0 for p in group["params"]}
    assert still == {id(p) for name, p in body.named_parameters() if "norm" in name and p.requires_grad}


def test_the_longest_key_decides():
    """Fails if a rule is applied otherwise than mmengine does: one key per name, the longest, then the first."""
    rules = Paramwise(lr_scale={"head": 10.0, "head.norm": 2.0}, no_decay=("norm", "pos_block"))
    assert rules.of("backbone.layer.weight") == (1.0, True)
    assert rules.of("backbone.norm1.weight") == (1.0, False)
    assert rules.of("decode_head.conv.weight") == (10.0, True)
    assert rules.of("decode_head.squeeze.norm.weight") == (10.0, True)  # "head" comes before "norm"
    assert rules.of("decode_head.norm.weight") == (2.0, True)


def test_every_name_is_a_body():
    """Fails if a plan takes a name that nothing can be built from, or refuses one that could be."""
    assert set(get_args(BodyName)) == {"small", *PUBLISHED}


def test_unknown_bodies_and_weights_are_refused():
    """Fails if a wrong name or weights nobody published end in anything but one line."""
    with pytest.raises(ValueError, match=r"no body is called 'vgg'; there are: small, segnext-t"):
        build_body("vgg", out_channels=4)
    with pytest.raises(ValueError, match=r"small has no published weights"):
        small(weights="published")
    with pytest.raises(FileNotFoundError, match=r"there is no file of body weights mscan_t\.pth"):
        small(weights="mscan_t.pth")
    assert isinstance(small(weights=None), Body)


def test_small_body_statistics_of_all_ranks():
    """Fails if "sync" leaves a BatchNorm of one rank, or "fixed" is taken though there are no weights."""
    kinds = {type(m).__name__ for m in small(batch_norm="sync").modules() if "BatchNorm" in type(m).__name__}
    assert kinds == {"SyncBatchNorm"}
    with pytest.raises(ValueError, match="the body small has no weights to take fixed statistics from"):
        small(batch_norm="fixed")
    with pytest.raises(ValueError, match="the body small always learns its statistics"):
        small(batch_norm="fixed", weights="some.safetensors")
