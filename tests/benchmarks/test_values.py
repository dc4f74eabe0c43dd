"""Canonical JSON, digests, keys: pinned, so that a renamed field or a changed default cannot pass unseen."""

import hashlib
import itertools
import json
import math
import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.protocol import Inference
from benchmarks.spec import Recipe, TrainSpec
from benchmarks.training.augmentation import Augmentation
from benchmarks.values import KEY_LENGTH, Value, canonical_json, derive_seed, digest
from splits.errors import UserError

DATA = '{"dataset":"voc2012","ids_sha256":"%s","mask_rule":"SegmentationClassAug"}'
QUERIES = '{"templates":["a photo of a {}"],"texts":["cat","dog","cow","bus"]}'
NAMES = '["cat","dog","cow","bus"]'
SIDE = f'{{"classes":{NAMES},"data":{DATA % ("11" * 32)},"queries":{QUERIES},"seen":["cat","dog","bus"]}}'
EVALUATION = (
    f'{{"classes":{NAMES},"data":{DATA % ("22" * 32)},"inference":{{"short_side":512,"stride":426,"window":512}},'
    f'"queries":{QUERIES},"seen":["cat","dog","bus"]}}'
)
CANONICAL = {
    "protocol": f'{{"evaluation":{EVALUATION},"train":{SIDE}}}',
    "train": '{"benchmark":"pascal-5i","clip":{"model":"ViT-B-16","pretrained":"openai"},'
    '"config":{"prompt_tokens":100},"fold":3,"method":"zegclip","recipe":{"augmentation":{},"batch":16,"iterations":20000,"lr":0.0002,"name":"paper"},'
    f'"seed":0,"side":{SIDE}}}',
    "evaluation": f'{{"benchmark":"pascal-5i","fold":3,"side":{EVALUATION}}}',
}
KEYS = {"protocol": "2c77d34a", "train": "2c5c2aee", "evaluation": "de9e415e"}

# every default there is; an entry may be added for a new field, none may ever change (runs would change their meaning)
DEFAULTS = {
    "train": {
        "config": {},
        "side.queries.synonyms": [],
        "clip.sha256": "",
        "limit": None,
        "recipe.augmentation.cat_max_ratio": 0.75,
        "recipe.augmentation.crop": None,
        "recipe.augmentation.flip": 0.0,
        "recipe.augmentation.photometric": False,
        "recipe.augmentation.resize": None,
        "recipe.augmentation.resize_ratio": [0.5, 2.0],
        "recipe.betas": [0.9, 0.999],
        "recipe.compiled": False,
        "recipe.decay": "overlaid",
        "recipe.min_lr": 0.0,
        "recipe.poly_power": 0.9,
        "recipe.precision": "32-true",
        "recipe.accumulate": 1,
        "recipe.ranks": 1,
        "recipe.restart_at": None,
        "recipe.tf32": False,
        "clip.config_sha256": "",
        "recipe.warmup_iterations": 0,
        "recipe.warmup_ratio": 1e-6,
        "recipe.weight_decay": 0.01,
        "side.border": "void",
        "side.crop_decision": "masked",
        "side.data.partial": False,
        "side.data.year": "",
        "side.setting": "inductive",
        "predictions": "",
        "reading": "",
        "side.training_images": "keep",
        "weights": "",
    },
    "evaluation": {
        "limit": None,
        "tuned_on_test": False,
        "part": "val",
        "side.absent_class": "skip",
        "side.background": "ignored",
        "side.background_below": None,
        "side.items": "all",
        "side.data.partial": False,
        "side.data.year": "",
        "side.inference.flips": False,
        "side.inference.long_side": None,
        "side.queries.synonyms": [],
        "side.softmax": None,
        "side.kind": "generalised",
    },
}


def flat(value: dict, before: str = "") -> dict:
    """Leaves by their dotted path."""
    out: dict = {}
    for name, item in value.items():
        out |= flat(item, f"{before}{name}.") if isinstance(item, dict) and item else {before + name: item}
    return out


