"""The pretrained small body: what it learnt from, what was kept from it, and that its script makes it again."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from benchmarks.shapes import world
from benchmarks.shapes.body import pretrain
from benchmarks.shapes.body.card import machine
from benchmarks.shapes.body.files import PUBLISHED, VERSIONS, WITHOUT_UNSEEN, names_of, weights_file
from benchmarks.shapes.body.pretrain import Classifier, Recipe, accuracy, batches, train
from methods.bodies import build_body
from splits.hashing import file_sha256
from splits.loader import load_split

FOLDS = load_split("shapes-5i").folds


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def card_of(version):
    path = weights_file(PUBLISHED, 0).with_name(f"{version}.json")
    return json.loads(path.read_text())


def file_of(version):
    return weights_file(PUBLISHED, 0).with_name(f"{version}.safetensors")


@pytest.mark.parametrize("version", VERSIONS)
def test_weights_are_the_ones_their_card_describes(version):
    """Fails when weights, card and recipe are not of one training, or a file grows beyond 3 MB."""
    card = card_of(version)
    assert file_sha256(file_of(version)) == card["sha256"]
    assert file_of(version).stat().st_size <= 3_000_000
    assert card["recipe"] == dataclasses.asdict(Recipe())
    assert card["names"] == list(names_of(version))
    assert card["parts"] == {name: {"seed": part.seed} for name, part in world.BODY_PARTS.items()}
    with safe_open(file_of(version), "pt") as stored:
        kinds = {stored.get_slice(n).get_dtype() for n in stored.keys() if "num_batches" not in n}  # noqa: SIM118
    assert kinds == {"F16"}


def test_each_fold_has_its_file_without_its_unseen_names():
    """Fails when a fold is given another fold's weights, or names that it must not know are in the version's."""
    for fold in FOLDS:
        version = weights_file(WITHOUT_UNSEEN, fold.index).stem
        assert version in VERSIONS
        assert set(names_of(version)) == set(fold.seen)
        assert weights_file(PUBLISHED, fold.index).stem == PUBLISHED
    assert len(names_of(PUBLISHED)) == 20
    assert len(VERSIONS) == 1 + len(FOLDS)


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != PUBLISHED])
def test_no_picture_of_an_unseen_class_is_ever_drawn(version, monkeypatch):
    """Fails when a version without unseen names is shown an unseen object, labelled or not."""
    unseen, shown = set(world.NAMES) - set(names_of(version)), []
    real = world.render_picture

    def watched(seed, index, **more):
        picture = real(seed, index, **more)
        shown.extend(picture.names)
        return picture

    monkeypatch.setattr(pretrain, "render_picture", watched)
    names = names_of(version)
    stream = itertools.islice(batches(world.BODY_PARTS["pretrain"], names, 16), 4)
    labels = [names[place] for _, target in stream for place in target.tolist()]
    assert labels == shown
    assert len(unseen) == 5
    assert not unseen & set(shown)
    assert set(shown) == set(names)


def test_no_picture_of_the_benchmark_or_of_clip_takes_part(monkeypatch):
    """Fails when the body has seen a scene, or a picture, that anything else was trained, stopped or scored on."""
    seeds = {part.seed for part in world.BODY_PARTS.values()}
    assert len(seeds) == len(world.BODY_PARTS)
    assert not seeds & {part.seed for part in (*world.PARTS.values(), *world.CLIP_PARTS.values())}
    used = set()
    real = world.render_picture

    def watched(seed, index, **more):
        used.add(seed)
        return real(seed, index, **more)

    monkeypatch.setattr(pretrain, "render_picture", watched)
    model, _ = train(Recipe(), names_of(PUBLISHED), 1)
    assert used == {world.BODY_PARTS["pretrain"].seed}
    accuracy(model, names_of(PUBLISHED), dataclasses.replace(world.BODY_PARTS["check"], count=100))
    assert used == seeds


def test_neither_mask_nor_clip_is_at_hand():
    """Fails when the pretraining can open a mask or a CLIP: it holds no scene, and nothing it imports knows a CLIP."""
    assert not hasattr(pretrain, "render_scene")
    assert {field.name for field in dataclasses.fields(world.Picture)} == {"image", "names"}
    code = (
        "import sys, benchmarks.shapes.body.pretrain\n"
        "print([m for m in sys.modules if m.startswith(('open_clip', 'methods.clip', 'benchmarks.shapes.clip'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("version", [PUBLISHED, "without-unseen-2"])
def test_the_first_steps_are_those_of_the_card(version):
    """Fails when the script no longer makes what is shipped: on the same class of machine the losses are equal."""
    card = card_of(version)
    _, losses = train(Recipe(), names_of(version), 4)
    if machine() == card["made_on"]:
        assert losses == card["first_losses"][:4]
    else:
        assert losses == pytest.approx(card["first_losses"][:4], abs=1e-3)


@pytest.mark.slow
def test_the_whole_training_again():
    """Fails when the shipped weights are not what the script makes: bit for bit, elsewhere with half a point less."""
    card = card_of(PUBLISHED)
    model, _ = train(Recipe(), names_of(PUBLISHED))
    if machine() == card["made_on"]:
        stored = load_file(file_of(PUBLISHED))
        assert all(torch.equal(value, stored[name]) for name, value in model.state().items())
    assert accuracy(model, names_of(PUBLISHED)) == pytest.approx(card["accuracy"], abs=0.005)


def test_accuracy_is_as_recorded_and_high():
    """Fails when the card claims what the file does not know."""
    for version in (PUBLISHED, "without-unseen-0"):
        names = names_of(version)
        model = Classifier(len(names))
        model.load(load_file(file_of(version)))
        assert accuracy(model, names) == pytest.approx(card_of(version)["accuracy"], abs=0.002)
        assert card_of(version)["accuracy"] > 0.98


def test_the_body_takes_stem_and_stages_and_draws_the_rest():
    """Fails when a pretrained tensor is not loaded, or the head differs from that of a body drawn without weights."""
    torch.manual_seed(3)
    drawn = build_body("small", out_channels=8)
    torch.manual_seed(3)
    body = build_body("small", out_channels=8, weights=file_of(PUBLISHED))
    stored, state = load_file(file_of(PUBLISHED)), body.state_dict()
    held = [name for name in state if name in stored]
    assert {name.partition(".")[0] for name in held} == {"stem", "stages"}
    assert all(torch.equal(state[name], stored[name].to(state[name].dtype)) for name in held)
    rest = [name for name in state if name not in stored]
    assert rest
    assert all(torch.equal(state[name], drawn.state_dict()[name]) for name in rest)
    assert body.weights_sha256 == card_of(PUBLISHED)["sha256"]
    assert drawn.weights_sha256 is None
