"""ZegCLIP against every value recorded from the released code on a tiny configuration, in float64 and float32.

Each test fails if the part it names departs from the released code; the recorded values come from that code alone.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from methods import losses
from methods.method import UNSEEN_EXTENT
from methods.zegclip import released_checkpoint as released
from methods.zegclip.released import released_name
from methods.zegclip.zegclip import build
from methods.zegclip.zegclip_config import ZegClipConfig

SEEN = (0, 1, 3, 4, 6)
UNSEEN = (2, 5)
# float64: implementation equality; float32: what the recorded float32 run differs from float64, with some room.
TOLERANCE = {"f64": {"rtol": 1e-9, "atol": 1e-11}, "f32": {"rtol": 1e-4, "atol": 2e-5}}
SCORES = {"f64": TOLERANCE["f64"], "f32": {"rtol": 0, "atol": 1e-5}}
DTYPE = {"f64": torch.float64, "f32": torch.float32}
FOLDED = ("0.multihead_attn.k.bias", "1.multihead_attn.k.bias")  # no gradient but noise: softmax ignores shifts


def close(ours, recorded, tolerance):
    np.testing.assert_allclose(ours.detach().numpy(), recorded, **tolerance)


@pytest.fixture(scope="module")
def inputs(golden):
    return golden.arrays("zegclip_tiny/inputs")


@pytest.fixture(scope="module")
def make_model(golden, make_clip, vocabulary, inputs):
    state = {k: torch.from_numpy(v) for k, v in golden.arrays("zegclip_tiny/state").items()}
    vision = {"image_size": 64, "patch_size": 16, "width": 64, "layers": 4, "head_width": 32}
    text = torch.from_numpy(inputs["text_embeddings_f16"].astype(np.float32))

    def make(precision, setting="inductive"):
        clip = make_clip(embed_dim=32, vision=vision)
        tower = {k.removeprefix("backbone."): v for k, v in state.items() if "backbone." in k and "prompt" not in k}
        clip.model.visual.load_state_dict(tower, strict=True)
        own = vocabulary(5) if setting == "inductive" else vocabulary(7, () if setting[0] == "f" else UNSEEN)
        config = ZegClipConfig(setting=setting, prompt_tokens=3, decoder_heads=2, prompt_dropout=0, decoder_dropout=0)
        model = build(clip=clip, vocabulary=own, config=config)
        ours, layers = model.trained_state(), model.config.decoder_layers
        part = released.trained_part(state, ours, clip=model.clip, decoder_layers=layers, source="state.npz")
        model.load_trained_state(part)
        model.text = text[list(SEEN)] if setting == "inductive" else text
        return model.to(DTYPE[precision]).train(), text.to(DTYPE[precision])

    return make


@pytest.fixture(params=["f64", "f32"])
def precision(request):
    return request.param


def batch(inputs, precision, labels="labels_mapped_inductive"):
    return torch.from_numpy(inputs["images"]).to(DTYPE[precision]), torch.from_numpy(inputs[labels])


def self_training_labels(labels):
    return torch.where((labels == 2) | (labels == 5), UNSEEN_EXTENT, labels).to(torch.uint8)


def seen_only(labels):
    table = torch.full((256,), 255, dtype=torch.uint8)
    table[list(SEEN)] = torch.arange(len(SEEN), dtype=torch.uint8)
    return table[labels.long()]


def test_features_queries_and_masks_of_every_stage(golden, make_model, inputs, precision):
    """A wrong token order, prompt place, norm, CLS embedding, descriptor or decoder layer shows at its own stage."""
    model, _ = make_model(precision)
    recorded = golden.arrays(f"zegclip_tiny/intermediates_{precision}")
    x, _ = batch(inputs, precision)
    vit, encoder, head = model.clip.vit(), model.encoder, model.head
    seen_outputs = {}
    hooks = [
        module.register_forward_hook(lambda m, i, out, name=name: seen_outputs.__setitem__(name, out))
        for name, module in [(f"block{i}", b) for i, b in enumerate(vit.blocks)] + [("norm", encoder.norm)]
    ]
    tokens = encoder(x)
    for hook in hooks:
        hook.remove()
    check = lambda ours, name: close(ours, recorded[name], TOLERANCE[precision])  # noqa: E731
    check(vit.patches(x), "conv1")
    check(vit.ln_pre(vit.embed(x, class_copies=2)[0]), "ln_pre")
    check(encoder.prompts(), "prompts_projected")
    for i in range(4):
        check(seen_outputs[f"block{i}"], f"block{i}")
    without_prompts = np.r_[0, 4:20]
    close(seen_outputs["norm"], recorded["prompt_norm"][:, without_prompts], TOLERANCE[precision])
    close(vit.ln_post(seen_outputs["norm"]), recorded["ln_post"][:, without_prompts], TOLERANCE[precision])
    check(tokens.cls, "g")
    check(tokens.dense, "H")
    queries, memory = head.queries(tokens.cls, model.text), tokens.dense.flatten(2).transpose(1, 2)
    check(queries, "q")
    for i, layer in enumerate(head.decoder.layers):
        queries, scores = layer(queries, memory)
        check(queries, f"dec{i}_out")
        check(scores.mean(1), f"dec{i}_mask")
    check(head.decoder.last(queries, memory).mean(1), "dec2_mask")
    check(losses.upsampled(model.mask_logits(x, model.text), (64, 64)), "pred_masks")


def test_plain_encoder_without_prompts(golden, make_model, inputs, precision):
    """Fails if the frozen variant's features differ from the released plain backbone (class embedding doubled too)."""
    model, _ = make_model(precision)
    recorded = golden.arrays(f"zegclip_tiny/intermediates_{precision}")
    tokens = model.clip.vit()(batch(inputs, precision)[0], class_copies=2).normalised()
    close(tokens.cls, recorded["noprompt_g"], TOLERANCE[precision])
    close(tokens.dense, recorded["noprompt_H"], TOLERANCE[precision])


