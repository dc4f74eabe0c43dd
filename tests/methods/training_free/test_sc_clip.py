"""SC-CLIP against values recorded from its released code (12 blocks of width 64, float64), and what is ours in it."""

import numpy as np
import pytest
import torch

from methods.training_free import sc_clip
from methods.training_free.per_picture import block_at, embedded
from methods.training_free.sc_clip_config import ScClipConfig
from tests.methods.training_free.recorded import (
    attention_output,
    close,
    labelled,
    make_filled,
    picture,
    slid,
    upsampled,
)

SALT = "sc-clip tiny"
VISION = {"image_size": 64, "patch_size": 8, "width": 64, "layers": 12, "head_width": 32}
NAMES = [["sky", "wall", "tree"], ["cat"], ["person", "person in shirt"], ["dog"], ["tv monitor", "screen", "monitor"]]


@pytest.fixture(scope="module")
def recorded(golden):
    return golden.arrays("sc_clip_tiny/values_f64")


@pytest.fixture(scope="module")
def clip(make_clip):
    return make_filled(make_clip, SALT, d=32, vision=VISION, text_width=64, text_layers=2)


@pytest.fixture
def method(clip):
    return sc_clip.build(clip=clip, vocabulary=None, config=ScClipConfig())


def stages(method, case):
    """Every recorded tensor of one picture, ours."""
    salt, side = (SALT + "native", 64) if case == "native" else (SALT + "big", 96)
    x = picture(salt, side, side, 8)
    c = method.config
    with torch.no_grad():
        out = {"ln_pre": embedded(method.tower, x)[0]}
        levels, grid = method.levels(x)
        for i in (8, 10):
            out[f"block.{i}"] = torch.cat([levels[i].cls[None], levels[i].patches])[:, None]
        last = levels[-1].patches
        out["lof.1.0"] = sc_clip.outlier_factors(last, neighbours=c.neighbours)
        found = sc_clip.anomalies(last, neighbours=c.neighbours, contamination=c.contamination)
        out["lof.0.0"] = found.nonzero()[:, 0]
        out["repaired.0.0"] = sc_clip.repair(last, found, grid).T.unflatten(1, grid)[None]
        out["repaired.0.1"] = sc_clip.repair(levels[method.before].patches, found, grid).T.unflatten(1, grid)[None]
        outputs, hook = attention_output(method)
        tokens, _ = method.tokens(x)
        hook.remove()
        out["attn.0.0"], out["attn.0.1"] = (o[0][:, None] for o in outputs)
        out["features"] = tokens[None]
    return out


@pytest.mark.parametrize("case", ["native", "big"])
def test_every_stage(recorded, method, case):
    """Fails on another outlier factor, repair, weighting, attention, level or position table."""
    ours = stages(method, case)
    assert np.array_equal(ours.pop("lof.0.0").numpy(), recorded[f"{case}.lof.0.0"])
    if case == "native":
        del ours["ln_pre"]  # recorded for the interpolated table alone
    for name, value in ours.items():
        close(value, recorded[f"{case}.{name}"], name)


@pytest.mark.parametrize("case", ["native", "big"])
def test_class_maps(recorded, method, case):
    """Fails when tokens or texts are not of unit norm before they meet."""
    side = {"native": 64, "big": 96}[case]
    text = torch.from_numpy(recorded["text_features"])
    with torch.no_grad():
        maps = method.cosines(picture(SALT + case, side, side, 8), text)
    close(upsampled(maps[None], (side, side)), recorded[f"{case}.logits"])


def test_windows_and_labels(recorded, method, slide):
    """Fails when windows are averaged otherwise than as cosines; every label is the released code's."""
    logits = slid(
        method, picture(SALT, 80, 112, 8), torch.from_numpy(recorded["query_features"]), slide, 64, 32, (75, 110)
    )
    close(logits, recorded["slide.logits"])
    for name, area in (("slide.pred_no_area", None), ("slide.pred_area", 0.15)):
        labels = labelled(logits, NAMES, scale=50, threshold=0.2, area=area)
        assert np.array_equal(labels.numpy(), recorded[name]), name


def test_texts(recorded, clip):
    """Fails when prototypes of several templates are not the mean of unit rows: the 80 sentences of ImageNet."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    templates = [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]
    ours = clip.text_prototypes([name for line in NAMES for name in line], templates)
    np.testing.assert_allclose(ours.numpy(), recorded["text_features"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"similar_above": 0.41},
        {"neighbours": 10},
        {"before_block": 7},
        {"after_block": 4},
        {"first_level": 4},
        {"last_level": 8},
        {"class_token": 0.301},
        {"sharpness": 3.01},
        {"contamination": 0.1},
    ],
)
def test_a_changed_constant_shows(recorded, clip, change):
    """Fails when the comparisons above would not see a constant change."""
    changed = sc_clip.build(clip=clip, vocabulary=None, config=ScClipConfig(**change))
    differing = 0
    for case, side in (("native", 64), ("big", 96)):
        with torch.no_grad():
            tokens, _ = changed.tokens(picture(SALT + case, side, side, 8))
        differing += not np.allclose(tokens, recorded[f"{case}.features"][0], rtol=1e-9, atol=1e-11)
    assert differing == 2


def test_towers_of_other_depths():
    """Fails when constants of 12 blocks point beyond a shallow tower, or are moved in a deeper one."""
    for depth in range(2, 11):
        blocks = [block_at(i, depth) for i in range(12)]
        assert blocks == sorted(blocks)
        assert all(0 <= block <= depth - 2 for block in blocks)
    assert [block_at(i, 24) for i in (3, 8, 9)] == [3, 8, 9]
