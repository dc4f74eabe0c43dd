"""The benchmarks by name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from benchmarks import open_vocabulary
from benchmarks.catalogue import (
    BENCHMARKS,
    SHAPES_CLIP,
    Data,
    benchmark,
    builtin_clip,
    eval_side,
    source,
    train_side,
)
from benchmarks.data.datasets import MASK_RULES
from benchmarks.protocol import DataSource, Inference
from benchmarks.templates import templates
from splits import loader
from splits.errors import DataError, UserError

MINI = Path(__file__).resolve().parents[3] / "shared/data/voc-mini"
mini = pytest.mark.skipif(not MINI.is_dir(), reason="the small photo set is not beside this checkout")


def test_every_split_has_its_benchmark() -> None:
    """Fails when a split ships without a benchmark, or a benchmark without a split."""
    assert set(BENCHMARKS) == set(loader.BENCHMARKS)
    for name, bench in BENCHMARKS.items():
        assert bench.name == name == bench.split.name
        assert bench.split.dataset in MASK_RULES


def test_unknown_name() -> None:
    """Fails when a typing error is not answered with the names that exist."""
    with pytest.raises(
        UserError, match=r"no benchmark is called 'pascal'; did you mean pascal-5i.*`list benchmarks` names all"
    ):
        benchmark("pascal")


def test_sizes_of_the_protocol() -> None:
    """Fails when photos are scored at another size than the papers', or the built-in world in windows."""
    for name in ("pascal-5i", "voc-15-5"):
        assert benchmark(name).inference == Inference(short_side=512, window=512, stride=426)
        assert benchmark(name).templates == "single"
        assert benchmark(name).parts == ("val",)
    assert benchmark("shapes-5i").inference == Inference(short_side=64)
    assert set(benchmark("shapes-5i").parts) == {"val", "tune"}


def test_scales() -> None:
    """Fails when a trial is taken for the real size, or asked of a benchmark that has none."""
    pascal = benchmark("pascal-5i")
    assert pascal.inference_at("native") == pascal.inference
    assert pascal.inference_at("trial").short_side < pascal.inference.short_side
    with pytest.raises(UserError, match="shapes-5i has no trial scale"):
        benchmark("shapes-5i").inference_at("trial")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_sides(name: str) -> None:
    """Fails when a side's classes, seen classes or texts are not the fold's, in order."""
    bench = benchmark(name)
    data = DataSource(dataset=bench.split.dataset, ids_sha256="0" * 64, mask_rule="given")
    for fold in bench.split.folds:
        train = train_side(bench, fold.index, data, "transductive")
        asked = eval_side(bench, fold.index, data, bench.inference)
        for side in (train, asked):
            assert side.classes == fold.classes
            words = open_vocabulary.names_of(name, "sclip") if bench.protocol else tuple((c,) for c in side.classes)
            assert side.queries.texts == tuple(of[0] for of in words)
            assert side.queries.names == (tuple(words) if side is asked else tuple(of[:1] for of in words))
            assert (side.seen, side.unseen) == (fold.seen, fold.unseen)
            assert side.queries.templates == templates(bench.templates)
        assert train.setting == "transductive"
    with pytest.raises(UserError, match=f"{name} has no fold {len(bench.split.folds)}"):
        train_side(bench, len(bench.split.folds), data)


def test_whole_data_is_known_without_looking() -> None:
    """Fails when planning on a machine without the photos is impossible, or the list is not told by content."""
    bench = benchmark("pascal-5i")
    for part, name in (("train", "voc2012_seg_trainaug_10582"), ("val", "voc2012_seg_val_1449")):
        found = source(bench, part, Data(root="/nowhere"))
        text = "".join(f"{id_}\n" for id_ in loader.read_list(name))
        assert found.ids_sha256 == hashlib.sha256(text.encode()).hexdigest()
        assert (found.dataset, found.partial, found.mask_rule) == ("voc2012", False, "SegmentationClassAug")


def test_parts_of_the_built_in_world_differ() -> None:
    """Fails when scores on the tune part could be taken for scores on val."""
    bench = benchmark("shapes-5i")
    found = {part: source(bench, part, Data()) for part in ("train", "val", "tune")}
    assert len({data.ids_sha256 for data in found.values()}) == 3
    for part, data in found.items():
        assert data.ids_sha256 == Data().open(bench, part).content_sha256()
        assert not data.partial


@mini
def test_a_subset_is_told_by_what_was_used() -> None:
    """Fails when a partial set has the hash of the whole, or --subset hides that it is partial."""
    bench, data = benchmark("pascal-5i"), Data(root=str(MINI), subset=True)
    for part in ("train", "val"):
        found, whole = source(bench, part, data), source(bench, part, Data())
        reader = data.open(bench, part)
        assert found.partial
        assert found.ids_sha256 != whole.ids_sha256
        text = "".join(f"{id_}\n" for id_ in reader.ids)
        assert found.ids_sha256 == hashlib.sha256(text.encode()).hexdigest()
    with pytest.raises(DataError, match="--subset"):
        dataclasses.replace(data, subset=False).open(bench, "val")


def test_subset_of_nothing_is_one_line(tmp_path: Path) -> None:
    """Fails when an empty data root plans runs on no images."""
    with pytest.raises(DataError, match="no VOC 2012 found") as raised:
        source(benchmark("pascal-5i"), "val", Data(root=str(tmp_path), subset=True))
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(not (SHAPES_CLIP / "weights.json").exists(), reason="the built-in CLIP is not trained yet")
def test_builtin_clip_is_what_its_card_says() -> None:
    """Fails when the shipped weights are not those the specs of stored runs name."""
    found = builtin_clip()
    assert found.sha256 == hashlib.sha256((SHAPES_CLIP / "weights.safetensors").read_bytes()).hexdigest()
    assert json.loads((SHAPES_CLIP / "weights.json").read_text())["sha256"] == found.sha256
    assert found.pretrained == "builtin"