@pytest.mark.parametrize(
    ("case", "setting", "labels"),
    [
        ("inductive", "inductive", "labels"),
        ("inductive_edge", "inductive", "labels_edge"),
        ("self_training", "transductive-known-extent", "labels"),
        ("self_training_edge", "transductive-known-extent", "labels_edge"),
        ("fully", "fully-supervised", "labels"),
    ],
)
def test_losses_in_every_setting(golden, make_model, inputs, precision, case, setting, labels):
    """Fails on another focal or dice formula, another K, ignored pixels left out, or another handling of a setting."""
    model, _ = make_model(precision, setting)
    recorded = golden.json("zegclip_tiny/scalars")[precision]["losses"][case]
    x, original = batch(inputs, precision, labels)
    mapped = {"i": seen_only, "t": self_training_labels, "f": lambda own: own}[setting[0]](original)
    ours = model.losses_of(x, mapped, progress=1.0)
    tolerance = {"rel": 1e-9} if precision == "f64" else {"rel": 2e-6}
    assert ours["focal"].item() == pytest.approx(recorded["focal_weighted_x100"], **tolerance)
    assert ours["dice"].item() == pytest.approx(recorded["dice"], **tolerance)
    assert sum(ours.values()).item() == pytest.approx(recorded["total"], **tolerance)


def test_label_table_of_the_inductive_setting(inputs):
    """Fails if the recorded mapping (seen ids made contiguous, unseen to 255) is not what `only_seen` does."""
    labels = torch.from_numpy(inputs["labels"])
    seen = torch.tensor([i in SEEN for i in range(7)])
    assert torch.equal(losses.only_seen(labels, seen), torch.from_numpy(inputs["labels_mapped_inductive"]))


