"""Finished weights scored on another benchmark or fold, as a person asks for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
import harness
from benchmarks.catalogue import BENCHMARKS, Data, benchmark
from benchmarks.data import datasets as catalogue
from benchmarks.spec import EvalSpec
from results.launch.plan import custom
from results.report.page import run_table
from results.store.confusion import ARRAYS, counted
from results.store.folders import Stored, find_stored
from splits import loader

IMAGES = 4
SIZES = ("--window", "64", "--stride", "64")
PHOTOS = Path(__file__).resolve().parents[5] / "shared" / "data"
SETS = {"twin", "odd"}


@pytest.fixture(autouse=True)
def as_it_was(torch_as_it_was):
    """A run in this process knows data sets; other tests choose for themselves."""
    yield
    for registry in (BENCHMARKS, loader.CUSTOM, custom.KNOWN, catalogue._OPENERS, catalogue.MASK_RULES):
        for name in SETS:
            registry.pop(name, None)
            registry.pop(f"own/{name}", None)


def call(capsys, *words) -> tuple[int, str, str]:
    code = harness.main([str(word) for word in words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def toml(folder: Path, name: str, classes: dict[str, int], unseen: list[list[str]]) -> Path:
    """The first scored scenes of the built-in world as a custom data set."""
    reader = Data().open(benchmark("shapes-5i"), "val")
    for part in ("photos", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in range(IMAGES):
        sample = reader.read(index)
        Image.fromarray(sample.image).save(folder / f"photos/scene{index}.png")
        Image.fromarray(np.where(np.isin(sample.mask, list(classes.values())), sample.mask, 0)).save(
            folder / f"masks/scene{index}.png"
        )
    (folder / "val.txt").write_text("".join(f"scene{index}\n" for index in range(IMAGES)))
    (folder / "train.txt").write_text("none\n")
    values = ", ".join(f"{json.dumps(label)} = {value}" for label, value in classes.items())
    lines = (
        f'name = "{name}"',
        'images = "photos"\nmasks = "masks"\ntrain = "train.txt"\nval = "val.txt"',
        f"classes = {json.dumps(list(classes))}",
        f"unseen = {json.dumps(unseen)}",
        'background = 0\ntemplates = "shapes"\nshort_side = 64',
        f"ids = {{ {values} }}",
    )
    (folder / f"{name}.toml").write_text("\n".join(lines))
    return folder / f"{name}.toml"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """`runs` with zegclip, shortly trained on fold 0 and scored in windows, its `key`; `twin`: the same, custom."""
    root = tmp_path_factory.mktemp("transfer")
    small = ("--methods", "zegclip", "--folds", "0", "--limit", str(IMAGES), "--device", "cpu", "--cluster", "debug")
    assert harness.main(["run", *small, *SIZES, "--runs", str(root / "runs")]) == 0
    (key,) = [p.name.rpartition("-")[2] for p in (root / "runs").glob("*/*/*-*")]
    (root / "key").write_text(key)
    split = benchmark("shapes-5i").split
    folds = [list(fold.unseen) for fold in split.folds]
    toml(root / "twin", "twin", dict(zip(split.classes, split.ids, strict=True)), folds)
    return root


@pytest.fixture
def runs(made, tmp_path) -> Path:
    return shutil.copytree(made / "runs", tmp_path / "runs")


def on(made, runs, *words):
    key = (made / "key").read_text()
    common = ("--runs", runs, "--device", "cpu", "--cluster", "debug")
    return ("eval", "--run", key, *words, *common)


def stored(runs: Path) -> dict[str, Stored]:
    found = [s for s in find_stored(runs) if isinstance(s, Stored)]
    return {f"{e.benchmark} {e.fold}": s for s in found for e in [s.record.result.evaluation]}


def test_the_same_classes_and_images_elsewhere_give_the_same_matrices(made, runs, capsys):
    """Fails when another benchmark's images, class order, words, sizes or shift do not reach the method as they are."""
    twin = made / "twin/twin.toml"
    code, _, err = call(capsys, *on(made, runs, "--on", twin, "--on-folds", "0", "1", "--scale", "native", *SIZES))
    assert code == 0, err
    assert "unseen in the fold but LABELLED IN THE TRAINING, no zero-shot result (5): cross, drop" in err
    found = stored(runs)
    arrays = {name: counted(of.confusion, ARRAYS) for name, of in found.items()}
    for name in ARRAYS:
        np.testing.assert_array_equal(arrays["twin 0"][name], arrays["shapes-5i 0"][name])
        np.testing.assert_array_equal(arrays["twin 1"][name], arrays["twin 0"][name])  # only S and U are others
    native, same, other = (found[name].record.result for name in ("shapes-5i 0", "twin 0", "twin 1"))
    assert same.own == native.own
    assert same.evaluation.labelled == other.evaluation.labelled == native.train.side.seen
    assert (native.contamination, same.contamination) == ("", "none")
    assert other.contamination == "labelled in its training: cross, drop, fish, flower, gear"
    assert same.label == "zegclip (shapes recipe; trained on shapes-5i fold 0)"
    assert other.label == "zegclip (shapes recipe; trained on shapes-5i fold 0; contaminated)"
    by_hand = by_classes(arrays["twin 1"], set(benchmark("shapes-5i").split.folds[1].unseen))
    assert (other.own.miou_seen, other.own.miou_unseen) == pytest.approx(by_hand, abs=1e-12)
    assert call(capsys, "results", "verify", "--from", runs)[0] == 0


