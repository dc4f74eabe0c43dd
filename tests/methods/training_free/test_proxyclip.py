"""ProxyCLIP against values recorded from its released code with a small DINO (float64), and its body's weights."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from methods.bodies import dino
from methods.bodies.dino import Dino
from methods.training_free import proxyclip
from methods.training_free.per_picture import embedded
from methods.training_free.proxyclip import ProxyClip
from methods.training_free.proxyclip_config import ProxyClipConfig
from tests.methods.training_free.recorded import (
    attention_output,
    close,
    fill,
    labelled,
    make_filled,
    picture,
    slid,
    upsampled,
)

SALT = "proxyclip tiny"
VISION = {"image_size": 40, "patch_size": 8, "width": 64, "layers": 4, "head_width": 32}
NAMES = [["sky", "wall", "tree"], ["cat"], ["person"], ["potted plant"]]


@pytest.fixture(scope="module")
def recorded(golden):
    return golden.arrays("proxyclip_tiny/values_f64")


@pytest.fixture(scope="module")
def make(make_clip):
    clip = make_filled(make_clip, SALT, d=32, vision=VISION, text_width=64, text_layers=2, text_heads=2)
    body = Dino(patch=4, width=48, heads=3, depth=2, side=32)
    fill(body.vit, SALT, "dino.")
    return lambda **fields: ProxyClip(clip=clip, body=body, config=ProxyClipConfig(**fields))


def test_every_stage_of_a_window(recorded, make):
    """Fails on other pixels for the body, another position table, likeness, mean, grid or output."""
    method, x = make(), picture(SALT, 72, 90, 8)[..., :56, :56]
    with torch.no_grad():
        close(method.for_body(x), recorded["window.dino.pixels"])
        features = method.body(method.for_body(x))
        close(features, recorded["window.dino.feats"])
        close(embedded(method.tower, x)[0], recorded["window.ln_pre"])
        before, grid = method.before_last(x)
        close(before[0][:, None], recorded["window.before_last"])
        outputs, hook = attention_output(method)
        tokens, body_grid = method.tokens(x)
        hook.remove()
        close(outputs[0][:, None], recorded["window.attn"])
        assert (grid, body_grid) == ((7, 7), (14, 14))
        close(tokens[None], recorded["window.features"])
        maps = method.cosines(x, torch.from_numpy(recorded["query_features"]))
    close(upsampled(maps[None], (56, 56)), recorded["window.logits"])


def test_windows_and_labels(recorded, make, slide):
    """Fails when windows are averaged otherwise than as cosines; every label is the released code's."""
    text = torch.from_numpy(recorded["query_features"])
    logits = slid(make(), picture(SALT, 72, 90, 8), text, slide, 56, 28, (90, 113))
    close(logits, recorded["slide.logits"])
    assert np.array_equal(labelled(logits, NAMES, scale=40, threshold=0.3).numpy(), recorded["slide.pred"])


def test_padded_windows(recorded, make, slide):
    """Fails when padding stands on one side, is left in the map, or is no part of the attention."""
    text = torch.from_numpy(recorded["query_features"])
    logits = slid(make(), picture(SALT + "low", 48, 90, 8), text, slide, 56, 28, (60, 112))
    close(logits, recorded["padded.logits"])


@pytest.mark.parametrize("change", [{"threshold": 1.21}, {"sharpness": 3.01}, {"pad_to": 8}])
def test_a_changed_constant_shows(recorded, make, slide, change):
    """Fails when the comparisons above would not see a constant change."""
    text = torch.from_numpy(recorded["query_features"])
    logits = slid(make(**change), picture(SALT + "low", 48, 90, 8), text, slide, 56, 28, (60, 112))
    assert not np.allclose(logits, recorded["padded.logits"], rtol=1e-4, atol=1e-6)


def test_weights_of_the_body_come_from_a_file(make_clip, tmp_path, monkeypatch):
    """Fails when a published file's names do not fit, or a body is drawn at random without a word."""
    monkeypatch.setitem(dino.DINO, "dino-s16", dino.Size(16, 24, 2, "unused"))
    torch.manual_seed(1)
    drawn = Dino(patch=16, width=24, heads=2)
    torch.save(drawn.vit.state_dict(), tmp_path / "dino.pth")
    assert {"cls_token", "pos_embed", "blocks.0.attn.qkv.weight", "norm.bias"} <= drawn.vit.state_dict().keys()
    config = ProxyClipConfig(body="dino-s16", body_weights=str(tmp_path / "dino.pth"))
    method = proxyclip.build(clip=make_clip(), vocabulary=None, config=config)
    assert len(method.body.weights_sha256) == 64
    assert all(torch.equal(a, b) for a, b in zip(method.body.parameters(), drawn.parameters(), strict=True))
    assert not method.trained_state()
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        proxyclip.build(
            clip=make_clip(), vocabulary=None, config=ProxyClipConfig(body="dino-s16", body_weights="none.pth")
        )
    for fields in ({"body": "dino-b8"}, {"body_weights": "published"}):
        with pytest.raises(ValidationError, match="does not go with"):
            ProxyClipConfig(**fields)
