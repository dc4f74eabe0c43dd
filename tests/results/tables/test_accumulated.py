"""What tables say of accumulated gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.recipes import recipe_for
from methods.registry import METHODS, MethodEntry
from results.store.record import RunRecord
from results.tables.accumulated import accumulated, apart_of
from results.tables.tables import build_tables
from results.tables.views import View
from tests.results.factory import record

pytestmark = pytest.mark.usefixtures("toy")
SHAPES_RECIPE, _ = recipe_for("zegclip", "shapes-5i", "native")
CUT = SHAPES_RECIPE.model_copy(update={"accumulate": 4})


def cut(method: str, **changes) -> RunRecord:
    return record(method, recipe=CUT, **changes)


def test_tables_tell_of_micro_batches() -> None:
    """Fails when a table does not say that batches were cut, or what of them is not as it would be whole."""
    fixed = METHODS["clip-to-seg"].fixed
    student = cut("clip-to-seg", config={**fixed, "body_weights": "published"})
    found = [*(cut("zegclip", fold=fold) for fold in (0, 1)), student]
    (table,) = build_tables(found, view=View(notes="full"))
    assert any("300 iterations of batch 16 in micro-batches of 4, lr 0.002" in note for note in table.notes)
    (note,) = [note for note in table.notes if note.startswith("Accumulated")]
    assert "zegclip (shapes recipe): gradients of the whole batch" in note
    assert "clip-to-seg (shapes recipe): of each micro-batch alone: BatchNorm's statistics; the bank" in note
    assert not list(accumulated([record("zegclip", recipe=SHAPES_RECIPE)]))


@pytest.mark.parametrize(
    ("method", "settings", "told"),
    [
        ("zegclip", {}, ()),
        ("zegclip-baseline", {"loss": "exclusive"}, ()),
        ("zegclip", {"setting": "transductive"}, ("pseudo-labelled",)),
        ("clip-to-seg", {}, ("BatchNorm", "bank", "mined")),
        ("clip-to-seg", {"local_reduction": "mean"}, ("BatchNorm", "bank", "regions", "mined")),
        ("clip-to-seg-ce", {"global_loss": False, "local_loss": False, "latent": "off"}, ("BatchNorm",)),
        (
            "clipteacher",
            {"candidates": "bank+batch", "local_loss": False, "seen_loss": True},
            ("BatchNorm", "batch and bank", "prototypes", "mined"),
        ),
        ("chimera-seg", {}, ("BatchNorm", "bank", "calibrated")),
        ("chimera-seg", {"distillation": "off", "entry": "ln_pre"}, ("BatchNorm",)),
        ("chimera-seg", {"sgd_loss": "cosine", "head": "conv"}, ("BatchNorm",)),
        ("gone", {}, ("not known",)),
        ("zegclip", {"no_such_setting": 1}, ("not known",)),
    ],
)
def test_what_is_of_a_micro_batch_alone(method: str, settings: dict, told: tuple[str, ...]) -> None:
    """Fails when a part that depends on the rest of its batch goes untold, or one is told of that is not there."""
    found = apart_of(method, settings)
    assert len(found) == len(told)
    assert all(word in words for word, words in zip(told, found, strict=True))


def test_nothing_is_taken_for_granted_of_custom_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a method whose entry does not say it has the gradients of whole batches, or one that says it has not.

    Both are custom methods of ZegCLIP's class: what counts is the entry.
    """
    known = METHODS["zegclip"]
    mine = MethodEntry("mine", known.config, known.builder, "ours", "blocks", custom=True)
    monkeypatch.setitem(METHODS, "mine", mine)
    assert len(apart_of("mine", {})) == 1
    monkeypatch.setitem(METHODS, "mine", replace(mine, averaging=known.averaging))
    assert apart_of("mine", {}) == ()
