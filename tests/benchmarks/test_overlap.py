"""What weights know of the classes that another benchmark asks them about."""

from __future__ import annotations

import pytest

from benchmarks.catalogue import DataSource, benchmark, eval_side, train_side
from benchmarks.overlap import Groups, groups, labelled, pseudo_labelled, words_of
from benchmarks.spec import EvalSpec, Recipe, TrainSpec
from benchmarks.training.augmentation import Augmentation
from results.launch.plan.transfer import transferred

VOC_IN_COCO = {  # by hand: COCO's name of each VOC class, in the order of VOC's ids
    0: ["airplane", "bicycle", "bird", "boat", "bottle"],
    1: ["bus", "car", "cat", "chair", "cow"],
    2: ["dining table", "dog", "horse", "motorcycle", "person"],
    3: ["potted plant", "sheep", "couch", "train", "tv"],
}
COCO_FOLD_1 = "bicycle bus|traffic light|bench|horse|bear|umbrella|frisbee|kite|surfboard|cup|bowl|orange|pizza|couch"
COCO_FOLD_1 = {
    *COCO_FOLD_1.replace("bicycle ", "bicycle|").split("|"),
    "toilet",
    "remote",
    "oven",
    "book",
    "teddy bear",
}


def trained(name, fold, **choices):
    data = DataSource(dataset="somewhere", ids_sha256="0" * 64, mask_rule="drawn")
    return train_side(benchmark(name), fold, data, **choices)


def scored(name, fold):
    bench = benchmark(name)
    data = DataSource(dataset="elsewhere", ids_sha256="1" * 64, mask_rule="drawn")
    return EvalSpec(benchmark=name, fold=fold, side=eval_side(bench, fold, data, bench.inference))


@pytest.mark.parametrize("fold", range(4))
@pytest.mark.parametrize("names", ["dataset", "renamed"])
def test_voc_weights_asked_about_coco(fold, names):
    """Fails when a class counts as known that its fold hid, or a labelled one as new under COCO's word for it."""
    known = labelled(trained("pascal-5i", fold, names=names), words_of(scored("coco-20i", 0).side))
    assert set(known) == {name for other, of in VOC_IN_COCO.items() if other != fold for name in of}
    assert list(known) == [name for name in benchmark("coco-20i").split.classes if name in known]


def test_four_groups():
    """Fails when a class is in two groups or none, or S and U are no longer those of the fold that is scored."""
    recipe = Recipe(name="none", iterations=1, batch=1, augmentation=Augmentation(), lr=1.0)
    train = TrainSpec(method="m", benchmark="pascal-5i", fold=0, seed=0, side=trained("pascal-5i", 0), recipe=recipe)
    asked = transferred(train, scored("coco-20i", 1))
    found = groups(asked)
    knows = {name for fold in (1, 2, 3) for name in VOC_IN_COCO[fold]}
    classes = set(benchmark("coco-20i").split.classes)
    assert set(asked.side.unseen) == COCO_FOLD_1
    assert set(found.unseen_labelled) == COCO_FOLD_1 & knows == {"bus", "horse", "couch"}
    assert set(found.unseen_new) == COCO_FOLD_1 - knows
    assert set(found.seen_labelled) == knows - COCO_FOLD_1
    assert set(found.seen_new) == classes - COCO_FOLD_1 - knows
    assert sum(int(line.partition("(")[2].partition(")")[0]) for line in found.lines()) == 80
    at_home = groups(scored("coco-20i", 1))
    assert (at_home.seen_new, at_home.unseen_labelled) == ((), ())
    assert Groups(("a",), (), (), ()).lines() == ["seen in the fold and labelled in the training (1): a"]


def test_settings_that_know_more():
    """Fails when fully supervised weights pass for ignorant of their unseen classes, or names given to pixels do."""
    words = words_of(scored("coco-20i", 0).side)
    assert len(labelled(trained("pascal-5i", 0, setting="fully-supervised"), words)) == 20
    assert len(labelled(trained("pascal-5i", 0, setting="transductive"), words)) == 15
    assert set(pseudo_labelled(trained("pascal-5i", 0, setting="transductive"), words)) == set(VOC_IN_COCO[0])
    assert not pseudo_labelled(trained("pascal-5i", 0), words)


def test_what_is_scored_at_home_stays_as_it_was():
    """Fails when keys or stored forms of scorings from before there were transfers change."""
    spec = scored("shapes-5i", 2)
    assert "labelled" not in spec.model_dump()
    assert "labelled" not in spec.model_dump_json()
    elsewhere = EvalSpec(**dict(spec) | {"labelled": ()})
    assert elsewhere.transferred
    assert elsewhere.key != spec.key
    assert EvalSpec.parse(elsewhere.model_dump(mode="json"), source="") == elsewhere
    with pytest.raises(ValueError, match="not scored"):
        EvalSpec(**dict(spec) | {"labelled": ("unicorn",)})
