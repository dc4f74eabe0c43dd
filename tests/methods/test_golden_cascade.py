"""Cascade-CLIP against every value recorded from its released code on a tiny configuration, in float64 and float32.

Each test fails if the part it names departs from the released code; the recorded values come from that code alone.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from methods import losses
from methods.cascade_clip.cascade_clip import build
from methods.cascade_clip.cascade_clip_config import CascadeClipConfig
from methods.method import UNSEEN_EXTENT
from tests.methods.recorded import (
    DTYPE,
    IS_SEEN,
    SCORES,
    SEEN,
    SETTINGS,
    TOLERANCE,
    close,
    five_steps,
    load_tower,
    mapped,
    official_parameters,
    self_training_labels,
    vocabulary_in,
)

FEATURES = {"f64": TOLERANCE["f64"], "f32": {"rtol": 0, "atol": 5e-6}}
FOLDED = tuple(f"layers.{i}.multihead_attn.k.bias" for i in (0, 1))  # no gradient but noise: softmax ignores shifts


@pytest.fixture(scope="module")
def inputs(golden):
    return golden.arrays("cascade_tiny/inputs")


@pytest.fixture(scope="module")
def make_model(golden, make_clip, vocabulary, inputs):
    state = {k: torch.from_numpy(v) for k, v in golden.arrays("cascade_tiny/state").items()}
    vision = {"image_size": 30, "patch_size": 5, "width": 24, "layers": 8, "head_width": 8}
    text = torch.from_numpy(inputs["text_embeddings_f16"].astype(np.float32))

    def make(precision, setting="inductive"):
        clip = make_clip(embed_dim=15, vision=vision)
        load_tower(clip, state)
        config = CascadeClipConfig(
            setting=setting, prompt_tokens=3, decoder_heads=5, prompt_dropout=0, decoder_dropout=0
        )
        model = build(clip=clip, vocabulary=vocabulary_in(vocabulary, setting), config=config)
        model.load_trained_state(model.trained_part(state, "state.npz"))
        model.text = text[list(SEEN)] if setting == "inductive" else text
        return model.to(DTYPE[precision]).train(), text.to(DTYPE[precision])

    return make


@pytest.fixture(params=["f64", "f32"])
def precision(request):
    return request.param


def batch(inputs, precision, labels="labels_mapped_inductive"):
    return torch.from_numpy(inputs["images"]).to(DTYPE[precision]), torch.from_numpy(inputs[labels])


def test_features_queries_and_masks_of_every_stage(golden, make_model, inputs, precision):
    """A wrong tap, norm, projection, weight of the aggregation, query or decoder shows at its own stage."""
    model, _ = make_model(precision)
    recorded = golden.arrays(f"cascade_tiny/intermediates_{precision}")
    check = lambda ours, name, t=TOLERANCE: close(ours, recorded[name], t[precision], name)  # noqa: E731
    x, _ = batch(inputs, precision)
    encoder, head = model.encoder, model.head
    check(encoder.vit.patches(x), "conv1")
    check(encoder.prompts(), "prompts_projected")
    outputs, _ = encoder.outputs(x, range(8))
    places = np.r_[0, 4:40]  # without the prompts
    for i in range(8):
        close(outputs[i], recorded[f"block{i}"][:, places], TOLERANCE[precision])
    for tap in (0, 5):
        normed = encoder.norm(outputs[1 + tap])
        close(normed, recorded[f"tap{tap}_prompt_norm"][:, places], TOLERANCE[precision])
        close(encoder.tap_norms[tap](normed), recorded[f"tap{tap}_ln_layers"][:, places], TOLERANCE[precision])
    tokens = encoder.layers(x)
    for i, features in enumerate(tokens.middle):
        check(features, f"F{i}", FEATURES)
    check(tokens.last.cls, "g", FEATURES)
    check(tokens.last.dense, "H", FEATURES)
    stages = [*head.aggregated(tokens.middle), tokens.last.dense]
    for s, (stage, dense) in enumerate(zip(head.stages, stages, strict=True), start=1):
        memory = dense.flatten(2).transpose(1, 2)
        check(memory, f"Z{s}", FEATURES)
        queries = stage.queries(tokens.last.cls, model.text)
        check(queries, f"q{s}")
        for i, layer in enumerate(stage.decoder.layers):
            queries, scores = layer(queries, memory)
            check(queries, f"dec{s}_{i}_out")
            check(scores.mean(1), f"dec{s}_{i}_mask")
        check(stage.decoder.last(queries, memory).mean(1), f"dec{s}_2_mask")
    check(losses.upsampled(model.mask_logits(x, model.text), (30, 30)), "pred_masks")


def _heads_that_average(model, patch):
    summed = model.head.forward
    patch.setattr(model.head, "forward", lambda tokens, text: summed(tokens, text) / 3)


MUTATIONS = {
    "class embedding once": lambda m, p: p.setattr(m.encoder, "class_copies", 1),
    "a tap before its block": lambda m, p: p.setattr(m.encoder, "taps", tuple(t - 1 for t in m.encoder.taps)),
    "norm's epsilon": lambda m, p: p.setattr(m.encoder.norm, "eps", 1e-5),
    "CLIP's projection": lambda m, p: p.setattr(m.encoder, "random_projections", False),
    "no aggregation": lambda m, p: p.setattr(m.head, "weights", nn.ParameterList()),
    "weights reversed": lambda m, p: [w.data.copy_(w.flip(0)) for w in m.head.weights],
    "mean of masks": _heads_that_average,
    "one query for all": lambda m, p: [setattr(s, "query", m.head.stages[2].query) for s in m.head.stages],
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_constant_shows(golden, make_model, inputs, monkeypatch, name):
    """Fails when the comparisons above would not see the method change in a part of its own."""
    model, text = make_model("f64")
    MUTATIONS[name](model, monkeypatch)
    x, labels = batch(inputs, "f64")
    masks = losses.upsampled(model.mask_logits(x, model.text), (30, 30)).detach()
    terms = model.losses_of(x, labels, progress=0.0)
    scores = model.activate(losses.upsampled(model.mask_logits(x, text), (30, 30)), IS_SEEN).detach()
    recorded = golden.json("cascade_tiny/scalars")["f64"]["losses"]["inductive"]
    same = [np.allclose(masks, golden.arrays("cascade_tiny/intermediates_f64")["pred_masks"], **TOLERANCE["f64"])]
    same.append(
        np.allclose(scores, golden.arrays("cascade_tiny/inference_f64")["inductive.single_window"], **SCORES["f64"])
    )
    same.append(terms["focal"].item() == pytest.approx(recorded["focal_weighted_x100"], rel=1e-9))
    same.append(terms["dice"].item() == pytest.approx(recorded["dice"], rel=1e-9))
    assert same.count(False) >= 3  # dice is the least sensitive


@pytest.mark.parametrize(("case", "setting", "labels"), SETTINGS)
def test_losses_in_every_setting(golden, make_model, inputs, precision, case, setting, labels):
    """Fails when the stages are averaged, or have losses of their own, or a setting is handled otherwise."""
    model, _ = make_model(precision, setting)
    recorded = golden.json("cascade_tiny/scalars")[precision]["losses"][case]
    x, original = batch(inputs, precision, labels)
    ours = model.losses_of(x, mapped(original, setting), progress=1.0)
    tolerance = 1e-9 if precision == "f64" else 1e-5
    assert ours["focal"].item() == pytest.approx(recorded["focal_weighted_x100"], rel=tolerance)
    assert ours["dice"].item() == pytest.approx(recorded["dice"], rel=tolerance)
    assert sum(ours.values()).item() == pytest.approx(recorded["total"], rel=tolerance)


def test_pseudo_labels(golden, make_model, inputs, precision):
    """Fails if a seen class can be given, or a pixel that is no unseen object's."""
    model, text = make_model(precision, "transductive-known-extent")
    recorded = golden.arrays(f"cascade_tiny/intermediates_{precision}")
    x, original = batch(inputs, precision, "labels")
    logits = losses.upsampled(model.mask_logits(x, text), (30, 30))
    close(logits, recorded["st_pred_masks"], TOLERANCE[precision])
    given = losses.pseudo_labelled(self_training_labels(original), logits, model.seen, UNSEEN_EXTENT)
    assert np.array_equal(given.numpy(), recorded["st_labels"])


