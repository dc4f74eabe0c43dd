"""Named protocols: the words, sizes and thresholds of public code, and which records stand under which name."""

from __future__ import annotations

import pytest
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES  # type: ignore[import-untyped]

from benchmarks.catalogue import BENCHMARKS, Data, benchmark, eval_side, source
from benchmarks.open_vocabulary import EIGHT, NAMED, SETS, named, names_of, protocols_of
from benchmarks.protocol import DataSource, EvalSide
from benchmarks.templates import templates
from splits.errors import UserError
from splits.loader import load_split

# classes, mask values, background, ignored value, val images: of the official sets, written down a second time
FACTS = {
    "voc21": (21, range(21), None, 255),
    "pc60": (60, range(60), None, None),
    "coco-object": (81, range(81), None, None),
    "voc20": (20, range(1, 21), 0, 255),
    "pc59": (59, range(1, 60), 0, None),
    "ade150": (150, range(1, 151), 0, None),
    "cityscapes": (19, range(19), None, 255),
    "ade847": (847, range(847), None, 65535),
    "pc459": (459, range(459), None, 65535),
}


@pytest.mark.parametrize("name", FACTS)
def test_sets_have_the_official_classes(name: str) -> None:
    """Fails when a mask value means another class, or background is scored where it is ignored in all public code."""
    split = load_split(name)
    count, ids, background, ignored = FACTS[name]
    assert (len(split.classes), split.ids, split.background_id, split.ignore_id) == (
        count,
        tuple(ids),
        background,
        ignored,
    )
    assert split.open_vocabulary
    assert split.parts == ("val",)
    assert (split.classes[0] == "background") == (name in EIGHT[:3])


def test_coco_stuff_is_asked_whole() -> None:
    """Fails when the set without unseen classes has other classes or masks than the zero-shot split of it."""
    whole, known = load_split("coco-stuff"), load_split("coco-stuff-156-15")
    assert (whole.classes, whole.ids, whole.legal_ids) == (known.classes, known.ids, known.legal_ids)


# how many words the files of names of public code hold
@pytest.mark.parametrize(
    ("name", "whose", "words"),
    [
        ("voc21", "sclip", 56),
        ("voc20", "sclip", 30),
        ("coco-object", "sclip", 113),
        ("voc21", "proxyclip", 46),
        ("voc20", "proxyclip", 20),
        ("coco-object", "proxyclip", 97),
        ("voc21", "clearclip", 21),
        ("coco-object", "clearclip", 81),
        ("ade847", "proxyclip", 847),
        ("pc459", "proxyclip", 459),
    ],
)
def test_as_many_words_as_public_code(name: str, whose, words: int) -> None:
    """Fails when a word is lost, doubled within a class, or given to another class."""
    of = names_of(name, whose)
    assert sum(map(len, of)) == words
    assert len(of) == len(load_split(name).classes)
    assert all(len(set(names)) == len(names) for names in of)


def test_words_are_asked_verbatim() -> None:
    """Fails when squeezed names get their blanks back, or VOC's own words stand where public code has others."""
    assert {"chestofdrawers", "crtscreen"} <= {of[0] for of in names_of("ade150", "sclip")}
    assert {"trafficlight", "wall-brick"} <= {of[0] for of in names_of("coco-stuff", "sclip")}
    assert names_of("cityscapes", "sclip")[7] == ("trafficsign",)
    voc = names_of("voc20", "sclip")
    assert (voc[3], voc[10], voc[0]) == (("ship",), ("table",), ("aeroplane",))
    assert voc[14][:2] == ("person", "person in shirt")
    assert voc[19][-1] == "screen"
    assert names_of("voc21", "sclip")[0][:2] == ("sky", "wall")
    assert names_of("voc21", "clearclip")[0] == ("background",)
    assert names_of("coco-object", "sclip")[1][-1] == "body"


def test_templates_are_those_of_open_clip() -> None:
    """Fails when one of the 80 sentences differs from open_clip's by a letter, or in order."""
    assert templates("imagenet-80") == tuple(one("{}") for one in OPENAI_IMAGENET_TEMPLATES)


def side_of(name: str, protocol: str) -> EvalSide:
    bench = benchmark(name)
    data = DataSource(dataset=bench.split.dataset, ids_sha256="x", mask_rule="r")
    return eval_side(bench, 0, data, named(protocol).inference(name), protocol=protocol)


@pytest.mark.parametrize("protocol", NAMED)
def test_a_side_is_known_by_its_protocol(protocol: str) -> None:
    """Fails when a row could stand beside published ones of another protocol: each choice must cost the name."""
    for name in named(protocol).short_side:
        side = side_of(name, protocol)
        same = [other for other in NAMED if name in NAMED[other].short_side and side_of(name, other) == side]
        assert protocols_of(name, side) == tuple(same)
        assert protocol in same
    side = side_of("voc21", protocol)
    for change in (
        {"inference": side.inference.model_copy(update={"short_side": 320})},
        {"queries": side.queries.model_copy(update={"templates": ("a photo of a {}.",)})},
        {"queries": side.queries.model_copy(update={"texts": ("scenery", *side.queries.texts[1:])})},
        {"absent_class": "skip-absent-in-truth"},
        {"softmax": None},
    ):
        assert protocols_of("voc21", side.model_copy(update=change)) == ()


def test_what_a_protocol_says_nothing_of_is_refused() -> None:
    """Fails when sizes are made up for a data set that the released code never scored."""
    with pytest.raises(UserError, match="says nothing of ade847"):
        named("sclip").inference("ade847")
    with pytest.raises(UserError, match="no protocol is called"):
        named("mine")
    assert named("training-free").inference("pascal-5i").short_side == 336


def test_thresholds_and_sizes_are_those_of_the_released_code() -> None:
    """Fails when a constant is changed by accident: a sample of the table of each protocol."""
    voc = {name: p.softmax("voc21") for name, p in NAMED.items()}
    found = {name: (s.scale, s.threshold, s.smallest_share) for name, s in voc.items() if s}
    assert found == {
        "training-free": (40, 0.1, 0),
        "sclip": (65, 0.1, 0.1),
        "clearclip": (50, 0.5, 0),
        "naclip": (40, 0.1, 0),
        "proxyclip": (40, 0.2, 0),
        "resclip": (40, 0.1, 0),
        "sc-clip": (50, 0.15, 0.1),
    }
    sizes = {name: p.inference("cityscapes") for name, p in NAMED.items()}
    assert {name: (i.short_side, i.window, i.stride) for name, i in sizes.items()} == {
        **dict.fromkeys(("training-free", "sclip", "naclip", "resclip", "sc-clip"), (560, 224, 112)),
        "clearclip": (448, 224, 224),
        "proxyclip": (448, 224, 112),
    }
    assert NAMED["naclip"].inference("voc20").window is None
    assert NAMED["sclip"].inference("coco-stuff").short_side == 448
    assert all(p.inference(name).long_side == 2048 for p in NAMED.values() for name in p.short_side)


def test_every_set_is_a_benchmark_that_trains_nothing() -> None:
    """Fails when a set is planned by other sizes than the common rule, or a training is looked for."""
    for name in SETS:
        bench = BENCHMARKS[name]
        assert bench.inference == named("training-free").inference(name)
        assert source(bench, "train", Data()).mask_rule == "nothing is trained"
