"""What is said of weights from elsewhere: which unseen classes and scored images they know."""

from __future__ import annotations

import pytest
from PIL import Image

from benchmarks.catalogue import Data, benchmark, eval_side, source, train_side
from benchmarks.protocol import DataSource
from benchmarks.spec import EvalSpec, TrainSpec
from results.launch.plan.contamination import contamination, photo
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.plan.transfer import transferred
from splits.loader import load_split

WEIGHTS = "ab" * 32


def planned(bench="pascal-5i", fold=0, weights="", **changes):
    (run,) = plan(Request(methods=("zegclip",), benchmarks=(bench,), folds=(fold,), weights=weights, **changes))
    return run


def said(origin, bench="pascal-5i", fold=0, **changes):
    run = planned(bench, fold, WEIGHTS, **changes)
    return contamination(run.train, origin and origin.train, run.evaluation)


def test_weights_trained_here_need_no_word():
    """Fails when an ordinary run is marked."""
    run = planned()
    assert contamination(run.train, None, run.evaluation) == ""


def test_without_a_card_nothing_is_known():
    """Fails when weights of unknown training pass for clean ones."""
    assert said(None) == "unknown"
    assert said(planned(weights="cd" * 32)) == "unknown"  # imported themselves


def test_the_same_fold_is_clean_and_another_is_not():
    """Fails when weights that were trained on the labels of unseen classes pass for zero-shot, or clean ones do not."""
    assert said(planned()) == "none"
    assert said(planned("voc-15-5"), fold=3) == "none"  # the same fold under another name
    words = said(planned(fold=1))
    assert words == "labelled in its training: aeroplane, bicycle, bird, boat, bottle"


@pytest.mark.parametrize("setting", ["fully-supervised", "transductive-known-extent"])
def test_settings_that_know_more_are_named(setting):
    """Fails when weights that knew unseen labels or their places are shown in an inductive table as if they had not."""
    assert f"trained in the setting {setting}" in said(planned(setting=setting))
    assert "trained in the setting" not in said(planned(setting=setting), setting=setting)


def test_scored_images_that_were_trained_on():
    """Fails when images of the training are scored unseen: the tune part lies in the train part."""
    assert "1464 scored images were trained on" in said(planned(), "pascal-5i-tune", 0)
    assert said(planned("pascal-5i-tune"), "pascal-5i-tune") == "none"


def test_generated_parts_share_nothing():
    """Fails when the built-in world's parts are taken for one another."""
    assert said(planned("shapes-5i"), "shapes-5i") == "none"
    assert said(planned("shapes-5i"), "shapes-5i", part="tune") == "none"


def origin_of(name, fold=0, setting="inductive"):
    """A training on a benchmark whose data need not be here."""
    some, bench = planned(), benchmark(name)
    data = DataSource(dataset=bench.split.dataset, year=bench.split.year(), ids_sha256=f"of {name}", mask_rule="")
    side = train_side(bench, fold, data, setting)
    return some.train.model_copy(update={"benchmark": name, "fold": fold, "side": side})


def moved(train, name, fold=0, data=None):
    """What is said of these weights, trained here, when they are scored elsewhere."""
    bench = benchmark(name)
    found = DataSource(dataset=bench.split.dataset, year=bench.split.year(), ids_sha256=f"val {name}", mask_rule="")
    if data is not None:
        found = source(bench, "val", data)
    evaluation = EvalSpec(benchmark=name, fold=fold, side=eval_side(bench, fold, found, bench.inference))
    return contamination(train, None, transferred(train, evaluation), data)


def test_classes_under_other_words():
    """Fails when COCO's couch is taken for a new class by weights that learned VOC's sofa."""
    assert moved(origin_of("pascal-5i", 0), "coco-stuff-156-15") == "labelled in its training: cow"
    assert moved(origin_of("pascal-5i", 1), "coco-stuff-156-15") == "none"
    words = moved(origin_of("coco-stuff-156-15"), "voc-15-5")
    assert words == "labelled in its training: pottedplant (potted plant), sheep, sofa (couch), train, tvmonitor (tv)"