def test_gradients_of_every_trained_parameter(golden, make_model, inputs, precision):
    """Fails if a parameter gets another gradient, none, or one it does not get in the released code."""
    model, _ = make_model(precision)
    sum(model.losses_of(*batch(inputs, precision), progress=0.0).values()).backward()
    recorded, ours = golden.arrays(f"cascade_tiny/grads_{precision}"), official_parameters(model)
    norms = golden.json("cascade_tiny/scalars")[precision]["grad_norms_inductive_total"]
    assert len(recorded) == 122
    assert ours.keys() == recorded.keys() == {name for name, norm in norms.items() if norm is not None}
    for name, gradient in recorded.items():
        tolerance = TOLERANCE["f64"]
        if name.endswith(FOLDED):
            tolerance = {"rtol": 0, "atol": 1e-12 if precision == "f64" else 1e-5}
        elif precision == "f32":
            tolerance = {"rtol": 0, "atol": 1e-4 * abs(gradient).max()}
        close(ours[name].grad, gradient, tolerance, name)


@pytest.mark.parametrize("key", ["focal_x100", "dice", "self_training_total"])
def test_gradient_norms_of_each_loss(golden, make_model, inputs, key):
    """Fails if one of the terms is detached or weighted otherwise, or a gradient flows through the pseudo labels."""
    model, _ = make_model("f64", "transductive-known-extent" if key.startswith("self") else "inductive")
    x, labels = batch(inputs, "f64", "labels")
    terms = model.losses_of(x, mapped(labels, model.config.setting), progress=1.0)
    (terms[key.split("_")[0]] if key[0] != "s" else sum(terms.values())).backward()
    recorded = golden.json("cascade_tiny/scalars")["f64"][f"grad_norms_{key}"]
    for name, parameter in official_parameters(model).items():
        assert parameter.grad.norm().item() == pytest.approx(recorded[name], rel=1e-9, abs=1e-11), name