def by_classes(arrays, unseen: set[str]) -> tuple[float, float]:
    """Mean IoU over seen and over unseen classes, one class after the other."""
    matrix, means = arrays["matrices"][int(arrays["own_index"])], {True: [], False: []}
    for index, name in enumerate(benchmark("shapes-5i").split.classes):
        union = matrix[index].sum() + matrix[:, index].sum() - matrix[index, index]
        if union:
            means[name in unseen].append(matrix[index, index] / union)
    return float(np.mean(means[False])), float(np.mean(means[True]))


def test_custom_data_with_some_of_the_names(made, runs, tmp_path, capsys):
    """Fails when a class is not known by another spelling, one of a fold's unseen passes for known, or none is new."""
    ids = dict(zip(benchmark("shapes-5i").split.classes, benchmark("shapes-5i").split.ids, strict=True))
    classes = {"STAR": ids["star"], "Tree": ids["tree"], "zebra": ids["bell"], "arrow": ids["arrow"]}
    odd = toml(tmp_path / "odd", "odd", classes, [["zebra"], ["Tree"]])
    code, out, err = call(capsys, *on(made, runs, "--on", odd, *SIZES))
    assert code == 0, err
    found = {name: of.record.result for name, of in stored(runs).items() if name.startswith("odd")}
    assert found["odd 0"].evaluation.labelled == ("STAR", "Tree")  # arrow was hidden by fold 0
    assert found["odd 0"].contamination == "none"
    assert found["odd 1"].contamination == "labelled in its training: Tree (tree)"
    assert "mIoU(labelled)" in out
    assert "Labelled in the training on shapes-5i fold 0: 2 of 4 classes, STAR, Tree." in out
    code, out, _ = call(capsys, "tables", "--from", runs, "--by", "fold")  # without the TOML
    assert code == 0
    assert out.count("**odd, weights trained on shapes-5i: each fold, in percent**") == 1
    assert (
        call(capsys, "tables", "--from", runs, "--by", "fold", "--show", "main", "--benchmarks", "odd")[1].count("**")
        == 2
    )


def test_another_fold_of_the_same_benchmark(made, runs, capsys):
    """Fails when weights of one fold stand among those of another, in a table, a comparison or the report."""
    code, out, err = call(capsys, *on(made, runs, "--on", "shapes-5i", "--on-folds", "0", "1", "--limit", "2"))
    assert code == 0, err
    here, elsewhere = out.split("**shapes-5i, weights trained on shapes-5i")
    assert "trained on" not in here.split("|:-")[1].split("\n\n")[0]
    assert "(trained on shapes-5i fold 0; contaminated) †" in elsewhere
    assert "Contaminated, no zero-shot result" in elsewhere
    assert "Contaminated" not in here
    listed = run_table([s.record for s in find_stored(runs) if isinstance(s, Stored)], {}, frozenset()).frame["run"]
    assert sum(name.endswith(" on shapes-5i fold 1") for name in listed) == 1 < len(listed)
    code, _, err = call(capsys, "compare", "zegclip", "constant", "--from", runs)
    assert (code, "there is no run of 'constant'" in err) == (2, True)
    look = ("status", "--run", (made / "key").read_text(), "--on", "shapes-5i", "--limit", "2", "--runs", runs)
    states = call(capsys, *look)[1]
    assert "on shapes-5i fold 1" in states
    assert states.endswith("4 runs: 2 done, 2 planned\n")


