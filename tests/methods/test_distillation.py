"""CLIP-to-Seg, CLIPTeacher and their ablations: losses against plain ones, the student alone at test, no leakage."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.training.costs import gmacs, parameters
from methods.contrast import Regions
from methods.distillation.distillation_config import DistillationConfig
from methods.distillation.distilled import build
from methods.distillation.teacher import at_side, local_tokens
from methods.method import UNLABELLED, VOID, Images, Vocabulary
from methods.registry import METHODS, build_method, config_class

VARIANTS = [name for name in METHODS if name.startswith(("clip-to-seg", "clipteacher"))]
SETTINGS = {
    "body": "small",
    "readout": "plain",
    "teacher_side": 64,
    "local_side": 32,
    "decoder_heads": 2,
    "decoder_dropout": 0.0,
    "merge_above": 0.95,
    "most_latent": 3,
    "focal_weight": 1.0,
}


@pytest.fixture(scope="module")
def make(small_clip, vocabulary):
    """A method of the registry on the small random CLIP: `make("clip-to-seg", seed=1, temperature=0.1)`."""

    def made(name="clip-to-seg", *, classes=3, clip=small_clip, seed=0, **fields):
        torch.manual_seed(seed)
        config = config_class(name)(**(SETTINGS | fields | METHODS[name].fixed))
        return build_method(name, clip=clip, vocabulary=vocabulary(classes), config=config)

    return made


@pytest.fixture
def scenes(pictures):
    """Three pictures of 64 x 64: two with seen classes, unlabelled and void area, one unlabelled throughout."""
    labels = torch.full((3, 64, 64), UNLABELLED, dtype=torch.uint8)
    labels[0, :24, :24], labels[0, 40:, 40:], labels[1, 8:40, 8:40], labels[1, :4] = 0, 2, 1, VOID
    images = pictures(3, 64, 64)
    images.pixels[:, :, 32:] //= 3  # so that there is something to tell apart
    return images, labels


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains(make, scenes, name):
    """Fails if a variant cannot be built, its loss does not fall, or its switches do not decide which losses it has."""
    method = make(name).train()
    c = method.config
    optimiser = torch.optim.AdamW([p for g in method.parameter_groups() for p in g["params"]], lr=2e-3)
    values = []
    for _ in range(6):
        losses = method.losses(*scenes, progress=0.5)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        values.append(sum(losses.values()).item())
    assert values[-1] < values[0]
    switches = {"global": c.global_loss, "local": c.local_loss, "seen": c.seen_loss}
    per_pixel = {"cross_entropy"} if c.per_pixel == "ce" else {"cross_entropy", "focal", "dice"}
    assert set(losses) == per_pixel | {loss for loss, on in switches.items() if on}


@pytest.mark.parametrize("name", VARIANTS)
def test_no_trained_tensor_is_without_gradient(make, scenes, name):
    """Fails if distributed training would need find_unused_parameters, also in a step without latent classes."""
    images, labels = scenes
    for step in (labels, torch.zeros_like(labels)):
        method = make(name).train()
        sum(method.losses(images, step, progress=0.5).values()).backward()
        trained = {n: p for n, p in method.named_parameters() if p.requires_grad}
        assert [n for n, p in trained.items() if p.grad is None or not p.grad.isfinite().all()] == []
        grouped = [id(p) for g in method.parameter_groups() for p in g["params"]]
        assert len(grouped) == len(set(grouped)) == len(trained)
        assert set(grouped) == {id(p) for p in trained.values()}


@pytest.mark.parametrize("name", ["clip-to-seg", "clipteacher"])
def test_at_test_the_student_alone_runs(make, make_clip, scenes, vocabulary, name):
    """Fails if scores use CLIP's image tower, the synthesiser or the bank, or cost more than body and text product."""
    method, asked = make(name, clip=make_clip()).eval(), vocabulary(5)
    with torch.no_grad():
        before = method.scores(scenes[0], asked)
        features = method.features(scenes[0])
        cosines = torch.einsum("cd,bdhw->bchw", method.prototypes(asked), F.normalize(features, dim=1))
        assert torch.allclose(before, cosines / 0.07, atol=1e-4)
        del method.clip.model.visual, method.clip._tower, method.synthesiser, method.bank
        assert torch.equal(method.scores(scenes[0], asked), before)
    student = method.student
    assert parameters(method)[0] == method.inference_parameters == sum(p.numel() for p in student.parameters())
    assert student.project.weight.shape == (16, student.fuse.conv.out_channels, 1, 1)  # the 1x1 into text space
    product = 5 * 16 * 16 * 16 / 1e9  # classes, width, positions at stride 4 of 64 pixels
    alone = gmacs(BodyAlone(method), asked, 64)
    assert gmacs(method, asked, 64) == pytest.approx(alone + product, rel=1e-9)


