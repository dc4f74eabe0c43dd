"""OTSeg and OTSeg+ against every value recorded from the released code on a tiny configuration, float64 and float32.

Each test fails if the part it names departs from the released code; the recorded values come from that code alone.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from methods import losses
from methods.method import UNSEEN_EXTENT
from methods.otseg import otseg_head
from methods.otseg.otseg import build
from methods.otseg.otseg_config import OtSegConfig
from methods.otseg.otseg_head import transport
from methods.otseg.sinkhorn import solved
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

PLANS = {"f64": {"rtol": 1e-9, "atol": 1e-12}, "f32": {"rtol": 0, "atol": 5e-7}}
TERMS = {  # ours -> theirs
    "focal": "decode.loss_mask",
    "dice": "decode.loss_dice",
    "first_focal": "score.loss_mask",
    "first_dice": "score.loss_dice",
}


@pytest.fixture(scope="module")
def inputs(golden):
    return golden.arrays("otseg_tiny/inputs")


@pytest.fixture(scope="module")
def make_model(golden, make_clip, vocabulary, inputs):
    state = {k: torch.from_numpy(v) for k, v in golden.arrays("otseg_tiny/state").items()}
    vision = {"image_size": 36, "patch_size": 6, "width": 40, "layers": 3, "head_width": 8}
    text = torch.from_numpy(inputs["text_embeddings_f16"].astype(np.float32))

    def make(precision, setting="inductive", scored="mean"):
        clip = make_clip(embed_dim=24, vision=vision)
        load_tower(clip, state)
        config = OtSegConfig(
            setting=setting, scored=scored, prompt_tokens=3, text_prompts=4, prompt_dropout=0, decoder_dropout=0
        )
        model = build(clip=clip, vocabulary=vocabulary_in(vocabulary, setting), config=config)
        model.load_trained_state(model.trained_part(state, "state.npz"))
        model.text = text[list(SEEN)] if setting == "inductive" else text
        return model.to(DTYPE[precision]).train(), text.to(DTYPE[precision])

    return make


@pytest.fixture(params=["f64", "f32"])
def precision(request):
    return request.param


@pytest.fixture
def iterations(monkeypatch):
    """How often each call of Sinkhorn's algorithm iterated, in order."""
    counts = []

    def counted(similarity, *, together=True):
        plan, count = solved(similarity, together=together)
        counts.append(count)
        return plan

    monkeypatch.setattr(otseg_head, "transport_plan", counted)
    return counts


def batch(inputs, precision, labels="labels_mapped_inductive"):
    return torch.from_numpy(inputs["images"]).to(DTYPE[precision]), torch.from_numpy(inputs[labels])


@pytest.mark.parametrize("case", ["ordinary", "one_prompt", "wide", "wide_first_alone", "equal_sizes", "many_patches"])
def test_sinkhorn_alone(golden, inputs, precision, case):
    """Fails on another epsilon, tolerance, stop rule, order of updates, marginal, or on a detached iteration."""
    scalars = golden.json("otseg_tiny/scalars")[precision]["sinkhorn_cases"][case]
    recorded = golden.arrays(f"otseg_tiny/sinkhorn_{precision}")
    cost = torch.from_numpy(inputs[f"sinkhorn.{case}.cost"]).to(DTYPE[precision]).requires_grad_(True)
    plan, count = solved(1 - cost.transpose(1, 2)[:, None])  # one class: (B, 1, N, P)
    plan = plan[:, 0].transpose(1, 2)
    assert abs(count - scalars["iterations"]) <= (0 if precision == "f64" else 1)
    if case == "many_patches":
        close(plan[0, :64], recorded["many_patches.plan_first64"], PLANS[precision])
        return
    close(plan, recorded[f"{case}.plan"], PLANS[precision])
    (plan * torch.from_numpy(inputs[f"sinkhorn.{case}.cotangent"])).sum().backward()
    gradient = recorded[f"{case}.grad"]
    room = 1e-9 if precision == "f64" else 1e-4
    close(cost.grad, gradient, {"rtol": 0, "atol": max(room * abs(gradient).max(), 1e-13 if room < 1e-6 else 1e-6)})