def test_five_optimiser_steps(golden, make_model, inputs, precision):
    """Fails if a trained tensor, such as the weights of the aggregation, is missing from the optimiser's groups."""
    model, _ = make_model(precision)
    fixed = {name: b.clone() for name, b in model.encoder.named_buffers() if name.startswith(("tap_norms", "proj"))}
    key = "adamw_5_steps_losses_focal100_dice_total_before_each_step_and_after_last"
    recorded = golden.json("cascade_tiny/scalars")[precision][key]
    steps = five_steps(model, lambda: model.losses_of(*batch(inputs, precision), progress=0.0))
    for ours, expected in zip(steps, recorded, strict=True):
        tolerance = 1e-9 if precision == "f64" else 2e-5
        assert [ours["focal"].item(), ours["dice"].item()] == pytest.approx(expected[:2], rel=tolerance)
    parameters = official_parameters(model)
    for name, value in golden.arrays(f"cascade_tiny/after5steps_{precision}").items():
        if not name.endswith(FOLDED):
            close(parameters[name], value, TOLERANCE[precision], name)
        elif precision == "f64":
            close(parameters[name], value, {"rtol": 0, "atol": 1e-8}, name)
    assert len(fixed) == 13
    assert all(torch.equal(value, model.encoder.get_buffer(name)) for name, value in fixed.items())


@pytest.mark.parametrize(
    ("mode", "size", "stride", "original"),
    [
        ("inductive", (49, 37), 17, (37, 29)),
        ("inductive", (30, 53), 13, (23, 41)),
        ("self_training", (49, 37), 17, (37, 29)),
    ],
)
def test_sliding_window(golden, make_model, inputs, slide, precision, mode, size, stride, original):
    """Fails if sigmoid, seen-score shift, averaging and resizing happen in another order or to other classes."""
    model, text = make_model(precision, "inductive" if mode == "inductive" else "transductive-known-extent")
    recorded = golden.arrays(f"cascade_tiny/inference_{precision}")
    name = f"{mode}.{size[0]}x{size[1]}"
    x = torch.from_numpy(inputs[f"slide_image_{size[0]}x{size[1]}"]).to(DTYPE[precision])

    def activated(window):
        return model.activate(losses.upsampled(model.mask_logits(window, text), window.shape[-2:]), IS_SEEN)

    with torch.no_grad():
        canvas = slide.run(activated, x, 30, stride)
        resized = F.interpolate(canvas, original, mode="bilinear", align_corners=False)
        single = activated(batch(inputs, precision)[0])
    close(canvas, recorded[f"{name}.scores_input_size"], SCORES[precision])
    close(resized, recorded[f"{name}.scores_ori_size"], SCORES[precision])
    assert np.array_equal(resized.argmax(1)[0].numpy(), recorded[f"{name}.argmax"])
    if mode == "inductive":
        close(single, recorded["inductive.single_window"], SCORES[precision])
