"""What is said of weights from elsewhere: which unseen classes and scored images they know."""

from __future__ import annotations

import pytest

from results.launch.contamination import contamination
from results.launch.plan import Request, plan

WEIGHTS = "ab" * 32


def planned(bench="pascal-5i", fold=0, weights="", **changes):
    (run,) = plan(Request(methods=("zegclip",), benchmarks=(bench,), folds=(fold,), weights=weights, **changes))
    return run


def said(origin, bench="pascal-5i", fold=0, **changes):
    asked = planned(bench, fold, WEIGHTS, **changes)
    return contamination(asked.train, origin and origin.train, asked.evaluation)


def test_weights_trained_here_need_no_word():
    """Fails when an ordinary run is marked."""
    asked = planned()
    assert contamination(asked.train, None, asked.evaluation) == ""


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