def test_features_plans_and_maps_of_every_stage(golden, make_model, inputs, iterations, precision):
    """A wrong query, norm, head count, scale of a plan, dropout place or product of maps shows at its own stage."""
    model, _ = make_model(precision)
    recorded = golden.arrays(f"otseg_tiny/intermediates_{precision}")
    check = lambda ours, name, t=TOLERANCE: close(ours, recorded[name], t[precision], name)  # noqa: E731
    x, _ = batch(inputs, precision)
    tokens, head = model.encoder(x), model.head
    outputs, _ = model.encoder.outputs(x, range(3))
    for i in range(3):
        close(outputs[i], recorded[f"block{i}"][:, np.r_[0, 4:40]], TOLERANCE[precision])
    check(tokens.cls, "g")
    check(tokens.dense, "H")
    queries, memory = head.prompt_queries(tokens.cls, model.text), tokens.dense.flatten(2).transpose(1, 2)
    check(queries, "q")
    first = transport(queries, memory, together=True)
    found = [("mps", first)]
    for i, layer in enumerate(head.decoder.layers):
        queries, transported = layer(queries, memory)
        check(queries, f"dec{i}_out")
        found.append((f"dec{i}", transported))
    found.append(("dec2", head.decoder.last(queries, memory)))
    for name, transported in found:
        check(transported.similarity.transpose(2, 3), f"{name}_sim")
        check(transported.plan.transpose(2, 3), f"{name}_plan", PLANS)
        check(transported.map.reshape(recorded[f"{name}_map"].shape), f"{name}_map")
    calls = golden.json("otseg_tiny/scalars")[precision]["sinkhorn_calls"]["inductive"]
    assert iterations == [calls[name]["iterations"] for name, _ in found]
    maps = model.mask_maps(x, model.text)
    check(maps[""], "decoder_map")
    check(losses.upsampled(maps[""], (36, 36)), "pred_masks")
    check(losses.upsampled(maps["first_"], (36, 36)), "score_masks")