@pytest.mark.parametrize("kind", CANONICAL)
def test_canonical_form_is_pinned(example, kind: str) -> None:
    """Fails when a field is renamed, added without a default, written out at its default, or written otherwise."""
    value, text = example[kind], CANONICAL[kind]
    assert canonical_json(value.essence()) == text
    assert value.digest() == hashlib.sha256(text.encode()).hexdigest()
    assert value.key == KEYS[kind] == value.digest()[:KEY_LENGTH]


@pytest.mark.parametrize("kind", DEFAULTS)
def test_defaults_are_pinned(example, kind: str) -> None:
    """Fails when a default changes: the canonical form leaves defaults out, so it alone would not show that."""
    value = example[kind]
    whole, written = flat(value.model_dump(mode="json")), flat(value.essence())
    left_out = {name: item for name, item in whole.items() if name not in written}
    assert left_out == {name: item for name, item in DEFAULTS[kind].items() if name != "config"}
    bare = {name: field.default for name, field in TrainSpec.model_fields.items() if not field.is_required()}
    assert bare == {"config": {}, "clip": None, "limit": None, "weights": "", "predictions": "", "reading": ""}


def test_new_field_at_its_default_keeps_the_key(example) -> None:
    """Fails when a field introduced with a default renames what was computed before."""

    class Grown(Recipe):
        ema: float = 0.0

    recipe = example["train"].recipe
    grown = Grown(**recipe.model_dump())
    assert grown.digest() == recipe.digest()
    assert Grown(**(recipe.model_dump() | {"ema": 0.9})).digest() != recipe.digest()


def test_folder_holds_the_key(example) -> None:
    """Fails when two specs could share a folder, or a folder no longer says what it holds."""
    spec = example["train"]
    assert spec.folder == "pascal-5i/zegclip/fold3-seed0-2c5c2aee"
    assert spec.model_copy(update={"seed": 1}).folder.startswith("pascal-5i/zegclip/fold3-seed1-")
    other = spec.model_copy(update={"config": {"prompt_tokens": 50}})
    assert other.folder != spec.folder
    assert spec.model_copy(update={"limit": 3}).key != spec.key


@pytest.mark.parametrize("kind", CANONICAL)
def test_stored_form_comes_back(example, kind: str) -> None:
    """Fails when what is written to disk is read as another value."""
    value = example[kind]
    for plain in (value.model_dump(mode="json"), value.essence(), json.loads(canonical_json(value.essence()))):
        again = type(value).parse(plain, source="spec.json")
        assert again == value
        assert again.digest() == value.digest()
        assert hash(again) == hash(value)


def test_order_of_keys_and_processes_does_not_matter(example) -> None:
    """Fails when a digest depends on the order of a dict or on the process (hash randomisation, locale)."""
    spec = example["train"]
    shuffled = dict(reversed(list(spec.model_dump(mode="json").items())))
    assert TrainSpec.parse(shuffled, source="here").digest() == spec.digest()
    one = spec.model_copy(update={"config": {"a": 1, "b": 2}})
    assert one.digest() == spec.model_copy(update={"config": {"b": 2, "a": 1}}).digest()
    script = "from benchmarks.values import digest; print(digest({'ü': [1, 2.5, None, True], 'a': 'x'}))"
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "LC_ALL": "C", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {hashlib.sha256('{"a":"x","ü":[1,2.5,null,true]}'.encode()).hexdigest()}


def test_values_are_frozen(example) -> None:
    """Fails when what names a folder can be changed after it was named."""
    for value, name in ((example["train"], "seed"), (example["train"].recipe, "lr"), (example["protocol"], "train")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, name, 1)


def test_every_value_can_be_a_key_of_a_dict(example) -> None:
    """Fails when a value with a dict inside (a method's config) cannot be hashed: plans are kept in dicts."""
    assert len({value: None for value in example.values()}) == 3


