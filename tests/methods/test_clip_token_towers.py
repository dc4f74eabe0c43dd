"""Transformers of timm as towers: their read-out is open_clip's, their dense tokens those of slow formulas."""

from __future__ import annotations

import functools
from typing import get_args

import open_clip.timm_model  # type: ignore[import-untyped]
import pytest
import timm
import torch
from open_clip.timm_model import TimmModel

from methods.clip.model import Clip
from methods.clip.token_tower import TokenTower
from methods.clip.towers import tower_of
from methods.clip.trunk import TrunkTower
from methods.interpolations import Interpolation

SMALL = {"depth": 3, "embed_dim": 96, "num_heads": 3}
# The vision part of open_clip's configs, the real architecture with fewer and narrower blocks.
TOWERS = {
    "SigLIP": ({"model_name": "vit_base_patch16_siglip_224", "pool": "map", "proj": "none", "embed_dim": 96}, SMALL),
    "PE-Core": ({"model_name": "vit_pe_core_tiny_patch16_384", "pool": "map", "proj": None, "embed_dim": 24}, SMALL),
    "EVA02": ({"model_name": "eva02_base_patch16_clip_224", "pool": "token", "proj": None, "embed_dim": 24}, SMALL),
    "EVA01": ({"model_name": "eva_giant_patch14_224", "pool": "token", "proj": None, "embed_dim": 24}, SMALL),
    "ViT, CLS": ({"model_name": "vit_large_patch14_clip_224", "pool": "token", "proj": None, "embed_dim": 24}, SMALL),
    "ViT, average": (
        {"model_name": "vit_medium_patch16_gap_256", "pool": "", "proj": "linear", "embed_dim": 24},
        SMALL,
    ),
    "registers": ({"model_name": "test_vit2", "pool": "", "proj": "linear", "embed_dim": 24}, {}),
}


