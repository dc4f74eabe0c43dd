"""Training-free read-outs against their formulas, token by token in NumPy and float64."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from methods.check import CHECKS, check
from methods.method_entry import RecipeKind
from methods.registry import METHODS, build_method, config_class
from methods.training_free.attention_readouts import Readout, dense_tokens, nearness
from methods.training_free.attention_readouts_config import ReadoutConfig

RIVALS = ("sclip", "naclip", "clearclip")


@pytest.fixture(scope="module")
def clip(make_clip):
    """A random CLIP with biases that are not zero: open_clip starts them there, which would hide a forgotten one."""
    made = make_clip(seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in made.model.visual.named_parameters():
            if name.endswith("bias"):
                value.copy_(0.3 * torch.randn(value.shape, generator=generator))
    return made


def config_of(name, **changes):
    return config_class(name)(**(METHODS[name].fixed | changes))


def before_last(clip, pictures):
    """`(B, T, D)` float64 tokens before the last block, and the grid."""
    tower = clip.vit()
    with torch.no_grad():
        tokens, grid = tower.embed(clip.normalised(pictures))
        tokens = tower.ln_pre(tokens)
        for block in list(tower.blocks)[:-1]:
            tokens = block(tokens)
    return tokens.double().numpy(), grid


def norm(x, module):
    weight, bias = (p.detach().double().numpy() for p in (module.weight, module.bias))
    return (x - x.mean()) / np.sqrt(x.var() + module.eps) * weight + bias


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def slow(clip, pictures, name, spread=5.0):
    """`(B, d, h, w)`: every token by itself, as the papers write it."""
    tokens, (h, w) = before_last(clip, pictures)
    visual = clip.model.visual
    block = visual.transformer.resblocks[-1]
    parameters = {key: value.detach().double().numpy() for key, value in block.named_parameters()}
    heads, width = block.attn.num_heads, tokens.shape[-1]
    e = width // heads
    out = np.zeros((len(tokens), visual.proj.shape[1], h, w))
    for b, picture in enumerate(tokens):
        normed = [norm(token, block.ln_1) for token in picture]
        projected = [parameters["attn.in_proj_weight"] @ n + parameters["attn.in_proj_bias"] for n in normed]
        q, k, v = ([p[i * width : (i + 1) * width] for p in projected] for i in range(3))
        for i in range(1, len(picture)):
            row, column = divmod(i - 1, w)
            mixed = []
            for head in range(heads):
                part = slice(head * e, (head + 1) * e)
                by_query = np.array([q[i][part] @ q[j][part] / np.sqrt(e) for j in range(len(picture))])
                by_key = np.array([k[i][part] @ k[j][part] / np.sqrt(e) for j in range(len(picture))])
                near = [0.0]
                for j in range(1, len(picture)):
                    r, c = divmod(j - 1, w)
                    near.append(np.exp(-((r - row) ** 2 + (c - column) ** 2) / (2 * spread**2)))
                weights = {
                    "sclip": softmax(by_query) + softmax(by_key),
                    "naclip": softmax(by_key + np.array(near)),
                    "clearclip": softmax(by_query),
                }[name]
                mixed.append(sum(weights[j] * v[j][part] for j in range(len(picture))))
            x = parameters["attn.out_proj.weight"] @ np.concatenate(mixed) + parameters["attn.out_proj.bias"]
            if name == "sclip":
                x = picture[i] + x
                inner = parameters["mlp.c_fc.weight"] @ norm(x, block.ln_2) + parameters["mlp.c_fc.bias"]
                inner = inner / (1 + np.exp(-1.702 * inner))  # QuickGELU
                x = x + parameters["mlp.c_proj.weight"] @ inner + parameters["mlp.c_proj.bias"]
            out[b, :, row, column] = norm(x, visual.ln_post) @ visual.proj.detach().double().numpy()
    return out


@pytest.mark.parametrize("name", RIVALS)
def test_tokens_are_those_of_the_formula(clip, pictures, name):
    """Fails when attention, its scale, a bias, a residual, the MLP or the order of tokens is not the paper's."""
    asked = pictures(2, 24, 40)  # 3 x 5 patches, no square
    fast = dense_tokens(clip.vit(), clip.normalised(asked), config_of(name)).detach().numpy()
    assert fast.shape == (2, 16, 3, 5)
    np.testing.assert_allclose(fast, slow(clip, asked, name), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", [*RIVALS, "maskclip"])
def test_positions_are_brought_to_other_grids_as_released(clip, pictures, vocabulary, name):
    """Fails if a read-out has the bilinear table of the learned methods: some labels at other sizes are others then."""
    released = "bicubic" if name == "maskclip" else "bicubic-offset"
    assert {recipe.config["positions"] for recipe in METHODS[name].recipes.values()} == {released}
    assert METHODS[name].recipes.keys() == set(get_args(RecipeKind))
    words = vocabulary(3)

    def scores(size, positions):
        config = config_of(name, positions=positions)
        return build_method(name, clip=clip, vocabulary=words, config=config).scores(pictures(1, size, size), words)

    assert torch.equal(scores(32, released), scores(32, "bilinear"))  # the table's own size
    assert not torch.allclose(scores(48, released), scores(48, "bilinear"), atol=1e-3)


def test_no_two_rivals_are_one(clip, pictures):
    """Fails when two named methods compute the same, so that a comparison compares nothing."""
    asked = clip.normalised(pictures(1, 32, 32))
    found = [dense_tokens(clip.vit(), asked, config_of(name)) for name in RIVALS]
    found += [dense_tokens(clip.vit(), asked, config_of("naclip", spread=1.0))]
    found += [clip.tokens(pictures(1, 32, 32), readout=readout).dense for readout in ("plain", "value")]
    for i, one in enumerate(found):
        assert not any(torch.allclose(one, other, atol=1e-3) for other in found[:i])


def test_nearness_falls_off_in_every_direction():
    """Fails when the Gaussian is of another width, not centred on each patch, or reaches CLS."""
    table = nearness((3, 4), 5.0)
    assert (table[0] == 0).all()
    assert (table[:, 0] == 0).all()
    patches = table[1:, 1:]
    assert (patches.diagonal() == 1).all()
    assert torch.equal(patches, patches.T)
    assert patches[0, 1].item() == pytest.approx(np.exp(-1 / 50))  # one column on
    assert patches[0, 4].item() == pytest.approx(np.exp(-1 / 50))  # one row on
    assert patches[0, 11].item() == pytest.approx(np.exp(-(2**2 + 3**2) / 50))


def test_maskclip_is_the_value_path(clip, pictures, vocabulary):
    """Fails when the named rival is not the read-out that `clip` has as an option."""
    asked, words = pictures(1, 32, 32), vocabulary(3)
    one, other = (
        build_method(name, clip=clip, vocabulary=words, config=config_of(name, readout="value")).scores(asked, words)
        for name in ("maskclip", "clip")
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", [*RIVALS, "maskclip"])
def test_they_keep_what_the_harness_takes_for_granted(clip, name):
    """Fails when a read-out breaks the interface of methods."""
    assert check(name, clip=clip) == tuple(CHECKS)
    assert METHODS[name].group == "training-free"


def test_a_tower_without_blocks_is_refused_with_the_reason(make_clip):
    """Fails when a ResNet is read out as if it were a transformer."""
    resnet = make_clip(vision={"layers": [1, 1, 1, 1], "width": 8, "head_width": 8, "patch_size": None})
    with pytest.raises(ValueError, match="blocks of a vision transformer"):
        Readout(clip=resnet, config=ReadoutConfig())
