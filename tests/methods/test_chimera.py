"""Chimera-Seg: what is frozen, and what every method must do."""

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment

from benchmarks.spec import Recipe
from benchmarks.training import costs
from benchmarks.training.augmentation import Augmentation
from benchmarks.training.checkpoint import Checkpoints
from benchmarks.training.train import Stopped, train
from methods.chimera.chimera_config import ChimeraConfig
from methods.chimera.chimera_seg import ChimeraSeg, build
from methods.method import UNLABELLED, UNSEEN_EXTENT, Images
from methods.registry import METHODS, build_method, config_class

VARIANTS = [name for name in METHODS if name.startswith("chimera-seg")]
SMALL = {"body": "small", "body_channels": 24, "alignment_heads": 2, "head_lr_scale": 1.0, "alignment_dropout": 0}
LIGHT = {"adapter_rank": 2, "class_token": "trained", "fusion": True}  # everything that may train, beside the adapter


@pytest.fixture(scope="module")
def four_block_clip(make_clip):
    """A CLIP with as many blocks as the largest ablation keeps."""
    return make_clip(vision={"layers": 4})


@pytest.fixture
def make_chimera(four_block_clip, vocabulary):
    """`make_chimera("chimera-seg-fusion", seed=1, **fields)`."""

    def make(name="chimera-seg", *, seed=0, clip=four_block_clip, classes=4, **fields) -> ChimeraSeg:
        torch.manual_seed(seed)
        config = config_class(name)(**(SMALL | METHODS[name].fixed | fields))
        return build_method(name, clip=clip, vocabulary=vocabulary(classes), config=config)

    return make


