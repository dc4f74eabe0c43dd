"""The registered ranges: which fields they cover, that a run's own constants lie within, and that all of them fit."""

from __future__ import annotations

import json

import pytest

from benchmarks.recipes import recipe_for
from methods.ranges import Around, Between, OneOf, to_draw
from methods.registry import METHODS, config_class
from methods.training_free.floors_config import RandomConfig

CONFIGS = sorted({entry.config for entry in METHODS.values()})
DRAWN = [name for name, entry in METHODS.items() if entry.ranges]


def config_on(method: str, scale: str):
    """A method's config on photos ("native") or on shapes-5i ("")."""
    place = ("pascal-5i", scale) if scale else ("shapes-5i", "native")
    values = recipe_for(method, *place)[1]
    return config_class(method).model_validate_json(json.dumps(values | METHODS[method].fixed))


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_is_drawn_or_said_not_to_be(config: str) -> None:
    """Fails when a new field of a config has neither a range nor a reason why it has none, or has both."""
    names = [name for name, entry in METHODS.items() if entry.config == config]
    ranges = {field for name in names for field in METHODS[name].ranges}
    for name in names:
        reasons = METHODS[name].not_drawn
        assert ranges | reasons.keys() == config_class(name).model_fields.keys()
        assert not ranges & reasons.keys()
        assert all(reasons.values())


@pytest.mark.parametrize("scale", ["", "trial", "native"], ids=["shapes", "trial", "papers"])
@pytest.mark.parametrize("method", DRAWN)
def test_the_value_a_run_has_lies_within_its_range(method: str, scale: str) -> None:
    """Fails when what is drawn is no variation of what is run."""
    config, entry = config_on(method, scale), METHODS[method]
    found = to_draw(entry.ranges, config, entry.fixed.keys())
    assert not found.keys() & entry.fixed.keys()
    for name, span in found.items():
        value = getattr(config, name)
        if isinstance(span, OneOf):
            assert value in span.values, name
        else:
            assert span.low <= value <= span.high, name


@pytest.mark.parametrize("method", DRAWN)
def test_every_end_is_a_value_the_config_takes(method: str) -> None:
    """Fails when a draw could be refused by the method's own config."""
    config, cls = config_on(method, ""), config_class(method)
    for name, span in to_draw(METHODS[method].ranges, config).items():
        ends = span.values if isinstance(span, OneOf) else (span.low, span.high)
        for value in ends:
            changed = config.model_dump(mode="json") | {name: value}
            assert getattr(cls.model_validate_json(json.dumps(changed), strict=True), name) == value


def test_what_an_author_printed_is_drawn_only_where_a_recipe_departs_from_it() -> None:
    """Fails when a published constant is varied, or a changed one is not."""
    ranges = METHODS["clip-to-seg"].ranges
    papers, ours = (to_draw(ranges, config_on("clip-to-seg", scale)) for scale in ("native", ""))
    assert "global_weight" not in papers
    assert ours["global_weight"] == Between(0.3 / 3, 0.3 * 3, log=True)
    assert "temperature" in papers
    assert "bank_size" not in ours  # CLIP-to-Seg prints 24
    assert "bank_size" in to_draw(METHODS["clipteacher"].ranges, config_on("clipteacher", ""))  # CLIPTeacher does not


def test_what_is_chosen_or_off_stays() -> None:
    """Fails when a field set by hand is drawn over, or what is switched off is switched on."""
    assert to_draw({"cell": Around(2)}, RandomConfig(), {"cell"}) == {}
    assert Around(2).at(0.0) is None
    assert Around(2).at(None) is None
    assert Around(1.5).at(1) is None  # no other whole number near it
    assert Around(2).at(3) == Between(2, 6, log=True)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Between(2, 1), "low < high"),
        (lambda: Between(0, 1, log=True), "above 0 with log"),
        (lambda: Around(1), "above 1"),
        (lambda: OneOf((1,)), "two values"),
        (lambda: OneOf("ab"), "two values"),
        (lambda: Around(2).at("mean"), "positive number"),
        (lambda: Around(2).at(-1.0), "positive number"),
        (lambda: Around(2).at(True), "positive number"),
        (lambda: to_draw({"cel": Around(2)}, RandomConfig()), "'cel', which is no field"),
        (lambda: to_draw({"cell": (1, 2)}, RandomConfig()), "no Between, Around or OneOf"),
    ],
)
def test_a_wrong_range_is_refused(make, said: str) -> None:
    """Fails when a mistake in a range is drawn from."""
    with pytest.raises(ValueError, match=said):
        make()