def test_nan_and_infinity_are_no_values(example) -> None:
    """Fails when a number that JSON cannot hold gets into a spec."""
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match=r"finite|JSON"):
            Recipe(**(example["train"].recipe.model_dump() | {"lr": wrong}))
        with pytest.raises(UserError, match="finite"):
            Recipe.parse(example["train"].recipe.model_dump() | {"min_lr": wrong}, source="here")
        with pytest.raises(ValueError, match="JSON"):
            canonical_json({"a": wrong})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lr": "fast"}, "lr"),
        ({"lr": 0}, "lr"),
        ({"lr": True}, "lr"),
        ({"iterations": "5"}, "iterations"),
        ({"iterations": 2.5}, "iterations"),
        ({"iterations": -1}, "iterations"),
        ({"batch": 0}, "batch"),
        ({"speed": 3}, "speed"),
        ({"augmentation": {"crops": 3}}, "augmentation.crops"),
        ({"precision": "8-bit"}, "precision"),
        ({"betas": [0.9]}, "betas"),
        ({"\n": 1}, "'\\n': there is no such field"),
        ({"lr": date(2026, 1, 2)}, "date"),
    ],
)
def test_errors_are_one_line(example, change: dict, told: str) -> None:
    """Fails when wrong input is taken for something else, or is not named with its source in one line."""
    with pytest.raises(UserError) as raised:
        Recipe.parse(example["train"].recipe.model_dump(mode="json") | change, source="spec.json")
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith("spec.json: not a valid Recipe: ")
    assert told in message


@pytest.mark.parametrize("junk", [None, [], "x", 3, {}])
def test_junk_is_one_line(junk: object) -> None:
    """Fails when a file with other content ends in a trace."""
    with pytest.raises(UserError, match=r"^spec\.json: not a valid TrainSpec: [^\n]*$"):
        TrainSpec.parse(junk, source="spec.json")


def test_missing_and_long_input() -> None:
    """Fails when an error repeats a whole file, or does not say which field is missing."""
    with pytest.raises(UserError, match="short_side: is missing") as raised:
        Inference.parse({"window": "x" * 5000}, source="here")
    assert len(str(raised.value)) < 400


def test_windows_and_strides_fit_together() -> None:
    """Fails when an evaluation that cannot be laid out, or a stride that means nothing, is planned."""
    for wrong in (
        {"window": 512},
        {"stride": 3},
        {"window": 4, "stride": 5},
        {"window": 0, "stride": 0},
        {"short_side": 0},
    ):
        with pytest.raises(UserError, match="Inference"):
            Inference.parse({"short_side": 64} | wrong, source="here")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(plain)
def test_canonical_json_is_json(data: object) -> None:
    """Fails when a value does not come back from its canonical text, or the text of what came back differs."""
    text = canonical_json(data)
    assert json.loads(text) == data
    assert canonical_json(json.loads(text)) == text
    assert digest(data) == hashlib.sha256(text.encode()).hexdigest()


def test_seeds_of_named_axes() -> None:
    """Fails when streams meet, leave 63 bits, or change from what earlier runs drew."""
    assert derive_seed("init", 3) == 1120864851067992142
    reference = int(hashlib.sha256(b'["init",3]').hexdigest()[:16], 16) // 2
    assert derive_seed("init", 3) == reference
    seeds = {derive_seed(name, a, b) for name, a, b in itertools.product(("step", "order"), range(20), range(20))}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed("a", 12, 3) != derive_seed("a", 1, 23)


def test_extra_and_nested_values() -> None:
    """Fails when nested values at their default are written out, or one that differs is not."""

    class Outer(Value):
        inner: Augmentation = Augmentation()

    assert Outer().essence() == {}
    assert Outer(inner=Augmentation(crop=3)).essence() == {"inner": {"crop": 3}}


def test_a_known_digest_changes_nothing_else() -> None:
    """Fails when a value that has told its digest is another value, shows it, or hands it to a changed copy."""
    fresh, told = (TrainSpec.model_validate_json(CANONICAL["train"]) for _ in range(2))
    assert told.digest() == told.digest() == fresh.model_copy().digest()
    assert told == fresh
    assert (repr(told), told.model_dump(), dict(told)) == (repr(fresh), fresh.model_dump(), dict(fresh))
    for deep in (False, True):
        changed = told.model_copy(update={"seed": 7}, deep=deep)
        assert changed.digest() != told.digest()
        assert changed.digest() == TrainSpec.model_validate(changed.model_dump()).digest()