def steps(method, batch, count=3, lr=3e-3):
    """So many steps as the training loop takes them; the losses."""
    groups = [{**g, "lr": lr * g.pop("lr_scale", 1)} for g in method.parameter_groups()]
    optimiser, values = torch.optim.AdamW(groups, lr=lr), []
    for step in range(count):
        loss = sum(method.train().losses(*batch, progress=step / count).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    return optimiser, values


# -- what is frozen


def own_mean(clip, images):
    """Mean of CLIP's dense tokens before its last two blocks."""
    vit = clip.vit()
    tokens = vit.ln_pre(vit.embed(clip.normalised(images))[0])
    for block in vit.blocks[:-2]:
        tokens = block(tokens)
    return tokens[:, 1:].mean((0, 1))


def test_statistics_are_those_of_the_first_step(make_chimera, pictures, batch, vocabulary):
    """Fails if they are taken at test, again in a later step, or not stored with the weights."""
    method = make_chimera()
    entry = method.head.entry
    method.eval().scores(batch[0], vocabulary(3))
    assert not entry.known
    method.train().losses(*batch, progress=0)
    first = entry.mean.clone()
    assert torch.allclose(first, own_mean(method.clip, batch[0]), atol=1e-5)
    method.losses(pictures(2, 32, 32, seed=9), batch[1], progress=0.5)
    assert torch.equal(entry.mean, first)
    other = make_chimera(seed=1)
    other.load_trained_state(method.trained_state())
    other.losses(pictures(2, 32, 32, seed=9), batch[1], progress=0.5)
    assert torch.equal(other.head.entry.mean, first)


@pytest.mark.parametrize("fields", [{}, {"last_attention": "value"}, {"blocks": "all"} | LIGHT, {"blocks": 0}])
def test_nothing_of_clip_moves(make_chimera, four_block_clip, batch, fields):
    """Fails if a frozen tensor changes by one bit, is in the optimiser, gets a gradient, or is in a checkpoint."""
    before = {n: v.clone() for n, v in four_block_clip.state_dict().items()}
    method = make_chimera(**fields)
    optimiser, _ = steps(method, batch, count=4)
    assert all(torch.equal(before[n], v) for n, v in four_block_clip.state_dict().items())
    frozen = {id(p) for p in four_block_clip.parameters()}
    held = [id(p) for g in optimiser.param_groups for p in g["params"]]
    assert not frozen & set(held)
    assert all(p.grad is None and not p.requires_grad for p in four_block_clip.parameters())
    assert not [n for n in method.trained_state() if "vit." in n or n.startswith("clip.")]


@pytest.mark.parametrize("blocks", [0, 1, 4])
@pytest.mark.parametrize("loss", ["distillation", "cross_entropy", "focal", "dice"])
def test_gradient_passes_through_the_frozen_blocks(make_chimera, batch, blocks, loss):
    """Fails if the head cuts the body off from any of the losses."""
    method = make_chimera(blocks=blocks)
    method.losses(*batch, progress=0.5)  # an empty bank has nothing to contrast with
    method.losses(*batch, progress=0.5)[loss].backward()
    assert all(p.grad is not None and p.grad.any() for n, p in method.body.named_parameters() if "bias" not in n)


@pytest.mark.parametrize(("name", "fields"), [*((n, {}) for n in VARIANTS), ("chimera-seg", LIGHT)])
def test_no_trained_tensor_is_without_gradient(make_chimera, batch, name, fields):
    """Fails if distributed training would need find_unused_parameters, or a tensor is trained twice or never."""
    method = make_chimera(name, **fields)
    sum(method.losses(*batch, progress=0.5).values()).backward()
    trained = {n: p for n, p in method.named_parameters() if p.requires_grad}
    assert [n for n, p in trained.items() if p.grad is None] == []
    grouped = [id(p) for g in method.parameter_groups() for p in g["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in trained.values()}


def test_clip_looks_at_the_picture_in_training_alone(make_chimera, batch, vocabulary, monkeypatch):
    """Fails if the teacher's pass is paid for at test, or without distillation."""
    method, calls = make_chimera(), []
    whole = type(method.clip).tokens
    monkeypatch.setattr(type(method.clip), "tokens", lambda *a, **k: calls.append(1) or whole(*a, **k))
    method.eval().scores(batch[0], vocabulary(3))
    make_chimera("chimera-seg-without-sgd").losses(*batch, progress=0)
    assert not calls
    method.losses(*batch, progress=0)
    assert calls


@pytest.mark.parametrize("name", ["chimera-seg", "chimera-seg-blocks-0", "chimera-seg-conv-head", "chimera-seg-fusion"])
def test_costs_are_those_of_the_test(make_chimera, vocabulary, batch, name):
    """Fails if what runs at test is miscounted: spoiling any other parameter of CLIP must not change a score."""
    method, asked = make_chimera(name).eval(), vocabulary(3)
    used = {id(p) for p in method.head.used()}
    assert len(used) == len(method.head.used())
    trainable, total = costs.parameters(method)
    frozen = sum(p.numel() for p in method.head.used() if not p.requires_grad)
    assert method.inference_parameters == trainable + frozen
    assert (frozen == 0) == (name == "chimera-seg-conv-head")
    assert method.inference_parameters < total
    with torch.no_grad():
        before = method.scores(batch[0], asked)
        kept = {n: p.clone() for n, p in method.clip.named_parameters()}
        try:
            for p in method.clip.parameters():
                if id(p) not in used:
                    p.fill_(torch.nan)
            after = method.scores(batch[0], asked)
        finally:
            for n, p in method.clip.named_parameters():
                p.copy_(kept[n])
    assert torch.equal(before, after)


# -- what every method must do


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_and_scores(make_chimera, batch, vocabulary, name):
    """Fails if a variant cannot be built, if its loss does not fall, or if scores are rounded or misshapen."""
    method = make_chimera(name)
    _, values = steps(method, batch, count=8)
    assert values[-1] < values[0]
    asked = vocabulary(6, unseen=(4, 5))
    with torch.no_grad():
        scores = method.eval().scores(batch[0], asked)
        activated = method.activate(scores, asked.seen_mask())
    assert scores.shape == activated.shape == (2, 6, 8, 8)
    assert scores.dtype == torch.float32


@pytest.mark.parametrize("name", VARIANTS)
def test_classes_are_scored_independently(make_chimera, batch, vocabulary, name):
    """Fails if the score of a class depends on the other classes asked, also after the alignment's gate has opened."""
    method = make_chimera(name)
    steps(method, batch)
    with torch.no_grad():
        whole, part = (method.eval().scores(batch[0], vocabulary(n)) for n in (6, 2))
    assert torch.allclose(whole[:, :2], part, atol=1e-5)
    assert method.vocabulary_chunkable


@pytest.mark.parametrize("name", VARIANTS)
def test_trained_state_round_trip(make_chimera, batch, vocabulary, name):
    """Fails if something trained (bank and statistics included) is not saved, or loading does not restore it."""
    first, second = make_chimera(name, seed=0), make_chimera(name, seed=1)
    steps(first, batch)
    state = {n: v.clone() for n, v in first.trained_state().items()}
    second.load_trained_state(state)
    with torch.no_grad():
        one, two = (m.eval().scores(batch[0], vocabulary(3)) for m in (first, second))
        assert torch.equal(one, two)
        torch.manual_seed(0)
        one = first.train().losses(*batch, progress=0.4)
        torch.manual_seed(0)
        two = second.train().losses(*batch, progress=0.4)
    assert all(torch.equal(one[n], two[n]) for n in one)
    assert ("bank.tokens" in state) == (name not in ("chimera-seg-without-sgd", "chimera-seg-cosine-loss"))


@pytest.mark.parametrize("name", ["chimera-seg", "chimera-seg-global", "chimera-seg-fusion"])
def test_resume_is_bit_exact(make_chimera, pictures, tmp_path, name):
    """Fails if a broken run ends otherwise than a whole one: bank, statistics, dropout, schedule of the selection."""
    recipe = Recipe(name="test", iterations=9, batch=2, augmentation=Augmentation(), lr=1e-3)

    def stream(start):
        labels = torch.arange(2 * 32 * 32).reshape(2, 32, 32).remainder(4).to(torch.uint8)
        for step in range(start, 9):
            yield pictures(2, 32, 32, seed=step), labels

    def run(folder, seed, stop_at=None):
        folder.mkdir(exist_ok=True)
        method, reached = make_chimera(name, seed=seed, alignment_dropout=0.3), []
        trained = train(
            method,
            stream,
            recipe,
            seed=3,
            fabric=Fabric(accelerator="cpu", devices=1, plugins=[LightningEnvironment()]),
            checkpoints=Checkpoints(folder, "spec", lambda path, content: path.write_bytes(content) and None),
            watch=lambda progress: reached.append(progress.step),
            stop=lambda: stop_at is not None and reached[-1:] == [stop_at],
        )
        return method.trained_state(), trained.curve

    whole, curve = run(tmp_path / "whole", seed=0)
    for seed, stop_at in ((0, 2), (1, 7)):
        with pytest.raises(Stopped):
            run(tmp_path / "broken", seed=seed, stop_at=stop_at)
    state, resumed = run(tmp_path / "broken", seed=2)
    assert all(torch.equal(whole[n], state[n]) for n in whole)
    assert resumed == curve
    assert ("watched picked_share" in curve[0][1]) == (name != "chimera-seg-global")


@pytest.mark.parametrize("name", VARIANTS)
def test_unseen_pixels_are_unlabelled_pixels(make_chimera, batch, name):
    """Leakage: fails if losses see more of an unseen pixel than that it has no label, or a name that is not seen."""
    images, labels = batch
    original = labels.clone()
    original[0, 8:16, :8], original[0, 8:16, 8:16] = 4, 5  # two unseen classes, as a data set has them

    def inductive(truth):
        return torch.where((truth >= 4) & (truth < UNSEEN_EXTENT), UNLABELLED, truth).to(torch.uint8)

    permuted = torch.where(original == 4, 5, torch.where(original == 5, 4, original))
    background = torch.where((original == 4) | (original == 5), UNLABELLED, original)
    values = [
        {k: v.item() for k, v in make_chimera(name).losses(images, inductive(truth), progress=0.7).items()}
        for truth in (original, permuted, background)
    ]
    assert values[0] == values[1] == values[2]
    assert len(make_chimera(name).text) == 4


def test_an_unseen_name_in_training_is_refused(four_block_clip, vocabulary):
    """Fails if it could be trained with a name that nobody labelled."""
    with pytest.raises(ValueError, match=r"inductive.*not on \['thing1'\]"):
        build(clip=four_block_clip, vocabulary=vocabulary(3, unseen=(1,)), config=ChimeraConfig(**SMALL))


def test_unlabelled_pixels_teach_no_class(make_chimera, batch):
    """Fails if cross-entropy or NEL take unlabelled pixels for something."""
    method, labels = make_chimera(), batch[1]
    logits = torch.randn(2, 4, 32, 32)
    changed = torch.where((labels >= UNSEEN_EXTENT)[:, None], logits + 1, logits)
    before, after = (method.per_pixel(x, labels) for x in (logits, changed))
    assert all(torch.allclose(before[n], after[n]) for n in before)
    assert not any(v.any() for v in method.per_pixel(logits, torch.full_like(labels, UNLABELLED)).values())


@pytest.mark.parametrize("size", [(24, 40), (37, 29), (8, 8)])
@pytest.mark.parametrize("name", ["chimera-seg", "chimera-seg-fusion", "chimera-seg-global"])
def test_pictures_of_any_size(make_chimera, pictures, vocabulary, name, size):
    """Fails if a grid is taken for square or a multiple of the patch, or the grids of head and body are mixed up."""
    method = make_chimera(name, most_tokens=3)
    images = Images(pictures(2, *size).pixels, sizes=torch.tensor([size, (size[0] // 2, 5)]))
    labels = torch.zeros(2, *size, dtype=torch.uint8)
    assert sum(method.losses(images, labels, progress=0.9).values()).isfinite()
    grid = method.scores(images, vocabulary(2)).shape[-2:]
    assert max(grid) == (-(-max(size) // 4) if name == "chimera-seg-fusion" else min(3, -(-max(size) // 4)))


@pytest.mark.parametrize("name", ["chimera-seg", "chimera-seg-fusion", "chimera-seg-descriptor"])
def test_bfloat16_agrees_with_float32(make_chimera, batch, vocabulary, name):
    """Autocast on the CPU: fails on a loss summed or scores rounded in bfloat16."""
    method = make_chimera(name)
    full = sum(method.losses(*batch, progress=0.5).values()).item()
    method = make_chimera(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = sum(method.losses(*batch, progress=0.5).values())
        scores = method.eval().scores(batch[0], vocabulary(3))
    half.backward()
    assert half.dtype == scores.dtype == torch.float32
    assert not torch.equal(scores.bfloat16().float(), scores)
    assert half.item() == pytest.approx(full, rel=0.05)
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"blocks": 5}, "blocks must be at most 4, as many as this CLIP has; got 5"),
        ({"alignment_heads": 5}, "alignment_heads must divide CLIP's embedding width 16; got 5"),
        ({"blocks": 0, "adapter_rank": 2}, "adapter_rank 2 has no effect with blocks 0; leave it at 0"),
        ({"blocks": 0, "last_attention": "value"}, "last_attention 'value' has no effect with blocks 0"),
        ({"head": "conv", "class_token": "trained"}, "class_token 'trained' has no effect with head 'conv'"),
        ({"head": "conv", "entry": "ln_pre"}, "entry 'ln_pre' has no effect with head 'conv'"),
        ({"head": "conv", "fusion": True}, "fusion True has no effect with head 'conv'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make_chimera, fields, message):
    """Fails if a wrong setting ends in a shape error, or one without effect is taken silently."""
    with pytest.raises(ValueError, match=message):
        make_chimera(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"adapter_norm": False},
        {"entry": "ln_pre"},
        {"class_token": "trained"},
        {"last_attention": "value"},
        {"fusion": True},
        {"adapter_rank": 2},
        {"pooling": "softmax"},
        {"candidates": "bank+batch"},
        {"alignment": "descriptor"},
        {"most_tokens": 3},
        {"last_share": 0.5},
        {"scale": 5.0},
        {"focal_alpha": None},
    ],
)
def test_every_switch_does_something(make_chimera, batch, vocabulary, fields):
    """Fails if a field is ignored: after some steps the scores must be others."""
    outs = []
    for changes in ({}, fields):
        method = make_chimera(**changes)
        steps(method, batch, count=4)
        with torch.no_grad():
            outs.append(method.eval().scores(batch[0], vocabulary(2)))
    assert outs[0].shape != outs[1].shape or not torch.allclose(outs[0], outs[1], atol=1e-6)
