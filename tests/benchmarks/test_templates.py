"""The templates by name: those of the released text files, and what a choice of them changes."""

from __future__ import annotations

from benchmarks.catalogue import BENCHMARKS
from benchmarks.templates import TEMPLATES, templates


def test_the_fifteen_of_the_released_text_files() -> None:
    """Fails when a sentence of `coco_multi` is missing, doubled, or has another full stop or capital."""
    multi = templates("multi")
    assert len(set(multi)) == 15
    assert multi[:4] == (
        "a photo of a {}.",
        "a photo of a small {}.",
        "a photo of a medium {}.",
        "a photo of a large {}.",
    )
    assert multi[4:8] == tuple(f"This is {sentence}" for sentence in multi[:4])
    assert multi[8:] == (
        "a {} in the scene.",
        "a photo of a {} in the scene.",
        "There is a {} in the scene.",
        "There is the {} in the scene.",
        "This is a {} in the scene.",
        "This is the {} in the scene.",
        "This is one {} in the scene.",
    )
    assert templates("single") == ("a photo of a {}",)


def test_every_benchmark_names_templates_that_exist() -> None:
    """Fails when a benchmark asks with sentences that no name stands for."""
    for bench in BENCHMARKS.values():
        assert templates(bench.templates)
    assert all(sentence.count("{}") == 1 for sentences in TEMPLATES.values() for sentence in sentences)
