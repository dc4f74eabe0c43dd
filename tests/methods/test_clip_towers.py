"""Towers that are no vision transformer: CLIP's ResNets and timm trunks, against slow formulas and open_clip itself."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from methods.clip import load_clip
from methods.registry import build_method, config_class
from methods.training_free.dense_clip_config import ClipConfig

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1}
RESNET = {"image_size": 64, "layers": [1, 2, 1, 1], "width": 8, "head_width": 64}
TRUNKS = {
    "resnet": {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"},
    "own classifier": {"timm_model_name": "test_byobnet", "timm_pool": "avg", "timm_proj": None},
    "efficientnet": {"timm_model_name": "test_efficientnet", "timm_pool": "", "timm_proj": "linear"},
    "convnext": {"timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear"},
}


@pytest.fixture(scope="module")
def make_tower(tmp_path_factory):
    """A CLIP with such an image tower, every part of it away from its start: `make_tower({...})`."""

    def make(vision, *, weights=None, seed=0):
        config = {"embed_dim": 12, "vision_cfg": {"image_size": 64} | vision, "text_cfg": TEXT}
        path = tmp_path_factory.mktemp("clip") / "config.json"
        path.write_text(json.dumps(config))
        clip = load_clip("mine", weights and str(weights), config_file=path)
        if weights is None:
            stir(clip.model.visual, seed)
        return clip

    return make


def stir(visual, seed):
    """Norms that start as the identity, and scales that start at zero, would hide mistakes.

    BatchNorm takes its statistics from random pictures, so that activations neither fade nor grow.
    """
    generator = torch.Generator().manual_seed(seed)
    batch_norms = [module for module in visual.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in visual.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            for name, value in [*module.named_parameters(), *module.named_buffers()]:
                if name == "weight":
                    value.uniform_(0.5, 1.5, generator=generator)
                elif name == "bias":
                    value.normal_(0, 0.2, generator=generator)
    if batch_norms:
        for module in batch_norms:
            module.reset_running_stats()
            module.momentum = None
        with torch.no_grad():
            visual.train()(torch.randn(8, 3, 64, 64, generator=generator))
        visual.eval()


def pixels(clip, images):
    return clip.normalised(images)


def slow_pool(pool, features, table, *, plain):
    """The attention pool of one picture `(D, h, w)` in NumPy, query by query and head by head."""
    w = {n: v.double().numpy() for n, v in pool.state_dict().items()}
    columns = features.double().numpy().reshape(features.shape[0], -1).T  # (N, D)
    tokens = np.concatenate([columns.mean(0, keepdims=True), columns]) + table.double().numpy()
    project = lambda name, t: t @ w[f"{name}.weight"].T + w[f"{name}.bias"]  # noqa: E731
    q, k, v = (project(f"{n}_proj", tokens) for n in "qkv")
    size, out = q.shape[1] // pool.num_heads, np.zeros_like(v)
    for query in range(len(tokens)):
        for head in range(pool.num_heads):
            part = slice(head * size, (head + 1) * size)
            scores = np.exp(k[:, part] @ q[query, part] / np.sqrt(size))
            out[query, part] = scores / scores.sum() @ v[:, part]
    out = project("c_proj", out)
    dense = out[1:] if plain else project("c_proj", project("v_proj", columns))
    return out[0], dense.T.reshape(-1, *features.shape[1:])


@pytest.mark.parametrize("readout", ["plain", "value"])
@pytest.mark.parametrize("size", [(64, 64), (64, 128)])
def test_resnet_tokens_against_a_slow_attention_pool(make_tower, pictures, readout, size):
    """Fails on mixed-up heads, positions in the value path, a wrong grid order, or positions not interpolated."""
    clip = make_tower(RESNET)
    images = pictures(2, *size)
    tokens = clip.tokens(images, readout=readout)
    features = clip.tower().features(pixels(clip, images))
    table = clip.model.visual.attnpool.positional_embedding  # (5, D), 2 x 2
    if size == (64, 128):  # columns at -0.25 (held at the edge), 0.25, 0.75, 1.25 of 2
        left, right = table[1:].reshape(2, 2, -1).unbind(1)
        grid = torch.stack([left, 0.75 * left + 0.25 * right, 0.25 * left + 0.75 * right, right], dim=1)
        table = torch.cat([table[:1], grid.reshape(8, -1)])
    for i in range(2):
        cls, dense = slow_pool(clip.model.visual.attnpool, features[i], table, plain=readout == "plain")
        np.testing.assert_allclose(tokens.cls[i], cls, atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(tokens.dense[i], dense, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("vision", [RESNET, *TRUNKS.values()], ids=["RN", *TRUNKS])
def test_cls_is_what_open_clip_encodes(make_tower, pictures, vision):
    """Fails if CLS is not open_clip's own image embedding at the model's size, in either read-out."""
    clip, images = make_tower(vision), pictures(3, 64, 64)
    expected = clip.model.encode_image(pixels(clip, images))
    assert expected.std(0).min() > 1e-3  # the pictures differ
    for readout in ("plain", "value"):
        assert torch.allclose(clip.tokens(images, readout=readout).cls, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", TRUNKS)
def test_trunk_mean_of_dense_tokens(make_tower, pictures, name):
    """Fails if the head is lost on the way, or a norm after the pooling goes unnoticed: then the mean is not CLS."""
    clip = make_tower(TRUNKS[name])
    tokens = clip.tokens(pictures(2, 96, 64))
    assert tokens.dense.shape == (2, 12, 3, 2)
    same = torch.allclose(tokens.dense.mean((2, 3)), tokens.cls, atol=1e-5, rtol=1e-4)
    assert same == clip.tower().linear == (name != "convnext")


def test_trunk_norm_is_applied_to_each_position(make_tower, pictures):
    """ConvNeXt by hand: LayerNorm over the channels of one position, then the projection."""
    clip, images = make_tower(TRUNKS["convnext"]), pictures(1, 64, 96)
    visual = clip.model.visual
    features = visual.trunk.forward_features(pixels(clip, images))[0].double().numpy()  # (D, 2, 3)
    norm, proj = visual.trunk.head.norm, visual.head.proj.weight.double().numpy()
    dense = clip.tokens(images).dense[0]
    for row, column in np.ndindex(2, 3):
        x = features[:, row, column]
        x = (x - x.mean()) / np.sqrt(x.var() + norm.eps) * norm.weight.double().numpy() + norm.bias.double().numpy()
        np.testing.assert_allclose(dense[:, row, column], proj @ x, atol=1e-4, rtol=1e-4)


def test_trunk_of_one_size_and_channels_last(make_tower, pictures):
    """Swin: fails if its channels-last map is read as channels first, or a picture of another size stops it."""
    clip = make_tower({"timm_model_name": "swin_tiny_patch4_window7_224", "timm_proj": "linear", "image_size": 224})
    images = pictures(1, 224, 224)
    tokens = clip.tokens(images)
    assert torch.allclose(tokens.cls, clip.model.encode_image(pixels(clip, images)), atol=1e-5)
    mapped = clip.model.visual.trunk.forward_features(pixels(clip, images))  # (1, 7, 7, D)
    expected = clip.model.visual.head.proj.weight @ mapped[0, 2, 5]
    assert torch.allclose(tokens.dense[0, :, 2, 5], expected, atol=1e-5)
    assert clip.tokens(pictures(1, 64, 100)).dense.shape == (1, 12, 7, 7)


@pytest.mark.parametrize("vision", [RESNET, TRUNKS["convnext"]], ids=["RN", "convnext"])
def test_last_rows_are_seen(make_tower, pictures, vision):
    """Fails if rows beyond the last whole stride are cut off: sides are rounded to the nearest multiple."""
    clip, images = make_tower(vision), pictures(1, 76, 50)
    before = clip.tokens(images)
    assert before.dense.shape == (1, 12, 2, 2)
    images.pixels[..., -1, :] = 255 - images.pixels[..., -1, :]
    assert not torch.equal(clip.tokens(images).dense, before.dense)


@pytest.mark.parametrize("vision", [RESNET, TRUNKS["own classifier"]], ids=["RN", "trunk"])
def test_weights_from_a_file(make_tower, pictures, tmp_path, vision):
    """Fails if such a tower cannot be had from a file, or one of its tensors is not read from it."""
    clip, images = make_tower(vision, seed=3), pictures(1, 64, 64)
    save_file({n: v.contiguous() for n, v in clip.model.state_dict().items()}, tmp_path / "w.safetensors")
    again = make_tower(vision, weights=tmp_path / "w.safetensors")
    assert len(again.weights_sha256) == 64
    for readout in ("plain", "value"):
        one, other = clip.tokens(images, readout=readout), again.tokens(images, readout=readout)
        assert torch.equal(one.dense, other.dense)
        assert torch.equal(one.cls, other.cls)


@pytest.mark.parametrize("vision", [RESNET, TRUNKS["convnext"]], ids=["RN", "convnext"])
def test_methods_on_such_towers(make_tower, vocabulary, pictures, vision):
    """The training-free read-out works on any tower with dense tokens; ZegCLIP needs blocks and says so."""
    clip = make_tower(vision)
    method = build_method("clip", clip=clip, vocabulary=vocabulary(3), config=ClipConfig())
    assert method.scores(pictures(2, 64, 96), vocabulary(5)).shape == (2, 5, 2, 3)
    with pytest.raises(ValueError, match=r"mine: this needs the blocks of a vision transformer"):
        build_method("zegclip", clip=clip, vocabulary=vocabulary(3), config=config_class("zegclip")())


def test_frozen_and_deterministic(make_tower, pictures):
    """Fails if batch statistics move, training mode reaches the tower, or a pass leaves something behind."""
    clip, images = make_tower(TRUNKS["resnet"]), pictures(2, 64, 64)
    before = clip.tokens(images)
    nn.Sequential(clip).train()
    assert not any(m.training for m in clip.modules())
    assert torch.equal(clip.tokens(images).dense, before.dense)
    assert not before.dense.requires_grad