MUTATIONS = {
    "epsilon": lambda m, p: p.setattr("methods.otseg.sinkhorn.EPSILON", 0.051),
    "tolerance": lambda m, p: p.setattr("methods.otseg.sinkhorn.TOLERANCE", 1e-5),
    "fewer iterations": lambda m, p: p.setattr("methods.otseg.sinkhorn.ITERATIONS", 8),
    "marginals without 1e-8": lambda m, p: p.setattr("methods.otseg.sinkhorn.INSIDE_LOG", 0.0),
    "class embedding once": lambda m, p: p.setattr(m.encoder, "class_copies", 1),
    "norm's epsilon": lambda m, p: p.setattr(m.encoder.norm, "eps", 1e-5),
    "plan times P alone": lambda m, p: p.setattr(
        otseg_head.Transport, "map", property(lambda t: t.plan.shape[-1] * (t.plan * t.similarity).sum(2))
    ),
    "the last map alone": lambda m, p: p.setattr(m.head, "switches", otseg_head.Switches(product=False)),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_constant_shows(golden, make_model, inputs, monkeypatch, name):
    """Fails when the comparisons above would not see a constant of the method change."""
    model, _ = make_model("f64")
    recorded = golden.arrays("otseg_tiny/intermediates_f64")
    MUTATIONS[name](model, monkeypatch)
    maps = model.mask_maps(batch(inputs, "f64")[0], model.text)
    terms = model.losses_of(*batch(inputs, "f64"), progress=0.0)
    scalars = golden.json("otseg_tiny/scalars")["f64"]["losses"]["inductive"]
    same = [np.allclose(maps[""].detach(), recorded["decoder_map"], **TOLERANCE["f64"])]
    same.append(np.allclose(maps["first_"].detach(), recorded["mps_map"], **TOLERANCE["f64"]))
    same += [terms[ours].item() == pytest.approx(scalars[theirs], rel=1e-9) for ours, theirs in TERMS.items()]
    assert same.count(False) >= (3 if name == "the last map alone" else 4)  # dice is the least sensitive


@pytest.mark.parametrize(("case", "setting", "labels"), SETTINGS)
def test_losses_in_every_setting(golden, make_model, inputs, precision, case, setting, labels):
    """Fails when a map has no loss, another weight, or a setting is handled otherwise."""
    model, _ = make_model(precision, setting)
    recorded = golden.json("otseg_tiny/scalars")[precision]["losses"][case]
    x, original = batch(inputs, precision, labels)
    ours = model.losses_of(x, mapped(original, setting), progress=1.0)
    tolerance = 1e-9 if precision == "f64" else 1e-5
    assert ours.keys() == TERMS.keys()
    for name, theirs in TERMS.items():
        assert ours[name].item() == pytest.approx(recorded[theirs], rel=tolerance), name
    assert sum(ours.values()).item() == pytest.approx(recorded["total"], rel=tolerance)


class Dropping(nn.Module):
    """Dropout at p = 1 in one of the places that a layer uses it in, by the order of its calls."""

    def __init__(self, place):
        super().__init__()
        self.place, self.calls = place, 0

    def forward(self, x):
        self.calls += 1
        return x * 0 if (self.calls - 1) % 4 == self.place else x


@pytest.mark.parametrize("site", ["prompt_dropout", "attn_drop", "dropout", "dropout1", "dropout2", "dropout3"])
def test_dropout_stands_where_the_released_code_has_it(golden, make_model, inputs, site):
    """Fails when a place of dropout is missing or moved, such as one on the map instead of on the weights."""
    model, _ = make_model("f64")
    if site == "prompt_dropout":
        model.encoder.dropout.forward = lambda x: x * 0
    else:  # theirs: the first norm's (never run), on weights, after attention, inside and after the feed-forward
        place = {"attn_drop": 0, "dropout2": 1, "dropout": 2, "dropout3": 3}.get(site, -1)
        for layer in model.head.decoder.layers:
            layer.dropout = Dropping(place)
    ours = model.losses_of(*batch(inputs, "f64"), progress=0.0)
    recorded = golden.json("otseg_tiny/scalars")["f64"]["losses_with_one_dropout_site_at_p1"][site]
    assert {theirs: ours[name].item() for name, theirs in TERMS.items()} == pytest.approx(recorded, rel=1e-9)


def test_pseudo_labels(golden, make_model, inputs, precision):
    """Fails if pseudo labels follow one map alone, or a seen class or another pixel can be given."""
    model, text = make_model(precision, "transductive-known-extent")
    recorded = golden.arrays(f"otseg_tiny/intermediates_{precision}")
    x, original = batch(inputs, precision, "labels")
    maps = model.mask_maps(x, text)
    close(maps[""], recorded["st_decoder_map"], TOLERANCE[precision])
    close(maps["first_"], recorded["st_mps_map"], TOLERANCE[precision])
    given = []
    model.criterion = lambda logits, labels: given.append(labels) or {}
    model.losses_of(x, self_training_labels(original), progress=1.0)
    assert len(given) == 2
    assert all(np.array_equal(labels.numpy(), recorded["st_labels"]) for labels in given)
    assert UNSEEN_EXTENT not in given[0]


def test_gradients_of_every_trained_parameter(golden, make_model, inputs, precision):
    """Fails if a parameter gets another gradient, none, or one it does not get in the released code."""
    model, _ = make_model(precision)
    sum(model.losses_of(*batch(inputs, precision), progress=0.0).values()).backward()
    recorded, ours = golden.arrays(f"otseg_tiny/grads_{precision}"), official_parameters(model)
    assert len(recorded) == 44
    assert ours.keys() == recorded.keys()
    for name, gradient in recorded.items():
        tolerance = {"rtol": 0, "atol": (1e-9 if precision == "f64" else 1e-4) * abs(gradient).max()}
        close(ours[name].grad, gradient, tolerance, name)


@pytest.mark.parametrize("term", [*TERMS, "self-training"])
def test_gradient_norms_of_each_loss(golden, make_model, inputs, term):
    """Fails if one of the terms is detached or weighted otherwise, or a gradient flows through the pseudo labels."""
    model, _ = make_model("f64", "transductive-known-extent" if term == "self-training" else "inductive")
    x, labels = batch(inputs, "f64", "labels")
    terms = model.losses_of(x, mapped(labels, model.config.setting), progress=1.0)
    (terms[term] if term in terms else sum(terms.values())).backward()
    scalars = golden.json("otseg_tiny/scalars")["f64"]
    recorded = (
        scalars["grad_norms_by_loss"][TERMS[term]] if term in terms else scalars["grad_norms_self_training_total"]
    )
    for name, parameter in official_parameters(model).items():
        if recorded[name] is None:
            assert parameter.grad is None, name
        else:
            assert parameter.grad.norm().item() == pytest.approx(recorded[name], rel=1e-9, abs=1e-11), name


def test_five_optimiser_steps(golden, make_model, inputs, precision):
    """Fails if a trained tensor is missing from the optimiser's groups or stands in one with another rate."""
    model, _ = make_model(precision)
    recorded = golden.json("otseg_tiny/scalars")[precision]["adamw_5_steps_losses_before_each_step_and_after_last"]
    steps = five_steps(model, lambda: model.losses_of(*batch(inputs, precision), progress=0.0))
    for ours, row in zip(steps, recorded["rows"], strict=True):
        expected = dict(zip(recorded["columns"], row, strict=True))
        for name, theirs in TERMS.items():
            assert ours[name].item() == pytest.approx(expected[theirs], rel=1e-9 if precision == "f64" else 2e-5)
    parameters = official_parameters(model)
    for name, value in golden.arrays(f"otseg_tiny/after5steps_{precision}").items():
        close(parameters[name], value, {"rtol": 0, "atol": 1e-9} if precision == "f64" else TOLERANCE["f32"], name)


@pytest.mark.parametrize(
    ("mode", "size", "window", "stride", "original"),
    [
        ("inductive", (55, 36), 36, 25, (47, 30)),
        ("inductive", (36, 67), 36, 25, (25, 44)),
        ("self_training", (55, 36), 36, 25, (47, 30)),
        ("small_window", (55, 36), 26, 17, (47, 30)),
    ],
)
def test_sliding_window(golden, make_model, inputs, slide, precision, mode, size, window, stride, original):
    """Fails if the maps are averaged after the sigmoid, or shift, windows and resizing come in another order.

    In a window smaller than the training crop the released code leaves out the pixels beyond the last whole patch, and
    brings the maps to the crop's size first.
    """
    setting = "transductive-known-extent" if mode == "self_training" else "inductive"
    model, text = make_model(precision, setting)
    recorded = golden.arrays(f"otseg_tiny/inference_{precision}")
    name = f"{mode}.{size[0]}x{size[1]}"
    x = torch.from_numpy(inputs[f"slide_image_{size[0]}x{size[1]}"]).to(DTYPE[precision])

    def activated(pixels):
        whole = pixels[..., : window // 6 * 6, : window // 6 * 6]
        scores = model.activate(losses.upsampled(model.mask_logits(whole, text), (36, 36)), IS_SEEN)
        return losses.upsampled(scores, pixels.shape[-2:])

    with torch.no_grad():
        canvas = slide.run(activated, x, window, stride)
        resized = F.interpolate(canvas, original, mode="bilinear", align_corners=False)
    close(canvas, recorded[f"{name}.scores_input_size"], SCORES[precision])
    close(resized, recorded[f"{name}.scores_ori_size"], SCORES[precision])
    assert np.array_equal(resized.argmax(1)[0].numpy(), recorded[f"{name}.argmax"])


def test_single_window_in_evaluation_mode(golden, make_model, inputs, precision):
    """Fails if a map differs in evaluation mode, or the wrong one is scored by either method."""
    recorded = golden.arrays(f"otseg_tiny/inference_{precision}")
    model, text = make_model(precision)
    model.eval()
    x, _ = batch(inputs, precision)
    with torch.no_grad():
        maps = model.both_maps(x, text, together=True)
        close(maps.decoder, recorded["single_window.decoder_map"], TOLERANCE[precision])
        close(maps.first, recorded["single_window.mps_map"], TOLERANCE[precision])
        mean = losses.upsampled(maps.decoder / 2 + maps.first / 2, (36, 36))
        close(model.activate(mean, IS_SEEN)[:1], recorded["single_window.scores"], SCORES[precision])
        close(model.mask_logits(x, text), (maps.decoder + maps.first).numpy() / 2, {"rtol": 0, "atol": 1e-4})
        alone, _ = make_model(precision, scored="decoder")
        close(alone.eval().mask_logits(x, text), maps.decoder, {"rtol": 0, "atol": 1e-4})
