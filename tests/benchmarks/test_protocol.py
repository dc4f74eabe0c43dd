"""The protocol: two hashes, each covering exactly what it must."""

import copy
from typing import Any

import pytest

from benchmarks.catalogue import Data, benchmark, eval_side, source, train_side
from benchmarks.protocol import DataSource, EvalSide, Protocol, TrainSide
from benchmarks.spec import EvalSpec, protocol_of
from benchmarks.values import Value
from splits.errors import UserError

NAMES = ["cat", "dog", "cow", "bus"]

# another value for every field there is; a field without a line here fails test_every_field_is_named
OTHERS: dict[str, list[Any]] = {
    "classes": [["cat", "dog", "cow", "train"], ["cat", "dog", "bus", "cow"]],
    "seen": [["cat", "dog"], ["cat", "dog", "cow"]],
    "queries.texts": [["kitten", "dog", "cow", "bus"]],
    "queries.templates": [["a {}"], ["a photo of a {}", "a {}"]],
    "data.dataset": ["coco"],
    "data.year": ["2017"],
    "data.ids_sha256": ["33" * 32],
    "data.partial": [True],
    "data.mask_rule": ["SegmentationClass"],
    "queries.synonyms": [[["kitty"], [], [], []], [[], ["hound"], [], []]],
}
TRAIN = OTHERS | {
    "setting": ["transductive", "transductive-known-extent", "fully-supervised"],
    "training_images": ["drop"],
    "crop_decision": ["full"],
    "border": ["unlabelled"],
}
EVALUATION = OTHERS | {
    "kind": ["episodic-binary"],
    "items": ["hsnet-1000"],
    "background": ["class"],
    "background_below": [0.25],
    "absent_class": ["skip-absent-in-truth"],
    "inference.short_side": [520],
    "inference.window": [640],
    "inference.stride": [341],
    "inference.flips": [True],
    "inference.long_side": [2048],
}
CASES = [
    (side, path, other)
    for side, table in (("train", TRAIN), ("evaluation", EVALUATION))
    for path, others in table.items()
    for other in others
]


