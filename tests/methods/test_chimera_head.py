"""Chimera-Seg's head: that CLIP's pieces are wired as in CLIP, and how a body's tokens enter them."""

import pytest
import torch

from methods.bodies.body import Body
from methods.bodies.paramwise import Paramwise
from methods.chimera.head import ClipSemanticHead, LowRank


@pytest.fixture(scope="module")
def four_block_clip(make_clip):
    """A CLIP with as many blocks as the largest ablation keeps."""
    return make_clip(vision={"layers": 4})


class PatchBody(Body):
    """CLIP's own patch embedding in a body's place."""

    def __init__(self, clip):
        vit = clip.vit()
        super().__init__(name="patches", stride=vit.patch_size, out_channels=vit.width, paramwise=Paramwise())
        self.mean, self.std = clip.mean, clip.std
        self.vit = clip.vit()

    def forward(self, pixels):
        return self.vit.patches(pixels)


# -- the proof of the wiring


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (40, 24)])
def test_whole_clip_behind_its_own_patches_is_clip(make_clip, pictures, value, size):
    """Fails if anything between patch embedding and text space is left out, doubled or out of order."""
    clip = make_clip(vision={"layers": 4}).double()
    head = ClipSemanticHead(
        vit=clip.vit(), channels=clip.vit().width, blocks=4, value_attention=value, norm=False
    ).double()
    head.adapter = torch.nn.Identity()
    images = pictures(2, *size)
    pixels = images.normalised(clip.mean, clip.std, dtype=torch.float64)
    with torch.no_grad():
        expected, ours = clip.vit()(pixels, readout="value" if value else "plain"), head(PatchBody(clip)(pixels))
    assert torch.allclose(ours.dense, expected.dense, atol=1e-12)
    assert torch.allclose(ours.token, expected.cls, atol=1e-12)
    assert expected.dense.shape[-2:] == (size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_fewer_blocks_are_the_last_ones(four_block_clip, blocks):
    """Fails if the first blocks are taken, or one too many or too few."""
    vit = four_block_clip.vit()
    head = ClipSemanticHead(vit=vit, channels=32, blocks=blocks, norm=False)
    head.adapter = torch.nn.Identity()
    x = torch.randn(2, 32, 3, 5)
    tokens = torch.cat([vit.class_embedding.expand(2, 1, -1), x.flatten(2).transpose(1, 2)], 1)
    tokens = vit.ln_pre(tokens + vit.position_table(3, 5))
    for block in vit.blocks[4 - blocks :]:
        tokens = block(tokens)
    out = vit.ln_post(tokens) @ vit.proj
    ours = head(x)
    assert torch.allclose(ours.token, out[:, 0], atol=1e-6)
    assert torch.allclose(ours.dense.flatten(2).transpose(1, 2), out[:, 1:], atol=1e-6)


def test_no_block_is_norms_and_projection_of_each_feature(four_block_clip):
    """Fails if positions or a class token enter where there is no attention, or a feature depends on another."""
    vit = four_block_clip.vit()
    head = ClipSemanticHead(vit=vit, channels=8, blocks=0)
    x = torch.randn(2, 8, 3, 4)
    out = head(x)
    adapted = head.norm(head.adapter(x).permute(0, 2, 3, 1))
    assert torch.allclose(out.dense.permute(0, 2, 3, 1), vit.ln_post(vit.ln_pre(adapted)) @ vit.proj, atol=1e-6)
    assert torch.allclose(out.token, out.dense.mean((2, 3)))


@pytest.mark.parametrize(
    ("size", "grid"), [((8, 8), (8, 8)), ((16, 16), (8, 8)), ((20, 10), (8, 4)), ((40, 1), (8, 1))]
)
def test_token_grid_has_a_longest_side(four_block_clip, size, grid):
    """Fails if a large picture costs more attention than asked, or its ratio is lost."""
    head = ClipSemanticHead(vit=four_block_clip.vit(), channels=8, blocks=1, most_tokens=8)
    assert head(torch.randn(1, 8, *size)).dense.shape[-2:] == grid


def test_low_rank_adapters_start_as_nothing(four_block_clip):
    """Fails if switching them on changes where training starts, or they are not beside each block."""
    arguments = {"vit": four_block_clip.vit(), "channels": 8, "blocks": 3}
    torch.manual_seed(0)
    plain = ClipSemanticHead(**arguments)
    torch.manual_seed(0)
    adapted = ClipSemanticHead(**arguments, rank=2)
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(plain(x).dense, adapted(x).dense)
    assert sum(isinstance(m, LowRank) for m in adapted.modules()) == 3
    for adapter in adapted.beside:
        before = adapted(x).dense
        torch.nn.init.normal_(adapter.up.weight)
        assert not torch.allclose(adapted(x).dense, before)


# -- where tokens enter


def own_tokens(clip, images, blocks):
    """CLIP's tokens before its last blocks."""
    vit = clip.vit()
    tokens = vit.ln_pre(vit.embed(clip.normalised(images))[0])
    for block in vit.blocks[: len(vit.blocks) - blocks]:
        tokens = block(tokens)
    return tokens


@pytest.mark.parametrize("blocks", [0, 1, 3, 4])
def test_tokens_enter_as_clips_own_do(four_block_clip, pictures, blocks):
    """Fails if mean, spread or class token are not those of CLIP's tokens before just those blocks."""
    head = ClipSemanticHead(vit=four_block_clip.vit(), channels=8, blocks=blocks, calibrated=True)
    images = pictures(3, 32, 32)
    head.entry.measure(four_block_clip.normalised(images))
    own = own_tokens(four_block_clip, images, blocks)
    dense = own[:, 1:].flatten(0, 1)
    assert torch.allclose(head.entry.token, own[:, 0].mean(0), atol=1e-5)
    assert torch.allclose(head.entry.mean, dense.mean(0), atol=1e-5)
    assert torch.allclose(head.entry.spread, dense.std(0, correction=0), atol=1e-4)
    torch.manual_seed(0)
    entered = head.entry(torch.randn(1, 20_000, 32) * 7 + 3)[0]  # of whatever mean and spread
    assert torch.allclose(entered.mean(0), dense.mean(0), atol=0.05)
    assert torch.allclose(entered.std(0), dense.std(0), rtol=0.05, atol=0.01)


def test_what_enters_goes_through_the_blocks(four_block_clip, pictures):
    """Fails if class token, positions or a block are lost where statistics take the place of `ln_pre`."""
    vit = four_block_clip.vit()
    head = ClipSemanticHead(vit=vit, channels=8, blocks=2, calibrated=True)
    head.entry.measure(four_block_clip.normalised(pictures(2, 32, 32)))
    x = torch.randn(2, 8, 3, 5)
    dense = head.norm(head.adapter(x).flatten(2).transpose(1, 2)) + vit.position_table(3, 5)[1:]
    unit = (dense - dense.mean(-1, keepdim=True)) / (dense.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    tokens = torch.cat([head.entry.token.expand(2, 1, -1), unit * head.entry.spread + head.entry.mean], 1)
    for block in vit.blocks[2:]:
        tokens = block(tokens)
    assert torch.allclose(head(x).dense.flatten(2).transpose(1, 2), vit.project(tokens)[:, 1:], atol=1e-5)