class BodyAlone(torch.nn.Module):
    """What `gmacs` needs of a method, without the text."""

    def __init__(self, method):
        super().__init__()
        self.features = method.features

    def scores(self, images, vocabulary):
        return self.features(images)


def test_classes_are_scored_independently(make, scenes, vocabulary):
    """Fails if the score of a class depends on the other classes asked: vocabularies may be split into chunks."""
    method = make().eval()
    with torch.no_grad():
        whole, part = (method.scores(scenes[0], vocabulary(n)) for n in (6, 2))
    assert torch.allclose(whole[:, :2], part, atol=1e-5)


def test_only_seen_names_are_ever_known(make, make_clip, scenes, vocabulary):
    """Fails if training could name an unseen class: by its vocabulary, or by asking CLIP for another text."""
    unseen = vocabulary(4, unseen=(1,))
    with pytest.raises(ValueError, match=r"trains on labelled classes alone, not on \['thing1'\]"):
        build(clip=make_clip(), vocabulary=unseen, config=DistillationConfig(**SETTINGS))
    method = make(clip=make_clip())
    assert set(method.clip._prototypes) == {(name, ("a photo of a {}",)) for name in vocabulary(3).names}
    asked = []
    method.clip.text_prototypes = lambda *args: asked.append(args)
    method.losses(*scenes, progress=0.0)
    assert asked == []
    assert method.text.shape[0] == 3


@pytest.mark.parametrize("name", ["clip-to-seg", "clipteacher"])
def test_what_is_unlabelled_looks_the_same_whatever_it_is(make, scenes, name):
    """Fails if anything but the uint8 labels told unseen classes apart: permuting them changes no label, so no loss."""
    images, labels = scenes
    truth = torch.where(labels == UNLABELLED, torch.randint(3, 6, labels.shape).to(torch.uint8), labels)
    values = []
    for order in ([3, 4, 5], [5, 3, 4]):
        table = torch.arange(256)
        table[3:6] = torch.tensor(order)
        permuted = table[truth.long()]
        hidden = torch.where((permuted >= 3) & (permuted < 6), UNLABELLED, permuted).to(torch.uint8)
        values.append({n: v.item() for n, v in make(name).losses(images, hidden, progress=0.0).items()})
    assert values[0] == values[1]


def test_masked_pictures(small_clip, scenes):
    """Fails if the frame is cropped, the outside is not the fill, or a token belongs to another class."""
    images, labels = scenes
    regions = Regions(labels, 3)
    tokens = local_tokens(small_clip, images, regions, side=32, fill=(7, 8, 9))
    for image, label, token in zip(regions.image, regions.label, tokens, strict=True):
        pixels = images.pixels[image].clone()
        pixels[:, labels[image] != label] = torch.tensor([7, 8, 9], dtype=torch.uint8)[:, None]
        expected = small_clip.tokens(Images(pixels[None]), size=(32, 32)).cls[0]
        assert torch.allclose(token, expected, atol=1e-5)


def test_sides_keep_the_ratio():
    """Fails if a picture that is not square is squeezed."""
    assert at_side((512, 512), 224) == (224, 224)
    assert at_side((300, 600), 64) == (64, 128)


def test_local_loss_stays_within_a_picture(make, scenes):
    """Fails if candidates come from other pictures, or the sum over classes and mean over pictures is another."""
    method = make(temperature=0.5)
    labels = scenes[1].clone()
    labels[2] = 1
    regions = Regions(labels, 6)
    generator = torch.Generator().manual_seed(0)
    means, local = (torch.randn(len(regions), 16, generator=generator).double() for _ in range(2))
    loss = method.local_loss(means, local, regions)["local"].item()
    total = 0.0
    for i in range(len(regions)):
        group = regions.image == regions.image[i]
        cosines = F.cosine_similarity(means[i : i + 1], local) / 0.5
        total -= (cosines[i].exp() / cosines[group].exp().sum()).log().item()
    assert loss == pytest.approx(total / 3, abs=1e-9)


