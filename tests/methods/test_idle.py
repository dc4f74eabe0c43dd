"""What is said to change nothing changes nothing; and a person who sets it is told."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
from methods.check_subject import SEEN, UNSEEN, Subject, labels_of, small_clip, words  # noqa: E402
from methods.idle import idle_fields  # noqa: E402
from methods.registry import METHODS, build_method, config_class  # noqa: E402
from results.launch.plan.idle_settings import refuse_idle  # noqa: E402
from results.launch.plan.request import Request  # noqa: E402
from results.launch.plan.runs import plan  # noqa: E402
from splits.errors import UserError  # noqa: E402

# another value than the default of every field that is idle anywhere
OTHER: dict[str, Any] = {
    **{"prompt_tokens": 3, "prompt_dropout": 0.5, "encoder_lr_scale": 0.7, "focal_weight": 3.0, "dice_weight": 5.0},
    **{"focal_alpha": 0.6, "focal_gamma": 1.0, "dice_denominator": "squares", "ignored": "left-out", "seen_shift": 0.4},
    **{"self_training_from": 0.1, "decoder_layers": 2, "decoder_heads": 2, "decoder_feed": 2, "decoder_dropout": 0.3},
    **{"decoder_lr_scale": 3.0, "latent_scale": 3.0, "latent_pixel_weight": 0.1, "windows": (0.5,), "iterations": 2},
    **{"window_unlabelled": 0.1, "cell_unlabelled": 0.9, "metric": "euclidean", "merge_above": 0.1, "smallest": 0.3},
    **{"most_latent": 2, "global_weight": 4.0, "candidates": "bank+batch", "bank_size": 3, "pool_padding": "left-out"},
    **{"local_weight": 4.0, "local_reduction": "mean", "local_side": 96, "local_fill": (9, 9, 9), "temperature": 0.5},
    **{"seen_weight": 4.0, "blocks": 1, "most_tokens": 2, "adapter_norm": False, "steps": 9, "schedule": "step"},
    **{"last_share": 0.9, "pooling": "softmax", "sgd_loss": "cosine", "sgd_weight": 4.0, "sgd_warmup": 0.9},
    **{"alignment_heads": 2, "alignment_dropout": 0.4},
}
FAMILIES = ("zegclip", "clip-to-seg", "chimera-seg")  # the others' rules are theirs
CASES = [(name, rule) for name in FAMILIES for rule in METHODS[name].idle]


def _made(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Losses, gradients, rates and scores of a method on two pictures."""
    small = {"body": "small"} if "body" in config_class(name).model_fields else {}
    config = config_class(name)(**small | values)
    vocabulary = words(SEEN if getattr(config, "setting", "inductive") == "inductive" else SEEN + UNSEEN)
    of = Subject(lambda: build_method(name, clip=small_clip(), vocabulary=vocabulary, config=config))
    method = of.build().train()
    torch.manual_seed(3)
    losses = method.losses(of.pictures(), labels_of(of.masks()), progress=0.5)
    torch.stack(tuple(losses.values())).sum().backward()
    gradients = {n: p.grad for n, p in method.named_parameters() if p.grad is not None}
    rates = [group.get("lr_scale", 1.0) for group in method.parameter_groups()]
    with torch.inference_mode():
        scores = method.eval().scores(of.pictures(), words(SEEN + UNSEEN))
    return (
        losses | gradients | {"rates": torch.tensor(rates), "scores": scores, "shift": torch.tensor(method.seen_shift)}
    )


@pytest.mark.parametrize(("name", "rule"), CASES, ids=lambda case: getattr(case, "fields", (case,))[0])
def test_an_idle_field_changes_nothing(name: str, rule: Any) -> None:
    """Fails when a setting is refused as idle that a loss, a gradient, a rate or a score depends on."""
    choices = [values for values in rule.while_.values()]
    for place in range(max(map(len, choices))):
        off = {field: values[min(place, len(values) - 1)] for field, values in rule.while_.items()}
        if off.get("setting", "inductive") == "fully-supervised":
            continue  # of the data alone: the method is the same
        plain, changed = _made(name, off), _made(name, off | {field: OTHER[field] for field in rule.fields})
        assert plain.keys() == changed.keys()
        for part, value in plain.items():
            assert torch.equal(value, changed[part]), part


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_method_has_by_default_is_not_idle_by_mistake(name: str) -> None:
    """Fails when a rule names a field that the config lacks, or a constant of the whole method that is read."""
    fields = config_class(name).model_fields
    assert all({*rule.fields, *rule.while_} <= fields.keys() for rule in METHODS[name].idle)
    assert all(fields[field].default != OTHER[field] for rule in METHODS[name].idle for field in rule.fields)
    idle = idle_fields(METHODS[name].idle, config_class(name)())
    off = {"clip-to-seg": {"seen_weight"}, "chimera-seg": {"steps", "pool_padding"}}
    assert idle.keys() == off.get(name, {"encoder_lr_scale", "self_training_from"})


def _refused(method: str, *overrides: str) -> str:
    request = Request(methods=(method,), benchmarks=("shapes-5i",), folds=(0,), overrides=overrides)
    try:
        refuse_idle(request, plan(request))
    except UserError as error:
        return str(error)
    return ""


def test_a_setting_that_nothing_reads_is_refused_by_name() -> None:
    """Fails when a person's `--set` makes a run of another key with the same numbers."""
    words = _refused("zegclip-baseline", "zegclip-baseline.seen_shift=0.3")
    assert words == (
        "--set zegclip-baseline.seen_shift=0.3: seen_shift changes nothing of zegclip-baseline with "
        'loss="exclusive"; leave it out'
    )
    assert "local_loss=false" in _refused("clipteacher", "clipteacher.local_weight=2")
    assert _refused("zegclip", "zegclip.seen_shift=0.3") == ""
    assert _refused("chimera-seg", "chimera-seg.schedule=step", "chimera-seg.steps=3") == ""
    assert "schedule" in _refused("chimera-seg", "chimera-seg.steps=3")
