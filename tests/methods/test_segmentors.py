"""mmsegmentation's segmentors as bodies: equal to its own models, their sizes, gradients, modes of BatchNorm."""

import ast
import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from methods.bodies import build_body
from methods.bodies.mmseg_architectures import PUBLISHED
from tests.methods.segmentors import SMALLER, make, pixels, shipped_config

ROOT = Path(__file__).parents[2]


def plain(value):
    """A config without what is not the architecture's: SyncBN as BN, tuples as lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return "BN" if value == "SyncBN" else value


@pytest.mark.parametrize("name", PUBLISHED)
def test_arguments_are_the_published_configs(name):
    """Fails if an argument of backbone or head differs from the config that comes with mmsegmentation."""
    model = plain(dict(shipped_config(name).model))
    for part, without in (("backbone", {"init_cfg", "pretrained"}), ("decode_head", {"loss_decode", "num_classes"})):
        theirs = {key: value for key, value in model[part].items() if key not in without}
        ours = plain(getattr(PUBLISHED[name], part))
        if name == "setr-pup" and part == "backbone":
            assert ours.pop("patch_bias") is True
        assert ours == theirs


@pytest.mark.parametrize("name", PUBLISHED)
def test_rules_and_weights_are_the_published_configs(name):
    """Fails if a rate, a decay or the address of the ImageNet weights differs from the config."""
    config = shipped_config(name)
    keys = config.optim_wrapper.get("paramwise_cfg", {}).get("custom_keys", {})
    rules = PUBLISHED[name].paramwise
    assert {k: v["lr_mult"] for k, v in keys.items() if "lr_mult" in v} == rules.lr_scale
    assert {k for k, v in keys.items() if v.get("decay_mult") == 0.0} == set(rules.no_decay)
    named = (config.model.backbone.get("init_cfg") or {}).get("checkpoint") or config.model.pretrained
    if name == "deeplabv3plus-r50":
        assert (named, PUBLISHED[name].weights.rsplit("/", 1)[1]) == (
            "open-mmlab://resnet50_v1c",
            "resnet50_v1c-2cccc1ad.pth",
        )
    else:
        assert PUBLISHED[name].weights == ("" if name == "setr-pup" else named)


@pytest.mark.parametrize("name", ["segnext-t", "segformer-b0", "deeplabv3plus-r50", "setr-pup", "swin-t"])
@pytest.mark.parametrize("training", [False, True])
def test_forward_equals_mmsegmentations_own_model(name, training):
    """Fails if a body computes anything but the published model without its classifier's classes.

    The other model is built by mmsegmentation's registry from the config that it ships, with the same numbers.
    """
    from mmseg.registry import MODELS

    torch.manual_seed(0)
    body = make(name, out_channels=10).train(training)
    config = copy.deepcopy(shipped_config(name).model)
    for key in ("auxiliary_head", "data_preprocessor", "pretrained"):
        config.pop(key, None)
    for part in ("backbone", "decode_head"):
        published, twin = getattr(PUBLISHED[name], part), getattr(SMALLER[name], part)
        config[part].update({key: value for key, value in twin.items() if published[key] != value})
        config[part].pop("init_cfg", None)
        if config[part].get("norm_cfg", {}).get("type") == "SyncBN":
            config[part].norm_cfg.type = "BN"
    config.decode_head.num_classes = 10
    if name == "setr-pup":
        config.backbone.patch_bias = True
    theirs = MODELS.build(config).train(training)
    theirs.load_state_dict(body.state_dict())
    x = pixels(2 if training else 1, 3, 64, 96)
    torch.manual_seed(0)
    expected = theirs.decode_head(theirs.backbone(x))
    torch.manual_seed(0)
    assert torch.equal(body(x), expected)
    assert expected.std() > 0


@pytest.mark.parametrize("name", SMALLER)
@pytest.mark.parametrize("size", [(64, 64), (65, 97)])
def test_shapes(name, size):
    """Fails if a side that is no multiple of the stride crashes, or its grid is not the one promised."""
    body = make(name).eval()
    assert body(pixels(1, 3, *size)).shape == (1, 6, *(-(-side // body.stride) for side in size))


# Millions of parameters with ADE20K's 150 classes: SegNeXt (Guo et al. 2022, Table 2), SegFormer (Xie et al. 2021,
# Table 1; from B2 on mmsegmentation's head is narrower than theirs).
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("segnext-t", 4.3),
        ("segnext-s", 13.9),
        ("segnext-b", 27.6),
        ("segnext-l", 48.9),
        ("segformer-b0", 3.8),
        ("segformer-b1", 13.7),
    ],
)
def test_parameters_are_as_many_as_published(name, millions):
    """Fails if a body is not the one of its name."""
    assert sum(p.numel() for p in build_body(name, out_channels=150).parameters()) / 1e6 == pytest.approx(
        millions, abs=0.05
    )


@pytest.mark.parametrize("name", SMALLER)
def test_gradient_reaches_every_parameter(name):
    """Fails if a part is never used, such as a norm of an output that the head does not take."""
    torch.manual_seed(0)
    body = make(name).train()
    body(pixels(2, 3, 64, 96)).square().sum().backward()
    assert [n for n, p in body.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in body.parameters())
    held = [id(p) for group in body.parameter_groups() for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in body.parameters())


def test_groups_are_those_of_mmengines_constructor():
    """Fails if a parameter gets another rate or decay than mmengine's optimiser constructor gives it."""
    from mmengine.optim import build_optim_wrapper

    body = make("segnext-t")
    config = {
        "optimizer": {"type": "AdamW", "lr": 1.0, "weight_decay": 0.5},
        "paramwise_cfg": shipped_config("segnext-t").optim_wrapper.paramwise_cfg,
    }
    theirs = build_optim_wrapper(body, config).optimizer.param_groups
    expected = {id(p): (g["lr"], g["weight_decay"]) for g in theirs for p in g["params"]}
    ours = {
        id(p): (group["lr_scale"], group.get("weight_decay", 0.5))
        for group in body.parameter_groups()
        for p in group["params"]
    }
    assert ours == expected


