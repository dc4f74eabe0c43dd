"""Plans of benchmarks without unseen classes: named protocols, further options on top, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.open_vocabulary import NAMED, protocols_of
from benchmarks.spec import ClipId
from results.launch.plan.request import Request, Run, Transfer
from results.launch.plan.runs import plan
from results.launch.plan.transfer import _onto
from splits.errors import UserError

OPENAI = ClipId(model="ViT-B-16", pretrained="openai")


def planned(**fields: Any) -> Run:
    (run,) = plan(Request(**{"methods": ("clip",), "benchmarks": ("voc21",), "clip": OPENAI} | fields))
    return run


@pytest.mark.parametrize("name", NAMED)
def test_a_protocol_by_its_name(name: str) -> None:
    """Fails when sizes, words, sentences or thresholds of a named protocol do not reach what is scored."""
    run = planned(protocol=name)
    assert name in protocols_of("voc21", run.evaluation.side)
    assert len(run.evaluation.side.queries.templates) == 80
    assert run.train.recipe.iterations == 0


def test_the_common_rule_is_the_default() -> None:
    """Fails when a benchmark without unseen classes is asked otherwise where no protocol is named."""
    assert planned().evaluation == planned(protocol="training-free").evaluation
    assert planned(clip=None).evaluation.side.inference.short_side == 96  # the built-in CLIP sees no more
    assert planned(clip=None, protocol="training-free").evaluation.side.inference.short_side == 336


def test_every_protocol_has_a_key_of_its_own() -> None:
    """Fails when runs of two protocols would share a record."""
    keys = {name: planned(protocol=name).evaluation.key for name in NAMED}
    assert keys.pop("resclip") == keys["naclip"]  # their code asks and scores alike
    assert len({*keys.values()}) == len(keys)


def test_options_change_a_protocol_and_cost_its_name() -> None:
    """Fails when an option is passed over, or a changed protocol still goes by its name."""
    for change in (
        ("short_side", 448),
        ("stride", 56),
        ("background_below", 0.3),
        ("absent_class", "skip-absent-in-truth"),
    ):
        run = planned(protocol="sclip", inference=(change,))
        assert protocols_of("voc21", run.evaluation.side) == ()
    side = planned(inference=(("background_below", 0.3),)).evaluation.side
    assert side.softmax is not None
    assert (side.softmax.threshold, side.softmax.scale, side.background_below) == (0.3, 40, None)
    assert protocols_of("voc21", planned(templates="single").evaluation.side) == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"methods": ("zegclip",)}, "zegclip learns from training images, and voc21 has none"),
        ({"methods": ("constant",)}, "constant learns from training images"),
        ({"protocol": "mine"}, "no protocol is called 'mine'"),
        ({"protocol": "sclip", "benchmarks": ("pascal-5i",)}, "says nothing of pascal-5i"),
        ({"protocol": "sclip", "scale": "trial"}, "has sizes of its own"),
        ({"names": "renamed"}, "is asked with the words of"),
        ({"inference": (("background_below", 1.5),)}, "softmax.threshold: expected at most 1.0"),
        ({"part": "tune"}, "has no part 'tune'"),
    ],
)
def test_what_cannot_be_is_one_line(fields: dict[str, Any], words: str) -> None:
    """Fails when a choice that the benchmark has not is ignored, or ends in a stack trace."""
    with pytest.raises(UserError) as error:
        planned(**fields)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_scale_beside_a_protocol_is_refused() -> None:
    """Fails when sizes are asked for twice and one of them is passed over without a word, here or elsewhere."""
    both = Request(methods=("clip",), benchmarks=("voc21",), folds=(0,), scale="trial", protocol="sclip")
    with pytest.raises(UserError, match="--protocol sclip has sizes of its own"):
        plan(both)
    (trained,) = plan(Request(methods=("zegclip",), benchmarks=("shapes-5i",), folds=(0,)))
    with pytest.raises(UserError, match="--protocol sclip has sizes of its own"):
        _onto(trained.train, Transfer(benchmarks=("voc21",)), both)