def test_count_of_masks(golden, inputs):
    """K is the number of (image, class) pairs, not of classes."""
    recorded = golden.json("zegclip_tiny/scalars")["f64"]["losses"]
    for case, name in (("inductive", "labels"), ("inductive_edge", "labels_edge")):
        areas = losses.class_areas(seen_only(torch.from_numpy(inputs[name])), len(SEEN))
        assert losses.mask_count(areas).item() == recorded[case]["num_masks"]


def test_pseudo_labels(golden, make_model, inputs, precision):
    """Fails if a seen class can be given, or a pixel that is no unseen object's."""
    model, text = make_model(precision, "transductive-known-extent")
    recorded = golden.arrays(f"zegclip_tiny/intermediates_{precision}")
    x, original = batch(inputs, precision, "labels")
    logits = losses.upsampled(model.mask_logits(x, text), (64, 64))
    close(logits, recorded["st_pred_masks"], TOLERANCE[precision])
    given = losses.pseudo_labelled(self_training_labels(original), logits, model.seen, UNSEEN_EXTENT)
    assert np.array_equal(given.numpy(), recorded["st_labels"])


def official_parameters(model):
    return {released_name(n, 3): p for n, p in model.named_parameters() if p.requires_grad}


def test_gradients_of_every_trained_parameter(golden, make_model, inputs, precision):
    """Fails if a parameter gets another gradient, none, or one it does not get in the released code."""
    model, _ = make_model(precision)
    x, labels = batch(inputs, precision)
    sum(model.losses_of(x, labels, progress=0.0).values()).backward()
    recorded = golden.arrays(f"zegclip_tiny/grads_{precision}")
    ours = official_parameters(model)
    assert ours.keys() == recorded.keys()
    norms = golden.json("zegclip_tiny/scalars")[precision]["grad_norms_inductive_total"]
    assert ours.keys() == {name for name, norm in norms.items() if norm is not None}
    for name, gradient in recorded.items():
        if precision == "f32":
            tolerance = {"rtol": 1e-4, "atol": 1e-6 if name.endswith(FOLDED) else 1e-5 * abs(gradient).max()}
        else:
            tolerance = TOLERANCE["f64"]
        close(ours[name].grad, gradient, tolerance)


def test_gradient_norms_of_each_loss(golden, make_model, inputs):
    """Fails if one of the two terms is detached or weighted otherwise while their sum happens to fit."""
    scalars = golden.json("zegclip_tiny/scalars")["f64"]
    for term, key in (("focal", "grad_norms_focal_x100"), ("dice", "grad_norms_dice")):
        model, _ = make_model("f64")
        model.losses_of(*batch(inputs, "f64"), progress=0.0)[term].backward()
        for name, parameter in official_parameters(model).items():
            assert parameter.grad.norm().item() == pytest.approx(scalars[key][name], rel=1e-9, abs=1e-11), name


def test_self_training_gradient_norms(golden, make_model, inputs):
    """Fails if a gradient flows through the pseudo labels."""
    model, _ = make_model("f64", "transductive-known-extent")
    x, original = batch(inputs, "f64", "labels")
    sum(model.losses_of(x, self_training_labels(original), progress=1.0).values()).backward()
    recorded = golden.json("zegclip_tiny/scalars")["f64"]["grad_norms_self_training_total"]
    for name, parameter in official_parameters(model).items():
        assert parameter.grad.norm().item() == pytest.approx(recorded[name], rel=1e-9, abs=1e-11), name


def test_first_phase_of_self_training_is_inductive(golden, make_model, inputs):
    """Fails if the first half of a transductive run learns anything of unseen classes."""
    model, _ = make_model("f64", "transductive-known-extent")
    x, original = batch(inputs, "f64", "labels")
    ours = model.losses_of(x, self_training_labels(original), progress=0.49)
    recorded = golden.json("zegclip_tiny/scalars")["f64"]["losses"]["inductive"]
    assert sum(ours.values()).item() == pytest.approx(recorded["total"], rel=1e-9)


