"""The towers' attention on tokens as they lie, against open_clip's own blocks: outputs and gradients of every kind."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from methods.clip.vit import DirectAttention  # noqa: E402

TOWERS = {  # of the config of the image tower
    "GELU": {},
    "QuickGELU": {},
    "layer scale": {"ls_init_value": 0.3},
    "narrow MLP, large patches": {"mlp_ratio": 2.0, "patch_size": 16},
    "one wide head": {"head_width": 32},
    "norm in the attention": {"block_type": "custom", "qk_norm": True, "scale_attn_inner": True, "scale_attn": True},
}


def own_and_theirs(make_clip, name):
    """A tower of ours and a copy of its blocks with the attention that open_clip gave them."""
    clip = make_clip(vision=TOWERS[name], quick_gelu=name == "QuickGELU")
    tower = clip.vit()
    theirs = copy.deepcopy(tower.blocks)
    for block in theirs:
        if isinstance(block.attn, DirectAttention):
            block.attn.__class__ = nn.MultiheadAttention
    return tower, theirs


def outcome(blocks, tokens, inserted, training):
    """What the blocks make of tokens, prompts put in before each, and the gradients of everything."""
    blocks = copy.deepcopy(blocks).requires_grad_(training)
    tokens, inserted = (x.clone().requires_grad_() for x in (tokens, inserted))
    out = tokens
    for block, prompt in zip(blocks, inserted, strict=True):
        out = block(torch.cat([out[:, :1], prompt.expand(len(out), -1, -1), out[:, 1 + inserted.shape[1] :]], dim=1))
    out.square().mul(torch.linspace(-1, 1, out.shape[-1])).mean().backward()
    return {
        "tokens": out.detach(),
        "d tokens": tokens.grad,
        "d prompts": inserted.grad,
        **({name: p.grad for name, p in blocks.named_parameters()} if training else {}),
    }


@pytest.mark.parametrize("training", [False, True], ids=["frozen", "fine-tuned"])
@pytest.mark.parametrize("name", TOWERS)
def test_blocks_and_their_gradients_are_open_clips(make_clip, name, training) -> None:
    """Fails when heads are mixed up, the scale or a bias is lost, or a gradient is another, prompts among tokens."""
    tower, theirs = own_and_theirs(make_clip, name)
    generator = torch.Generator().manual_seed(3)
    for count, length in ((1, 1), (2, 18), (3, 65)):
        tokens = torch.randn(count, length + 2, 32, generator=generator)
        inserted = torch.randn(len(theirs), 2, 32, generator=generator)
        found = outcome(tower.blocks, tokens, inserted, training)
        expected = outcome(theirs, tokens, inserted, training)
        assert found.keys() == expected.keys()
        for what, value in expected.items():
            scale = float(value.abs().max()) or 1.0
            torch.testing.assert_close(found[what], value, atol=2e-5 * scale, rtol=1e-4, msg=lambda m: f"{what}: {m}")  # noqa: B023


@pytest.mark.parametrize("name", ["GELU", "QuickGELU", "layer scale"])
def test_without_autograd_as_with_it(make_clip, name) -> None:
    """Fails when evaluation, which records no gradient, takes another attention than training."""
    tower, theirs = own_and_theirs(make_clip, name)
    tokens = torch.randn(2, 17, 32, generator=torch.Generator().manual_seed(0))
    for ours, block in zip(tower.blocks, theirs, strict=True):
        with torch.inference_mode():
            found, expected = ours(tokens), block(tokens)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        assert torch.equal(found, ours(tokens.clone().requires_grad_()).detach())


def test_half_precision_is_as_near_to_the_truth_as_open_clips(make_clip) -> None:
    """Fails when the attention loses more in bfloat16 than torch's own module does, scores far apart included."""
    tower, theirs = own_and_theirs(make_clip, "QuickGELU")
    tokens = 3 * torch.randn(2, 33, 32, generator=torch.Generator().manual_seed(1))
    for ours, block in zip(tower.blocks, theirs, strict=True):
        with torch.no_grad():
            truth = copy.deepcopy(block).double()(tokens.double())
            with torch.autocast("cpu", torch.bfloat16):
                found, expected = ours(tokens), block(tokens)
        off, theirs_off = ((x.double() - truth).norm() / truth.norm() for x in (found, expected))
        assert off < 1.2 * theirs_off + 1e-4


def test_only_calls_of_a_block_are_direct(make_clip) -> None:
    """Fails when a mask, other keys or the weights that a caller wants are silently left out."""
    tower, theirs = own_and_theirs(make_clip, "GELU")
    ours, plain = tower.blocks[0].attn, theirs[0].attn
    generator = torch.Generator().manual_seed(0)
    tokens, other = (torch.randn(2, n, 32, generator=generator) for n in (9, 5))
    mask = torch.full((9, 9), float("-inf")).triu(1)
    for keys, options in (
        (tokens, {"need_weights": False, "attn_mask": mask}),
        (tokens, {"need_weights": True, "attn_mask": None}),
        (other, {"need_weights": False, "attn_mask": None}),
    ):
        found, expected = ours(tokens, keys, keys, **options), plain(tokens, keys, keys, **options)
        assert torch.equal(found[0], expected[0])
        assert (found[1] is None) == (expected[1] is None)


def test_every_standard_block_is_taken_and_no_other(make_clip) -> None:
    """Fails when a tower keeps torch's attention, one with another is touched, or tensors change their names."""
    for name in TOWERS:
        clip = make_clip(vision=TOWERS[name])
        taken = [isinstance(block.attn, DirectAttention) for block in clip.vit().blocks]
        assert taken == [name != "norm in the attention"] * 3
    names = set(make_clip().model.visual.state_dict())
    assert {f"transformer.resblocks.0.attn.{n}" for n in ("in_proj_weight", "in_proj_bias", "out_proj.weight")} < names