def test_predictions_of_a_transfer_come_back_as_its_matrix(made, runs, tmp_path, capsys):
    """Fails when `predict` asks weights about another fold otherwise than `eval` does: another shift, other words."""
    place = ("--benchmark", "shapes-5i", "--fold", "1", "--limit", str(IMAGES), *SIZES)
    key, common = (made / "key").read_text(), ("--runs", runs)
    limit = ("--on", "shapes-5i", "--on-folds", "1", "--limit", IMAGES, *SIZES)
    assert call(capsys, *on(made, runs, *limit))[0] == 0
    assert call(capsys, "predict", "--run", key, *place, *common, "--device", "cpu", "--out", tmp_path / "said")[0] == 0
    code, _, err = call(capsys, "score", "--predictions", tmp_path / "said", "--name", "rival", *place, *common)
    assert code == 0, err
    found = {s.record.result.train.method: s for s in stored_on(runs, "shapes-5i", 1)}
    ours, theirs = (counted(found[name].confusion, ARRAYS) for name in ("zegclip", "rival"))
    matrices = [of["matrices"][int(of["own_index"])] for of in (ours, theirs)]
    np.testing.assert_array_equal(*matrices)
    assert found["zegclip"].record.result.own.shift > 0


def stored_on(runs, name, fold):
    found = [s for s in find_stored(runs) if isinstance(s, Stored)]
    return [s for s in found if (s.record.result.evaluation.benchmark, s.record.result.evaluation.fold) == (name, fold)]


def test_weights_from_elsewhere(made, tmp_path, capsys):
    """Fails when a card does not tell the training, or weights without one pass for clean or for a training here."""
    run = next((made / "runs").glob("*/*/*-*"))
    shutil.copy(run / "model.safetensors", tmp_path / "mine.safetensors")
    weights, place = tmp_path / "mine.safetensors", ("--on", "shapes-5i", "--on-folds", "1", "--limit", "2")
    common = ("--device", "cpu", "--cluster", "debug")
    bare = ("eval", "--weights", weights, *place, *common, "--runs", tmp_path / "bare")
    code, _, err = call(capsys, *bare)
    assert (code, "no card beside it" in err) == (2, True)
    code, out, err = call(capsys, *bare, "--methods", "zegclip", "--folds", "0")
    assert code == 0, err
    assert "zegclip (imported weights; said to be trained on shapes-5i fold 0; training unknown) †" in out
    shutil.copy(run / "model.json", tmp_path / "mine.json")
    code, out, err = call(capsys, *bare[:-1], tmp_path / "carded")
    assert code == 0, err
    assert "zegclip (imported weights; trained on shapes-5i fold 0; contaminated) †" in out
    records = [s.record.result for name in ("bare", "carded") for s in stored_on(tmp_path / name, "shapes-5i", 1)]
    assert [r.contamination.partition(":")[0] for r in records] == ["unknown", "labelled in its training"]
    assert records[0].own == records[1].own
    # by its card alone it is scored where it was trained
    code, out, err = call(capsys, *bare[:3], "--limit", "2", *common, "--runs", tmp_path / "carded")
    assert code == 0, err
    assert "zegclip (imported weights) †" in out
    code, _, err = call(capsys, "eval", "--weights", weights, "--methods", "zegclip", "--folds", "1", *common)
    assert (code, err.count("\n")) == (2, 1)
    assert "trained on shapes-5i fold 0, as its card says, and not on shapes-5i fold 1" in err
    # OTSeg's tensors have the same names and shapes
    code, _, err = call(capsys, "eval", "--weights", weights, "--methods", "otseg", "--folds", "0", *common)
    assert (code, err.count("\n")) == (2, 1)
    assert "trained as zegclip, as its card says, and not as otseg" in err


