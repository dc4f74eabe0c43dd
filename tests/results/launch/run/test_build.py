"""What training may name: in the inductive setting, nothing unseen."""

from __future__ import annotations

from dataclasses import fields

import pytest

pytest.importorskip("torch")
from benchmarks.catalogue import BENCHMARKS, BUILTIN, benchmark, train_side
from benchmarks.labels import MOST_CLASSES, UNSEEN_EXTENT, training_table
from benchmarks.protocol import DataSource
from benchmarks.spec import ClipId
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run import training
from results.launch.run.build import clip_of, training_vocabulary, vocabulary_of
from results.launch.run.job import Job
from splits.errors import UserError
from splits.settings import SETTINGS, Setting

FOLDS = [(name, fold.index) for name in BENCHMARKS for fold in benchmark(name).split.folds]


def side(name: str, fold: int, setting: Setting = "inductive"):
    bench = benchmark(name)
    return train_side(
        bench, fold, DataSource(dataset=bench.split.dataset, ids_sha256="0" * 64, mask_rule="given"), setting
    )


@pytest.mark.parametrize(("name", "fold"), FOLDS)
def test_inductive_training_holds_no_unseen_name(name: str, fold: int) -> None:
    """Fails when an unseen class, or its text, is within reach of an inductive training."""
    vocabulary = training_vocabulary(side(name, fold))
    unseen = set(benchmark(name).split.fold(fold).unseen)
    held = [item for field in fields(vocabulary) for item in getattr(vocabulary, field.name)]
    assert not unseen & {item for item in held if isinstance(item, str)}
    assert vocabulary.names == benchmark(name).split.fold(fold).seen
    assert len(vocabulary.texts) == len(vocabulary.names)
    assert all(vocabulary.seen)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(("name", "fold"), FOLDS)
def test_labels_are_positions_in_the_vocabulary(name: str, fold: int, setting: Setting) -> None:
    """Fails when label n is not the n-th name that the method was built with: everything would be learned shifted."""
    split = benchmark(name).split
    if len(split.classes) > MOST_CLASSES:
        with pytest.raises(UserError, match="labels of a training are bytes"):
            training_table(split, split.fold(fold), setting=setting)
        return
    vocabulary = training_vocabulary(side(name, fold, setting))
    table = training_table(split, split.fold(fold), setting=setting)
    labelled = {
        class_: vocabulary.names[table[id_]]
        for class_, id_ in zip(split.classes, split.ids, strict=True)
        if table[id_] < UNSEEN_EXTENT
    }
    assert all(class_ == name_ for class_, name_ in labelled.items())
    if setting == "fully-supervised":
        assert set(labelled) == set(vocabulary.names) == set(split.fold(fold).classes)
    assert set(labelled) == {n for n, seen in zip(vocabulary.names, vocabulary.seen, strict=True) if seen}


def test_texts_follow_their_names() -> None:
    """Fails when the words for a class are taken by position in another list."""
    renamed = side("pascal-5i", 1)
    words = tuple(f"the {name}" for name in renamed.classes)
    renamed = renamed.model_copy(update={"queries": renamed.queries.model_copy(update={"texts": words})})
    assert training_vocabulary(renamed).texts == tuple(f"the {name}" for name in renamed.seen)
    two = vocabulary_of(renamed, ("sofa", "bus"))
    assert (two.texts, two.seen) == (("the sofa", "the bus"), (True, False))


def test_the_built_in_clip_is_no_copy_of_another() -> None:
    """Fails when every table of the built-in world warns that its own CLIP is stored as it was made."""
    clip = clip_of(ClipId(model="tiny-shapes", pretrained=BUILTIN))
    assert clip is not None
    assert clip.remarks == ()


@pytest.mark.parametrize(("device", "kept"), [("cpu", None), ("cuda", "texts")])
def test_texts_are_kept_for_runs_on_a_gpu_alone(monkeypatch, tmp_path, device, kept) -> None:
    """Fails when each run on a GPU embeds all texts anew on the CPU, or a run on a CPU takes them from a cache."""
    asked = []
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path))
    monkeypatch.setattr(training, "clip_of", lambda clip, file, *, text_cache: asked.append(text_cache))
    monkeypatch.setattr(training, "build", lambda *args, **more: None)
    (run,) = plan(Request(methods=("clip",), benchmarks=("shapes-5i",), folds=(0,)))
    training.built(Job(run=run, root=tmp_path, device=device))
    assert asked == [kept and tmp_path / kept]