@pytest.fixture(params=TOWERS)
def visual(request, monkeypatch):
    """A TimmModel of random weights, every part of it away from its start."""
    fields, small = TOWERS[request.param]
    made = functools.partial(timm.create_model, **small)
    monkeypatch.setattr(open_clip.timm_model.timm, "create_model", made)
    torch.manual_seed(0)
    model = TimmModel(
        **fields, image_size={"PE-Core": 384, "ViT, average": 256, "registers": 160}.get(request.param, 224)
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(1 + 0.2 * noise if "norm" in name and name.endswith("weight") else 0.1 * noise)
    return model.eval().requires_grad_(False)


def pictures(side: int, height: int | None = None) -> torch.Tensor:
    return torch.randn(2, 3, height or side, side, generator=torch.Generator().manual_seed(2))


def tower(visual) -> TokenTower:
    found = tower_of(visual, embed_dim=int(visual(pictures(visual.image_size[0])).shape[-1]))
    assert isinstance(found, TokenTower), found
    return found


@pytest.mark.parametrize("readout", ["plain", "value"])
def test_cls_is_what_open_clip_encodes(visual, readout) -> None:
    """Fails when the read-out of the whole picture is not open_clip's, bit for bit, before or after it is a tower."""
    x = pictures(visual.image_size[0])
    before = visual(x)
    found = tower(visual)(x, readout=readout)
    assert torch.equal(found.cls, before)
    assert torch.equal(found.cls, visual(x))
    assert found.dense.shape[:2] == (2, before.shape[-1])


def test_dense_tokens_are_those_of_single_tokens(visual) -> None:
    """Fails when a token sees others, CLS or a register is taken for a patch, or rows and columns change places."""
    side = visual.image_size[0]
    found = tower(visual)(pictures(side))
    trunk = visual.trunk
    features = trunk.forward_features(pictures(side))
    for row, column in ((0, 0), (1, 3), (found.dense.shape[2] - 1, 2)):
        at = trunk.num_prefix_tokens + row * found.dense.shape[3] + column
        token = features[:1, at : at + 1]
        pooled = trunk.attn_pool(token) if trunk.global_pool == "map" else token[:, 0]
        expected = visual.head(trunk.head(trunk.fc_norm(pooled)))[0]
        torch.testing.assert_close(found.dense[0, :, row, column], expected, rtol=1e-4, atol=1e-5)


def test_values_are_those_of_the_last_attention(visual) -> None:
    """Fails when keys are read for values, a position gets into a value, or a residual is lost."""
    side = visual.image_size[0]
    found = tower(visual)(pictures(side), readout="value").dense[0, :, 1, 2]
    trunk, place = visual.trunk, visual.trunk.num_prefix_tokens + side // tower(visual).patch_size + 2
    entering = []
    hook = trunk.blocks[-1].register_forward_pre_hook(lambda _, a: entering.append(a[0]))
    features = trunk.forward_features(pictures(side))
    hook.remove()
    if trunk.global_pool == "map":
        width = features.shape[-1]
        value = trunk.attn_pool.kv(features[0, place])[width:]
        expected = visual.head(trunk.head(trunk.attn_pool.proj(value)))
    else:
        block, token = trunk.blocks[-1], entering[0][:1, place : place + 1]
        attention, normed = block.attn, block.norm1(token)
        if getattr(attention, "qkv", None) is None:
            value = attention.v_proj(normed)
        else:
            bias = getattr(attention, "v_bias", None)
            bias = attention.qkv.bias[-token.shape[-1] :] if bias is None and attention.qkv.bias is not None else bias
            value = torch.nn.functional.linear(normed, attention.qkv.weight[-token.shape[-1] :], bias)
        gammas = (getattr(block, "gamma_1", None), getattr(block, "gamma_2", None))
        one, two = (block.ls1, block.ls2) if hasattr(block, "ls1") else (lambda v: v, lambda v: v)
        assert gammas == (None, None)
        out = token + one(attention.proj(attention.norm(value)))
        out = out + two(block.mlp(block.norm2(out)))
        expected = visual.head(trunk.head(trunk.fc_norm(trunk.norm(out)[:, 0])))[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_other_sizes(visual) -> None:
    """Fails when a picture of another size is refused, or the grid does not cover it as it lies."""
    found = tower(visual)
    patch, side = found.patch_size, visual.image_size[0]
    before = visual(pictures(side))
    if found.only_size is None:
        assert found(pictures(side, side + 2 * patch)).dense.shape[-2:] == (side // patch + 2, side // patch)
        assert torch.equal(visual(pictures(side)), before)  # as open_clip encodes it, straight after another size
        assert found(pictures(side - 3, side)).dense.shape[-2:] == (side // patch, side // patch)
    whole = found(pictures(side)).dense
    again = found(pictures(side)).dense
    assert torch.equal(whole, again)  # nothing is left behind by pictures of other sizes
    assert torch.equal(found(pictures(side)).cls, visual(pictures(side)))


def test_what_is_done_to_positions_is_said(visual) -> None:
    """Fails when a method's `positions` is not used and no reader of the numbers is told, or is told it for nothing."""
    clip = Clip(
        model=CustomText(visual), tokenizer=lambda texts: None, embed_dim=8, name="SigLIP", remarks=("assumed",)
    )
    found = tower(visual)
    side = visual.image_size[0]
    resampled = found.only_size is None and visual.trunk.pos_embed is not None
    words = "timm's rule (bicubic, antialiased), whatever `positions` says" if resampled else f"takes {side} x {side}"
    assert clip.remarks[0] == "assumed"
    assert [words in remark for remark in clip.remarks[1:]] == [True]
    x = pictures(side, side + 2 * found.patch_size)
    ways = [found(x, positions=how).dense for how in get_args(Interpolation)]
    assert all(torch.equal(ways[0], other) for other in ways[1:])  # the remark tells the truth


class CustomText(torch.nn.Module):
    """An image tower in the place where a CLIP has it."""

    def __init__(self, visual) -> None:
        super().__init__()
        self.visual = visual


def test_a_tower_that_takes_what_is_asked_has_no_remark(small_clip) -> None:
    """Fails when every table gets a line about positions that are brought to other grids as the method says."""
    assert small_clip.remarks == ()


def test_average_of_dense_tokens_is_the_read_out(monkeypatch) -> None:
    """Fails when a trunk that averages and projects linearly gets other dense tokens than its average is made of."""
    fields, small = TOWERS["ViT, average"]
    monkeypatch.setattr(open_clip.timm_model.timm, "create_model", functools.partial(timm.create_model, **small))
    model = TimmModel(**fields, image_size=256).eval()
    model.trunk.fc_norm = torch.nn.Identity()
    with torch.no_grad():
        found = TokenTower(model, embed_dim=24)(pictures(256))
    torch.testing.assert_close(found.dense.mean(dim=(2, 3)), found.cls, rtol=1e-4, atol=1e-5)


def test_what_is_no_tower_is_refused_by_name() -> None:
    """Fails when relative positions, which have no value path, are read; or a feature map is taken for tokens."""
    relative = TimmModel("test_vit", embed_dim=8, image_size=160, pool="", proj="linear")
    relative.trunk.blocks[-1].attn.rel_pos = torch.nn.Identity()
    reason = tower_of(relative, embed_dim=8)
    assert isinstance(reason, str)
    assert "positions between pairs of tokens" in reason
    convnext = TimmModel("test_convnext", embed_dim=8, image_size=64, pool="", proj="linear")
    assert isinstance(tower_of(convnext, embed_dim=8), TrunkTower)