def test_segnext_answers_alike_at_test():
    """Fails if the bases of the factorisation are drawn anew at test, or depend on the batch or on the generator."""
    body = make("segnext-t").eval()
    x = pixels(3, 3, 64, 64)
    with torch.no_grad():
        one = body(x)
        torch.rand(5)
        assert torch.equal(body(x), one)
        assert torch.allclose(body(x[1:2]), one[1:2], atol=1e-5)
        assert body.train()(x).sub(body(x)).abs().max() > 1e-4  # in training they are drawn


@pytest.mark.parametrize("name", SMALLER)
def test_bodies_are_drawn_from_torchs_generator(name):
    """Fails if two runs of one seed start differently, or two seeds alike."""
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(make(name).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_factorisation_is_never_in_half_precision():
    """Fails if its many products are rounded to bfloat16 in a run of mixed precision."""
    ham = make("segnext-t").decode_head.hamburger.ham.eval()
    x = pixels(1, 32, 4, 4).abs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, rounded = ham(x), ham(x.bfloat16())
    assert torch.equal(mixed, ham(x))
    assert rounded.dtype == torch.float32


def test_batch_norm_modes():
    """Fails if a mode is ignored: statistics across ranks, or those of the weights held fast in training."""
    names = make("deeplabv3plus-r50").state_dict().keys()
    body = make("deeplabv3plus-r50")
    body.set_batch_norm("sync")
    norms = [m for m in body.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert {type(m) for m in norms} == {nn.SyncBatchNorm}
    assert body.state_dict().keys() == names

    body = make("deeplabv3plus-r50")
    body.set_batch_norm("local")
    assert {type(m) for m in body.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)} == {nn.BatchNorm2d}
    before = {name: value.clone() for name, value in body.backbone.state_dict().items() if "running_mean" in name}
    body.train()(pixels(2, 3, 64, 64))
    assert not any(torch.equal(body.backbone.state_dict()[name], value) for name, value in before.items())

    body = make("deeplabv3plus-r50")
    body.set_batch_norm("fixed")
    before = copy.deepcopy(body.state_dict())
    nn.Sequential(body).train()(pixels(2, 3, 64, 64))
    changed = {name for name, value in body.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("decode_head.") for name in changed)


def test_batch_norm_modes_that_would_change_nothing():
    """Fails if a choice without effect is taken silently."""
    with pytest.raises(ValueError, match=r"fixed statistics of BatchNorm need weights"):
        build_body("segnext-t", out_channels=4, batch_norm="fixed")
    with pytest.raises(ValueError, match=r"backbone of segformer-b0 has no BatchNorm"):
        make("segformer-b0", out_channels=4).set_batch_norm("fixed")
    with pytest.raises(ValueError, match=r"body small has no weights to take fixed statistics from"):
        build_body("small", out_channels=4, batch_norm="fixed")


@pytest.mark.parametrize("name", SMALLER)
def test_one_picture_at_once(name):
    """Fails if a head that cannot learn from one picture ends in BatchNorm's own words, or another is refused."""
    body = make(name).train()
    if name in ("deeplabv3plus-r50", "swin-t"):
        with pytest.raises(ValueError, match=rf"{name} learns from 2 pictures or more at once.*got 1: raise the batch"):
            body(pixels(1, 3, 64, 64))
        body.eval()
    assert body(pixels(1, 3, 64, 64)).isfinite().all()


def test_mmsegmentation_is_loaded_only_where_it_is_needed():
    """Fails if the small body waits for mmsegmentation, or a plan that names bodies for torch."""
    for code, absent in (
        ("from methods.bodies import build_body; build_body('small', out_channels=4)", "mmseg mmcv mmengine open_clip"),
        ("import methods.body_names", "mmseg torch"),
    ):
        check = f"import sys; {code}; assert not set('{absent}'.split()) & sys.modules.keys()"
        subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True, timeout=120)


def test_bodies_alone_know_mmsegmentation():
    """Fails if another part of the project imports mmsegmentation's models."""
    knowing = set()
    for folder in ("methods", "benchmarks", "results", "splits"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if any(module.split(".")[0] == "mmseg" for module in modules):
                    knowing.add(path.relative_to(ROOT).as_posix())
    assert {path for path in knowing if path.startswith("methods")} == {"methods/bodies/segmentor.py"}


def test_smaller_twins_keep_the_rest():
    """Fails if the twins that the tests build differ from the published in more than size."""
    for name, twin in SMALLER.items():
        assert replace(twin, backbone={}, decode_head={}) == replace(PUBLISHED[name], backbone={}, decode_head={})
        assert twin.backbone.keys() == PUBLISHED[name].backbone.keys()