def test_five_optimiser_steps(golden, make_model, inputs, precision):
    """Fails if a trained tensor is missing from the optimiser's groups or stands in one with another rate."""
    model, _ = make_model(precision)
    groups = [{**g, "lr": 2e-4 * g.pop("lr_scale", 1)} for g in model.parameter_groups()]
    optimiser = torch.optim.AdamW(groups, lr=2e-4, weight_decay=0.01)
    key = "adamw_5_steps_losses_focal100_dice_total_before_each_step_and_after_last"
    recorded = golden.json("zegclip_tiny/scalars")[precision][key]
    for step in range(6):
        ours = model.losses_of(*batch(inputs, precision), progress=0.0)
        tolerance = 1e-9 if precision == "f64" else 2e-5
        assert [ours["focal"].item(), ours["dice"].item()] == pytest.approx(recorded[step][:2], rel=tolerance)
        if step < 5:
            optimiser.zero_grad()
            sum(ours.values()).backward()
            optimiser.step()
    parameters = official_parameters(model)
    for name, value in golden.arrays(f"zegclip_tiny/after5steps_{precision}").items():
        close(parameters[name], value, TOLERANCE[precision])


@pytest.mark.parametrize(
    ("mode", "size", "stride", "original"),
    [
        ("inductive", (96, 64), 42, (75, 50)),
        ("inductive", (64, 150), 53, (40, 94)),
        ("self_training", (96, 64), 42, (75, 50)),
    ],
)
def test_sliding_window(golden, make_model, inputs, slide, precision, mode, size, stride, original):
    """Fails if sigmoid, seen-score shift, averaging and resizing happen in another order or to other classes."""
    model, text = make_model(precision, "inductive" if mode == "inductive" else "transductive-known-extent")
    recorded = golden.arrays(f"zegclip_tiny/inference_{precision}")
    name = f"{mode}.{size[0]}x{size[1]}"
    x = torch.from_numpy(inputs[f"slide_image_{size[0]}x{size[1]}"]).to(DTYPE[precision])
    seen = torch.tensor([i in SEEN for i in range(7)])

    def activated(window):
        return model.activate(losses.upsampled(model.mask_logits(window, text), window.shape[-2:]), seen)

    with torch.no_grad():
        canvas = slide.run(activated, x, 64, stride)
        resized = F.interpolate(canvas, original, mode="bilinear", align_corners=False)
    close(canvas, recorded[f"{name}.scores_input_size"], SCORES[precision])
    close(resized, recorded[f"{name}.scores_ori_size"], SCORES[precision])
    assert np.array_equal(resized.argmax(1)[0].numpy(), recorded[f"{name}.argmax"])


def test_single_window_in_evaluation_mode(golden, make_model, inputs, precision):
    """Fails if the shift reaches unseen classes or evaluation mode changes the scores."""
    model, text = make_model(precision)
    model.eval()
    x, _ = batch(inputs, precision)
    with torch.no_grad():
        logits = losses.upsampled(model.mask_logits(x, text), (64, 64))
        scores = model.activate(logits, torch.tensor([i in SEEN for i in range(7)]))
    close(scores, golden.arrays(f"zegclip_tiny/inference_{precision}")["inductive.single_window"], SCORES[precision])


def test_float16_and_float32_text_rows_give_the_same_loss(golden, make_model, inputs):
    """Fails if rows read as float16 are used at half precision (the released code promotes them)."""
    model, text = make_model("f32")
    x, labels = batch(inputs, "f32")
    full = model.losses_of(x, labels, progress=0.0)
    model.text = text[list(SEEN)].half()
    half = model.losses_of(x, labels, progress=0.0)
    assert {k: v.item() for k, v in full.items()} == {k: v.item() for k, v in half.items()}
    recorded = golden.json("zegclip_tiny/scalars")["f32"]["losses"]["inductive_text_float16_file"]
    assert sum(half.values()).item() == pytest.approx(recorded["total"], rel=2e-6)
