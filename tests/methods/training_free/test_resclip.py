"""ResCLIP and PAMR against values recorded from their released code (12 blocks of width 64, float64)."""

import numpy as np
import pytest
import torch

from methods.training_free import resclip
from methods.training_free.pamr import refined
from methods.training_free.resclip_config import ResClipConfig
from tests.methods.training_free.recorded import close, labelled, make_filled, picture, slid, upsampled

SALT = "resclip tiny 2"
VISION = {"image_size": 128, "patch_size": 16, "width": 64, "layers": 12, "head_width": 32}
NAMES = [["sky", "wall"], ["cat"], ["person"], ["dog"], ["screen"]]
CONSTANTS = {
    "weak_below": 0.22,
    "weak_class": "first",
    "middle_scale": 2.0,
    "middle_share": 0.3,
    "feedback_scale": 2.1,
    "feedback_share": 0.7,
}
VARIANTS = {
    "resclip": {},
    "clearclip": {"attention": "qq"},
    "sclip": {"attention": "qq+kk", "residual": True},
}


@pytest.fixture(scope="module")
def recorded(golden):
    return golden.arrays("resclip_tiny/values_f64")


@pytest.fixture(scope="module")
def make(make_clip):
    clip = make_filled(make_clip, SALT, d=32, vision=VISION, text_width=64, text_layers=2)
    return lambda **fields: resclip.build(clip=clip, vocabulary=None, config=ResClipConfig(**(CONSTANTS | fields)))


@pytest.fixture(scope="module")
def text(recorded):
    return torch.from_numpy(recorded["query_features"])


@pytest.fixture
def window():
    return picture(SALT, 144, 176, 16)[..., :128, :128]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_stage_of_a_window(recorded, make, text, window, name):
    """Fails on other middle blocks, shares, roundings, refinement, weak pixels, or another feedback matrix."""
    method = make(**VARIANTS[name])
    with torch.no_grad():
        entering = method.entering(window)
        probabilities = method.probabilities(window, entering, text)
        classes = method.patch_classes(probabilities)
        assert np.array_equal(classes.numpy(), recorded[f"{name}.classes"])
        matrix = resclip.feedback(classes, method.config.blur)
        if name == "resclip":
            close(probabilities[None, :, ::3, ::3], recorded["resclip.probabilities"])
            close(matrix[None], recorded["resclip.sfr"])
        close(method.last_block(entering, matrix)[None], recorded[f"{name}.features"])


def test_windows_and_labels(recorded, make, text, slide):
    """Fails when windows are averaged otherwise than as cosines; every label is the released code's."""
    logits = slid(make(), picture(SALT, 144, 176, 16), text, slide, 128, 64, (61, 75))
    close(logits, recorded["slide.logits"])
    assert np.array_equal(labelled(logits, NAMES, scale=40, threshold=0.2).numpy(), recorded["slide.pred"])


def test_a_whole_picture_whose_side_is_no_multiple_of_the_patch(recorded, make, text):
    """Fails when the rest of the picture is squeezed in, or the position table is interpolated by size."""
    x = picture(SALT + "tall", 160, 120, 16)
    with torch.no_grad():
        maps = make().cosines(x, text)
    assert maps.shape[-2:] == (10, 7)
    close(upsampled(maps[None], (160, 120))[..., ::2, ::2], recorded["whole.logits"])


@pytest.mark.parametrize(
    "change",
    [
        {"spread": 5.1},
        {"weak_below": 0.9},
        {"middle_scale": 2.01},
        {"middle_share": 0.31},
        {"feedback_scale": 2.11},
        {"feedback_share": 0.71},
        {"blur": 5.1},
        {"refine_steps": 1},
        {"logit_scale": 2.0},
        {"residual": True},
    ],
)
def test_a_changed_constant_shows(recorded, make, text, slide, change):
    """Fails when the comparisons above would not see a constant change."""
    with torch.no_grad():
        logits = slid(make(**change), picture(SALT, 144, 176, 16), text, slide, 128, 64, (61, 75))
    assert (abs(logits.numpy() - recorded["slide.logits"]) > 1e-9).mean() > 0.2


@pytest.mark.parametrize(("steps", "dilations"), [(10, (8, 16)), (2, (1, 4))])
def test_pamr(golden, steps, dilations):
    """Fails on another affinity, spread, padding, or a centre that counts."""
    recorded = golden.arrays("sc_clip_tiny/values_f64")
    maps, image = picture("sc-clip tinymask", 24, 30, 7)[0], picture("sc-clip tinypamr", 24, 30, 5)[0]
    ours = refined(image, maps, steps=steps, dilations=dilations)
    close(ours[None], recorded["pamr." + "_".join(map(str, (steps, *dilations)))])


def test_weak_pixels_belong_to_no_class(make, text, window):
    """Fails when, without a background class, the order of classes decides what weak pixels are like."""
    probabilities = torch.full((3, 32, 32), 0.1, dtype=torch.float64)
    probabilities[0, :16], probabilities[1, 16:] = 0.8, 0.3  # the lower half is weak
    classes = {kind: make(weak_class=kind, weak_below=0.5).patch_classes(probabilities) for kind in ("apart", "first")}
    assert classes["apart"].tolist() == [[0, 0], [3, 3]]
    assert classes["first"].tolist() == [[0, 0], [0, 0]]
    method = make(weak_class="apart")
    with torch.no_grad():
        close(method.cosines(window, text.flip(0)).flip(0), method.cosines(window, text).numpy())
    assert not method.vocabulary_chunkable