def test_a_failed_transfer_is_nobody_elses_failure(made, runs, tmp_path, capsys):
    """Fails when weights that cannot be scored in one place are refused, called failed, or left out everywhere else."""
    twin = shutil.copytree(made / "twin", tmp_path / "twin")
    target = ("--on", twin / "twin.toml", "--on-folds", "0", *SIZES, "--scale", "native")
    (twin / "masks/scene1.png").write_bytes(b"broken")
    code, _, err = call(capsys, *on(made, runs, *target))
    assert code == 2  # found before anything is scored
    assert "scene1.png" in err
    look = ("status", "--run", (made / "key").read_text(), "--runs", runs)
    assert "1 runs: 1 planned" in call(capsys, *look, *target)[1]
    assert "1 runs: 1 planned" in call(capsys, *look, "--on", "shapes-5i", "--on-folds", "2")[1]
    assert "1 runs: 1 done" in call(capsys, *look, *SIZES, "--limit", IMAGES)[1]  # where it was trained


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--run", "0000", "--on", "shapes-5i"), "no such run"),
        (("--run", "{key}", "--on", "nowhere"), "no benchmark is called 'nowhere'"),
        (("--run", "{key}", "--on", "shapes-5i", "--on-folds", "9"), "no fold 9"),
        (("--run", "{key}", "--on", "coco-20i"), "no data root was given"),
        (("--run", "{key}", "--folds", "1", "--on", "shapes-5i"), "leave --folds out"),
        (("--run", "{key}", "--weights", "{weights}"), "leave --weights out"),
        (("--run", "{key}", "--on", "shapes-5i", "--year", "2014"), "one edition only"),
        (("--run", "{key}", "--on", "{runs}/no.toml"), "there is no such file"),
        (("--run", "{key}", "--on-folds", "1"), "--on-folds belongs to --on"),
        (("--methods", "clip", "--on", "shapes-5i"), "nothing is trained, so nothing is transferred"),
        (("--weights", "{weights}", "--methods", "zegclip", "--on", "shapes-5i"), "leave --methods out"),
        (("--on", "shapes-5i", "--sweep", "zegclip.prompt_tokens=5,10"), "leave --sweep out"),
        (("--run", "{key}", "--on", "context-49-10", "--kind", "episodic-binary"), "no episodic lists"),
    ],
)
def test_wrong_arguments_end_in_one_line(made, capsys, words, reason):
    """Fails when a transfer that cannot be ends in a stack trace, or begins."""
    weights = next((made / "runs").glob("*/*/*-*")) / "model.safetensors"
    known = {"key": (made / "key").read_text(), "weights": weights, "runs": made / "runs"}
    code, _, err = call(capsys, "eval", *(w.format(**known) for w in words), "--runs", made / "runs")
    assert code == 2
    assert reason in err
    assert err.count("\n") == 1


def kept(now, then):
    """What is stored now, of the fields stored then: later ones are left out of the key at their defaults."""
    return {name: kept(now[name], item) if isinstance(item, dict) else now[name] for name, item in then.items()}


def test_what_is_stored_of_old_is_stored_so_today():
    """Fails when a reference record's scoring gets another key or another text by the field for transfers."""
    reference = Path(__file__).parents[4] / "results/reference/shapes-5i"
    for path in sorted(reference.glob("zegclip/fold*/evals/*/record.json"))[:4]:
        stored_spec = json.loads(path.read_text())["result"]["evaluation"]
        spec = EvalSpec.parse(stored_spec, source=str(path))
        assert spec.key == path.parent.name
        assert kept(spec.model_dump(mode="json"), stored_spec) == stored_spec


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the shared photos are not beside this checkout")
def test_real_photos_of_voc_weights_on_coco(tmp_path, monkeypatch, capsys):
    """Fails when weights of VOC cannot be asked about COCO's photos, in its own edition, by its own words."""
    monkeypatch.setenv("ZSS_CACHE", str(tmp_path / "cache"))
    voc, coco = PHOTOS / "voc-mini", PHOTOS / "coco-mini"
    common = ("--device", "cpu", "--cluster", "debug", "--runs", tmp_path / "runs", "--limit", "3", "--subset")
    what = ("--methods", "constant", "--benchmarks", "pascal-5i", "--folds", "1", *common)
    root = f"{voc}:{coco}"
    assert call(capsys, "run", *what, "--data-root", root)[0] == 0
    code, out, err = call(
        capsys, "eval", *what, "--data-root", root, "--on", "coco-20i", "--on-folds", "0", "--year", "2017"
    )
    assert code == 0, err
    (found,) = stored_on(tmp_path / "runs", "coco-20i", 0)
    result = found.record.result
    assert result.contamination == "labelled in its training: person, airplane (aeroplane), boat, dog, " + (
        "dining table (diningtable)"
    )
    assert result.evaluation.side.data.year == "2017"
    assert len(result.evaluation.labelled) == 15
    assert "coco-20i, weights trained on pascal-5i" in out
