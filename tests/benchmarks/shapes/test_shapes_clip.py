import dataclasses
import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors import safe_open

from benchmarks.shapes.captions import TEMPLATES
from benchmarks.shapes.clip.measure import dense_miou, zero_shot_top1
from benchmarks.shapes.clip.pools import Pool, mosaic
from benchmarks.shapes.clip.pretrain import Schedule, Trainer, contrast
from benchmarks.shapes.clip.tower import CARD, CONFIG, MODEL, WEIGHTS, create, encode_images, encode_texts, prototypes
from benchmarks.shapes.world import CLIP_PARTS, NAMES, render_picture
from splits.hashing import file_sha256


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    return create()


@pytest.fixture(scope="module")
def card():
    return json.loads(CARD.read_text())


def test_weights_are_the_ones_the_card_describes(card):
    # Fails when the weights were replaced without their card: stored figures and hashes would be about others.
    assert file_sha256(WEIGHTS) == card["sha256"]
    assert WEIGHTS.stat().st_size < 10_000_000
    assert card["training"]["recipe"] == json.loads(json.dumps(dataclasses.asdict(Schedule())))
    assert card["measured"]["templates"] == list(TEMPLATES)


def test_weights_load_by_open_clips_own_factory():
    # Fails when the configuration and the weights disagree, or someone without our code could not load them.
    open_clip.add_model_config(CONFIG)
    loaded = open_clip.create_model(MODEL, pretrained=str(WEIGHTS))
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    with safe_open(WEIGHTS, "pt") as stored:
        assert {stored.get_slice(name).get_dtype() for name in stored.keys()} == {"F16"}  # noqa: SIM118 (not a dict)
        state = loaded.state_dict()
        assert all(torch.equal(state[name], stored.get_tensor(name).float()) for name in stored.keys())  # noqa: SIM118


def test_top1_is_as_recorded_and_high(model, card):
    # Fails when rendering, weights or read-out drift; or when the CLIP is not one that knows its names.
    top1 = zero_shot_top1(model)
    assert top1 == pytest.approx(card["figures"]["top1_64"], abs=0.002)
    assert top1 >= 0.95


def test_dense_miou_is_as_recorded_and_poor(model, card):
    # Fails when the read-out drifts; or when the CLIP knows pixels so well that training-free beats all training.
    miou = dense_miou(model)
    assert miou == pytest.approx(card["figures"]["dense_miou_64"], abs=0.002)
    assert 0.25 <= miou <= 0.40


def test_image_pass_equals_open_clips(model):
    # Fails when normalisation, token order or projection differ from the library's at the CLIP's own size.
    images = torch.from_numpy(np.stack([render_picture(1, index, size=96).image for index in range(3)]))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.visual.image_mean, model.visual.image_std))
    with torch.inference_mode():
        cls_token, tokens = encode_images(model, images)
        expected = model.encode_image((images.permute(0, 3, 1, 2) / 255 - mean) / std)
    assert tokens.shape == (3, 12, 12, 64)
    torch.testing.assert_close(cls_token, expected, atol=1e-4, rtol=1e-4)


def test_prototypes_are_normalised_template_means(model):
    # Fails when names and templates are mixed up in the reshaping.
    with torch.inference_mode():
        mean = encode_texts(model, [t.format("fish") for t in TEMPLATES]).mean(dim=0)
        two = prototypes(model, ["arrow", "fish"])
    torch.testing.assert_close(two[1], mean / mean.norm())


def test_other_sizes_must_fit_the_patches(model):
    # Fails when a picture is silently cut, or the error does not say what fits.
    with pytest.raises(ValueError, match="multiples of 8"):
        encode_images(model, torch.zeros(1, 60, 64, 3, dtype=torch.uint8))


def test_mosaic_puts_tiles_in_reading_order():
    # Fails when a tile's caption would be contrasted with another tile's patches.
    tiles = np.arange(8)[:, None, None, None] * np.ones((1, 5, 5, 3), dtype=np.uint8)
    joined = mosaic(tiles, 2)
    assert joined.shape == (2, 10, 10, 3)
    assert joined[1, ::5, ::5, 0].tolist() == [[4, 5], [6, 7]]


def test_pool_draws_every_name_once_a_group():
    # Fails when a group repeats a name (false negatives in the loss) or a picture is paired with another name.
    pool = Pool(seed=9, size=16, count=40, hardness=1.0, position=60)
    pool.advance(10)
    images, names = pool.draw(np.random.default_rng(0), 3)
    expected = {index % 20: [] for index in range(20)}
    for index in range(30, 70):
        expected[index % 20].append(render_picture(9, index, size=16).image)
    assert all(sorted(group) == list(range(20)) for group in names.reshape(3, 20).tolist())
    for image, name in zip(images, names.tolist(), strict=True):
        assert any(np.array_equal(image, e) or np.array_equal(image[:, ::-1], e) for e in expected[name])
    with pytest.raises(ValueError, match="multiple of 20"):
        Pool(seed=9, size=16, count=30, hardness=1.0, position=60)


def test_contrast_is_zero_for_a_perfect_match_only():
    # Fails when images and captions are matched across groups or off the diagonal.
    eye = torch.eye(20).repeat(2, 1)
    loss, accuracy = contrast(eye, eye, torch.tensor(100.0))
    assert loss < 1e-6
    assert accuracy == 1
    loss, accuracy = contrast(eye, eye.roll(1, dims=0), torch.tensor(100.0))
    assert loss > 50
    assert accuracy == 0


def test_training_goes_on_as_if_never_cut_off(tmp_path):
    # Fails when a part of the state (optimiser, stream position, curriculum) is left out of the checkpoint.
    recipe = Schedule(steps=2, warmup=1, groups=3, pool=40, mosaic_steps=4, gate_every=100, hardness=(0.5, 1.0))
    whole = Trainer(recipe, tmp_path)
    for _ in range(2):
        whole.advance()
    whole.save()
    resumed = Trainer(recipe, tmp_path)
    resumed.resume()
    assert [whole.advance() for _ in range(2)] == [resumed.advance() for _ in range(2)]  # one of each mosaic
    with pytest.raises(ValueError, match="another --out"):
        Trainer(dataclasses.replace(recipe, seed=1), tmp_path).resume()


def test_clip_parts_are_not_parts_of_the_benchmark():
    # Fails when the scenes that stopped or measured the CLIP could be the ones that training ran on.
    assert set(CLIP_PARTS) == {"pretrain", "gate", "check"}
    assert Schedule().pool % len(NAMES) == 0