def leaves(model: type[Value], before: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        nested = field.annotation
        is_value = isinstance(nested, type) and issubclass(nested, Value)
        found |= leaves(nested, f"{before}{name}.") if is_value else {before + name}
    return found


def changed(protocol: Protocol, side: str, path: str, other: Any) -> Protocol:
    data = copy.deepcopy(protocol.model_dump(mode="json"))
    place = data[side]
    *above, last = path.split(".")
    for name in above:
        place = place[name]
    place[last] = other
    if path == "background":  # it comes with a threshold
        place["background_below"] = 0.5
    if path == "items":
        place["kind"] = "episodic-binary"
    if path == "background_below":
        place["background"] = "class"
    if path == "classes":  # the names of the classes stand in two more places
        data[side]["queries"]["texts"] = other
        data[side]["seen"] = [name for name in other if name not in ("cow",)]
    return Protocol.parse(data, source="test")


def test_every_field_is_named() -> None:
    """Fails when a field is added that no test below changes."""
    assert leaves(TrainSide) == set(TRAIN)
    assert leaves(EvalSide) == {*EVALUATION, "softmax"}  # below


def test_every_choice_of_probabilities_changes_the_hash(example) -> None:
    """Fails when two rules for background share a hash, or a threshold goes where no background can be said."""
    data = copy.deepcopy(example["protocol"].model_dump(mode="json"))
    names = ["background", "dog", "cow", "bus"]
    data["evaluation"] |= {"classes": names, "seen": names}
    plain = Protocol.parse(data, source="test")
    base = {"scale": 40.0, "threshold": 0.1, "smallest_share": 0.0}
    rules = [base, base | {"scale": 50.0}, base | {"threshold": 0.2}, base | {"smallest_share": 0.1}]
    found = set()
    for rule in rules:
        data["evaluation"]["softmax"] = rule
        found.add(Protocol.parse(data, source="test").hash)
    assert len(found | {plain.hash}) == len(rules) + 1
    data["evaluation"]["classes"] = data["evaluation"]["seen"] = ["cat", *names[1:]]
    with pytest.raises(UserError, match="expected as the first class"):
        Protocol.parse(data, source="test")
    data["evaluation"] |= {"classes": names, "seen": names[:2]}
    with pytest.raises(UserError, match="without unseen classes"):
        Protocol.parse(data, source="test")


# of the benchmarks as they were before any had no unseen class: protocol, family, key of the scoring, last fold
BEFORE = {
    "shapes-5i": ("8559fffbae105dc4", "8de13408902d7661", "6ab98e3b"),
    "pascal-5i": ("fe648aec46ed8e30", "72f4947f61a477d6", "6ed02acb"),
    "voc-15-5": ("fe648aec46ed8e30", "72f4947f61a477d6", "589c1453"),
    "pascal-5i-tune": ("91d29cb94ac59d3a", "6ddca8189eb313ee", "56ea2468"),
    "coco-20i": ("d29a2b1507fdc6f3", "321fb455b7aa5ae8", "8cfd2fe2"),
    "coco-20i-contiguous": ("7a18055a5c01fcbf", "321fb455b7aa5ae8", "0f767017"),
    "coco-20i-tune": ("f05811cd88babf13", "eed9aba0af511be5", "476f68e8"),
    "coco-stuff-156-15": ("59b1ed7f932313b1", "a8118ad805f0e0ec", "2d377dd8"),
    "context-49-10": ("2b9ee922a337be3c", "1e969a54b1c98825", "f143712f"),
    "context-50-10": ("f5feecba3f4d3192", "9679e3a42dc9c289", "88b4ec16"),
}


@pytest.mark.parametrize("name", BEFORE)
def test_hashes_of_benchmarks_stay(name: str) -> None:
    """Fails when a new field renames protocols, and so makes records of before unfindable."""
    bench = benchmark(name)
    fold = len(bench.split.folds) - 1
    sources = [DataSource(dataset="d", ids_sha256=part, mask_rule="r") for part in ("train", "val")]
    sides = train_side(bench, fold, sources[0]), eval_side(bench, fold, sources[1], bench.inference)
    protocol = Protocol(train=sides[0], evaluation=sides[1])
    key = EvalSpec(benchmark=name, fold=fold, side=sides[1]).key
    assert (protocol.hash[:16], protocol.family[:16], key) == BEFORE[name]


@pytest.mark.parametrize(("side", "path", "other"), CASES)
def test_every_field_changes_the_hash(example, side: str, path: str, other: Any) -> None:
    """Fails when two ways of measuring share a hash, or a fold leaves its family (or something else joins it)."""
    protocol = example["protocol"]
    new = changed(protocol, side, path, other)
    assert new.hash != protocol.hash
    assert (new.family == protocol.family) == (path == "seen")


def test_all_variants_differ_from_one_another(example) -> None:
    """Fails when two different changes come out as one protocol."""
    hashes = {changed(example["protocol"], *case).hash for case in CASES}
    assert len(hashes) == len(CASES)


def test_sides_are_not_mixed_up(example) -> None:
    """Fails when exchanging the data of the two sides goes unnoticed."""
    p = example["protocol"]
    swapped = Protocol(
        train=p.train.model_copy(update={"data": p.evaluation.data}),
        evaluation=p.evaluation.model_copy(update={"data": p.train.data}),
    )
    assert swapped.hash != p.hash


def test_protocol_of_takes_both_sides(example) -> None:
    """Fails when the protocol of a number forgets how it was scored."""
    train, evaluation = example["train"], example["evaluation"]
    assert protocol_of(train, evaluation) == example["protocol"]
    flipped = evaluation.side.inference.model_copy(update={"flips": True})
    other = EvalSpec(benchmark="pascal-5i", fold=3, side=evaluation.side.model_copy(update={"inference": flipped}))
    assert protocol_of(train, other).hash != example["protocol"].hash


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"classes": ["cat", "cat", "cow", "bus"]}, "differ from one another"),
        ({"seen": ["cat", "horse"]}, "no classes: .'horse'."),
        ({"seen": ["dog", "cat"]}, "in the order of the classes"),
        ({"seen": ["cat", "cat"]}, "in the order of the classes"),
        ({"queries": {"texts": ["cat"], "templates": ["{}"]}}, "4 classes but 1 query texts"),
        ({"setting": "inductiv"}, "setting"),
    ],
)
def test_inconsistent_sides_are_refused(example, change: dict, told: str) -> None:
    """Fails when a side that cannot be measured gets a hash."""
    with pytest.raises(UserError, match=told):
        TrainSide.parse(example["protocol"].train.model_dump(mode="json") | change, source="test")