def test_seen_loss_is_binary_cross_entropy_over_classes_present(make):
    """Fails if absent classes are negatives, latent regions take part, or the scale is missing."""
    method = make("clipteacher")
    labels = torch.tensor([[[0, 2, 4]], [[2, 2, 2]]], dtype=torch.uint8)  # class 1 absent, 4 latent
    regions = Regions(labels, 6)
    embedded = torch.randn(len(regions), 16, generator=torch.Generator().manual_seed(0)).double()
    terms = []
    for row, label in zip(embedded, regions.label.tolist(), strict=True):
        for other in (0, 2) if label < 3 else ():
            p = torch.sigmoid(row / row.norm() @ method.text[other].double() / 0.07)
            terms.append(-(p if other == label else 1 - p).log().item())
    assert len(terms) == 6
    assert method.seen_loss(embedded, regions)["seen"].item() == pytest.approx(sum(terms) / 6, rel=1e-6)


def test_absent_latent_classes_cost_nothing(make, scenes):
    """Fails if a channel for a latent class that a picture lacks changes a loss or a gradient."""
    few, many = make(most_latent=3), make(most_latent=3)
    images, labels = scenes
    pseudo = few.pseudo_labels(few.teach(images).dense, labels)
    features, losses = few.features(images).detach().requires_grad_(), []
    for method, most in ((few, 3), (many, 6)):
        method.config = method.config.model_copy(update={"most_latent": most})
        regions = Regions(pseudo, 3 + most)
        logits = torch.cat(
            [
                method.class_logits(features, method.text),
                method.latent_logits(features, regions.means(features), regions),
            ],
            dim=1,
        )
        total = sum(method.per_pixel(logits, pseudo).values())
        losses.append((total.item(), torch.autograd.grad(total, features)[0]))
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-6)
    assert torch.allclose(losses[0][1], losses[1][1], atol=1e-8)


@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_cross_entropy_weighs_latent_pixels(make, weight):
    """Fails if it is not the mean over labelled positions, those of latent classes with their weight."""
    method, generator = make(latent_pixel_weight=weight), torch.Generator().manual_seed(0)
    labels = torch.tensor([[[0, 2, 3, 4, 5, UNLABELLED, VOID, 4]]], dtype=torch.uint8)
    logits = torch.randn(1, 6, 1, 8, dtype=torch.float64, generator=generator)
    terms = [
        (weight if c >= 3 else 1.0, -logits[0, :, 0].log_softmax(0)[c, i])
        for i, c in enumerate(labels[0, 0].tolist())
        if c < 6
    ]
    expected = sum(w * term for w, term in terms) / sum(w for w, _ in terms)
    assert method.cross_entropy(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)
    assert method.cross_entropy(logits, torch.full_like(labels, VOID)).item() == 0


def test_synthesised_rows_do_not_depend_on_what_is_not_there(make, scenes):
    """Fails if padded queries or memory leak into the embeddings, or an image into another."""
    method = make().eval()
    labels = scenes[1].clone()
    labels[labels == UNLABELLED] = 3
    labels[0, 30:36] = 4
    regions = Regions(labels, 6)
    generator = torch.Generator().manual_seed(0)
    means, local = (torch.randn(len(regions), 16, generator=generator) for _ in range(2))
    token = torch.randn(3, 16, generator=generator)
    with torch.no_grad():
        whole = method.embeddings(means, regions, token, local)
        for i in range(3):
            mine, one = regions.image == i, Regions(labels[i : i + 1], 6)
            alone = method.embeddings(means[mine], one, token[i : i + 1], local[mine])
            latent = one.label >= 3
            assert torch.allclose(alone[latent], whole[mine][latent], atol=1e-5)


def test_memory_is_global_and_local_tokens(make, scenes):
    """Fails if the local tokens, or the global one, do not reach the latent embeddings."""
    method = make().eval()
    regions = Regions(torch.full((1, 8, 8), 3, dtype=torch.uint8), 6)
    token, local, means = torch.randn(1, 16), torch.randn(1, 16), torch.randn(1, 16)
    with torch.no_grad():
        base = method.embeddings(means, regions, token, local)
        assert not torch.allclose(base, method.embeddings(means, regions, token + 1 * torch.eye(16)[0], local))
        assert not torch.allclose(base, method.embeddings(means, regions, token, local + torch.eye(16)[0]))
        assert not torch.allclose(base, method.embeddings(means, regions, token, None))