def test_pseudo_labels_of_names_are_told():
    """Fails when names that a transductive training gave to pixels pass for unknown to it."""
    words = moved(origin_of("pascal-5i", 3, "transductive"), "pascal-5i", 2)
    assert words == "labelled in its training: diningtable, dog, horse, motorbike, person"
    words = moved(origin_of("pascal-5i", 3, "transductive"), "voc-15-5")
    assert words == "pseudo-labelled in its training: pottedplant, sheep, sofa, train, tvmonitor"


CONTEXT = "VOCdevkit/VOC2010"


@pytest.fixture
def context(tmp_path):
    """PASCAL-Context's val part: two photos that VOC's 10,582 have too, one of VOC's val, one of neither."""
    train, val = (load_split("pascal-5i").listed(part) for part in ("train", "val"))
    ids = [train[7], train[99], val[0], "2010_999999"]
    for folder in ("JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext"):
        (tmp_path / CONTEXT / folder).mkdir(parents=True)
    for id_ in ids:
        Image.new("RGB", (2, 2)).save(tmp_path / CONTEXT / f"JPEGImages/{id_}.jpg")
        Image.new("L", (2, 2)).save(tmp_path / CONTEXT / f"SegmentationClassContext/{id_}.png")
    (tmp_path / CONTEXT / "ImageSets/SegmentationContext/val.txt").write_text("".join(f"{i}\n" for i in ids))
    return Data(root=str(tmp_path), subset=True), sorted(ids[:2])


def test_photos_that_two_sets_share(context):
    """Fails when scored photos of PASCAL-Context that lie in VOC's training list are not found."""
    data, both = context
    said = moved(origin_of("pascal-5i", 3), "context-49-10", data=data)
    assert said.endswith(f"; 2 scored images were trained on, first {both[0]}")


def test_photos_that_may_be_shared_are_not_called_apart():
    """Fails when nothing is said where VOC and Context share photos and Context's list is not here."""
    assert moved(origin_of("pascal-5i", 3), "context-49-10").endswith(
        "whether scored images were trained on is not known"
    )
    assert "scored images" not in moved(origin_of("pascal-5i", 3), "coco-stuff-156-15")


@pytest.mark.parametrize(
    ("trained", "scored", "words"),
    [
        ("coco-20i 2014", "coco-20i 2014", ""),
        ("coco-20i 2014", "coco-20i 2017", ""),  # val2017 is of val2014
        ("coco-20i 2017", "coco-20i 2017", ""),
        ("coco-stuff-156-15 2017", "coco-20i 2017", ""),
        ("coco-stuff-156-15 2017", "coco-20i 2014", "which holds all but 5,000"),
        ("coco-20i 2014", "coco-20i-tune 2014", "they are of COCO's train part"),
        ("coco-stuff-156-15 2017", "coco-20i-tune 2014", "which holds all but 5,000"),
        ("coco-20i-tune 2014", "coco-20i-tune 2014", ""),
        ("coco-20i-tune 2014", "coco-20i 2014", ""),
    ],
)
def test_editions_of_coco(trained, scored, words):
    """Fails when COCO's editions, which deal out the same photos anew, are taken for different photos or the same."""
    found = []
    for place, part, kind in ((trained, "train", TrainSpec), (scored, "val", EvalSpec)):
        name, year = place.split()
        dataset = load_split(name).dataset
        data = DataSource(dataset=dataset, year=year, ids_sha256=f"{part} {place}", mask_rule="")
        side = planned(fold=3)
        spec = side.train if kind is TrainSpec else side.evaluation
        found.append(spec.model_copy(update={"benchmark": name, "side": spec.side.model_copy(update={"data": data})}))
    evaluation = found[1].model_copy(update={"labelled": ()})
    said = contamination(found[0], None, evaluation)
    assert (words in said) if words else ("COCO" not in said and "known" not in said)


def test_a_photo_has_one_name_in_a_collection():
    """Fails when prefixes of COCO's editions, or folders in a list of somebody's own, part one photo into two."""
    assert photo("coco", "COCO_val2014_000000429717") == photo("cocostuff", "000000429717")
    assert photo("own/mine", "voc/2008_000001") == photo("voc2012", "2008_000001") == photo("context", "2008_000001")
    assert photo("own/mine", "COCO_train2014_000000000009") == photo("coco", "000000000009")
    assert photo("own/mine", "000000000009x") != photo("coco", "000000000009")
    assert photo("own/mine", "a") != photo("own/yours", "a")
    assert photo("shapes", "000000000009") == ("shapes", "000000000009")