def test_unseen_is_the_rest_in_order(example) -> None:
    """Fails when an unseen class is lost, or comes in the order of a set."""
    side = example["protocol"].train
    assert side.unseen == ("cow",)
    assert side.model_copy(update={"seen": ("dog",)}).unseen == ("cat", "cow", "bus")


def test_background_needs_its_threshold(example) -> None:
    """Fails when scoring with background does not say what background is, or a benchmark gets two backgrounds."""
    side = example["protocol"].evaluation
    for change in ({"background": "class"}, {"background_below": 0.5}):
        with pytest.raises(UserError, match="--background-below"):
            EvalSide.parse(side.model_dump(mode="json") | change, source="test")
    scored = {"background": "class", "background_below": 0.0}
    names = {"classes": ["background", "dog", "cow", "bus"], "seen": ["background"]}
    assert EvalSide.parse(side.model_dump(mode="json") | scored, source="test").scored == (*NAMES, "background")
    assert side.scored == tuple(NAMES)
    with pytest.raises(UserError, match="one of the classes already"):
        EvalSide.parse(side.model_dump(mode="json") | scored | names, source="test")
    with pytest.raises(UserError, match="of their own"):
        EvalSide.parse(side.model_dump(mode="json") | scored | {"kind": "episodic-binary"}, source="test")


def test_train2017_with_val2014_is_refused(example) -> None:
    """Fails when a model is scored on COCO images that it was trained on."""
    train, evaluation = example["train"], example["evaluation"]

    def pair(of_training: str, of_evaluation: str) -> Protocol:
        sides = []
        for side, year in ((train.side, of_training), (evaluation.side, of_evaluation)):
            data = side.data.model_copy(update={"dataset": "coco", "year": year})
            sides.append(side.model_copy(update={"data": data}))
        return protocol_of(
            train.model_copy(update={"side": sides[0]}), evaluation.model_copy(update={"side": sides[1]})
        )

    with pytest.raises(UserError, match="train2017 and scored on val2014") as raised:
        pair("2017", "2014")
    assert "\n" not in str(raised.value)
    assert len({pair(*years).hash for years in (("2014", "2014"), ("2017", "2017"), ("2014", "2017"))}) == 3


def test_hashes_of_stored_records() -> None:
    """Fails when a default protocol's hash moves: every stored record would stand alone."""
    bench, data = benchmark("shapes-5i"), Data()
    assert of("shapes-5i", 0).family.startswith("2df2d7528066")
    assert of("shapes-5i", 0).hash.startswith("a97553d3954b")
    assert of("pascal-5i", 3).hash.startswith("af87cb98e662")
    assert of("pascal-5i", 3).family.startswith("bfd14f99c32d")
    assert source(bench, "val", data).year == ""


def of(name: str, fold: int) -> Protocol:
    """The protocol under which a benchmark's fold is measured."""
    bench, data = benchmark(name), Data()
    return Protocol(
        train=train_side(bench, fold, source(bench, "train", data)),
        evaluation=eval_side(bench, fold, source(bench, "val", data), bench.inference),
    )


def test_fold_3_of_pascal_is_voc_15_5() -> None:
    """Fails when the same measurement under two names has two hashes, or other folds share one."""
    folds = [of("pascal-5i", fold) for fold in range(4)]
    assert folds[3].hash == of("voc-15-5", 0).hash
    assert len({p.hash for p in folds}) == 4
    assert len({p.family for p in folds}) == 1
    assert folds[3].train.unseen == ("pottedplant", "sheep", "sofa", "train", "tvmonitor")


def test_words_name_every_choice(example) -> None:
    """Fails when the line under a table keeps silent about a choice that changes the numbers."""
    protocol = example["protocol"]
    said = protocol.words()
    assert "\n" not in said
    # told by the table itself, by number or by hash alone
    silent = {"classes", "seen", "queries.texts", "queries.templates", "data.ids_sha256"}
    for side, path, other in CASES:
        # the data set's name is told of the evaluation side; the training side's differs only by list
        if path in silent or (side == "train" and path.startswith(("data.", "queries."))):
            continue
        assert changed(protocol, side, path, other).words() != said, f"{side}.{path}"
    assert "PARTIAL" in changed(protocol, "train", "data.partial", True).words()