def test_going_on_is_going_through(make, scenes):
    """Fails if trained state lacks what a step changes (bank, running statistics): five steps are three and two."""

    def steps(method, optimiser, count, first):
        for step in range(first, first + count):
            torch.manual_seed(step)
            images = Images((scenes[0].pixels.int() * (step + 3) // 8).to(torch.uint8))
            optimiser.zero_grad()
            sum(method.losses(images, scenes[1], progress=0.0).values()).backward()
            optimiser.step()

    def fresh(seed):
        method = make("clip-to-seg", seed=seed, decoder_dropout=0.1, bank_size=7).train()
        return method, torch.optim.AdamW([p for g in method.parameter_groups() for p in g["params"]], lr=1e-3)

    through, optimiser = fresh(0)
    steps(through, optimiser, 5, 0)
    before, first_optimiser = fresh(0)
    steps(before, first_optimiser, 3, 0)
    after, second_optimiser = fresh(1)
    after.load_trained_state({n: v.clone() for n, v in before.trained_state().items()})
    second_optimiser.load_state_dict(first_optimiser.state_dict())
    steps(after, second_optimiser, 2, 3)
    state = after.trained_state()
    assert {"bank.tokens", "bank.filled"} <= state.keys()
    assert state["bank.filled"] == 7
    assert all(torch.equal(value, state[name]) for name, value in through.trained_state().items())


def test_frozen_clip_is_left_alone(make, small_clip, scenes):
    """Fails if training changes CLIP, or its weights are stored with the student's."""
    before = {n: v.clone() for n, v in small_clip.state_dict().items()}
    method = make().train()
    sum(method.losses(*scenes, progress=0.0).values()).backward()
    assert all(p.grad is None for p in small_clip.parameters())
    assert all(torch.equal(before[n], v) for n, v in small_clip.state_dict().items())
    assert not [n for n in method.trained_state() if n.startswith("clip.")]


def test_what_is_watched(make, scenes):
    """Fails if the attention's entropy is not reported, or holds a graph."""
    method = make()
    method.losses(*scenes, progress=0.0)
    assert set(method.watched) == {"attention_entropy", "latent_classes"}
    assert 0 < method.watched["attention_entropy"] <= 1
    assert 1 <= method.watched["latent_classes"] <= 3
    assert not any(value.requires_grad for value in method.watched.values())


def test_settings_that_do_not_fit(make, vocabulary):
    """Fails if a wrong number of heads, or a seen loss without synthesiser, ends in an error of torch."""
    with pytest.raises(ValueError, match="decoder_heads must divide CLIP's embedding width 16; got 3"):
        make(decoder_heads=3)
    with pytest.raises(ValueError, match="seen_loss supervises what the synthesiser makes; latent is 'centroids'"):
        build(
            clip=make().clip,
            vocabulary=vocabulary(3),
            config=DistillationConfig(**(SETTINGS | {"seen_loss": True, "latent": "centroids"})),
        )


def test_seen_scores_are_cosines_or_products(make, scenes):
    """Fails if the paper's inner product normalises a side, latent classes lose their cosine, or test differs."""
    images, _ = scenes
    for kind in ("cosine", "product"):
        method = make(seen_logits=kind, seen_scale=2.0).eval()
        features = method.features(images)
        unit = features if kind == "product" else features / features.norm(dim=1, keepdim=True)
        expected = 2 * torch.einsum("cd,bdhw->bchw", method.text.to(unit), unit)
        torch.testing.assert_close(method.class_logits(features, method.text), expected)
        vocabulary = Vocabulary(("star",), (True,), ("star",), ("a picture of a {}.",))
        asked = torch.einsum("cd,bdhw->bchw", method.prototypes(vocabulary).to(unit), unit) * 2
        torch.testing.assert_close(method.scores(images, vocabulary), asked)


def test_padding_can_be_left_out_of_the_global_loss(make, scenes):
    """Fails if the switch changes a picture without padding, or does nothing to one that has some."""
    images, _ = scenes
    padded = Images(images.pixels, torch.tensor([[32, 40]] * len(images)))
    losses = {}
    for kind in ("counted", "left-out"):
        method = make(pool_padding=kind)
        features = method.features(images).detach()
        tokens = torch.randn(len(images), features.shape[1], generator=torch.Generator().manual_seed(1)) * 5
        for name, batch in (("whole", images), ("padded", padded)):
            method.bank.filled.zero_()
            torch.manual_seed(0)
            method.bank.enqueue(torch.randn(8, features.shape[1]))
            losses[kind, name] = method.global_loss(features, tokens, batch)["global"].item()
    assert losses["counted", "whole"] == losses["counted", "padded"]
    assert losses["left-out", "whole"] == pytest.approx(losses["counted", "whole"])
    assert abs(losses["left-out", "padded"] - losses["counted", "padded"]) > 1e-3
