"""ZegCLIP's structure, and what must hold of it, its baselines and its ablations alike."""

import pytest
import torch

from methods.registry import METHODS, build_method, config_class
from methods.zegclip.zegclip import build
from methods.zegclip.zegclip_config import ZegClipConfig

VARIANTS = [name for name in METHODS if name.startswith("zegclip")]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_and_scores(make_method, batch, vocabulary, name):
    """Fails if a variant cannot be built, if its loss does not fall, or if its scores have another shape."""
    method = make_method(name, prompt_dropout=0, decoder_dropout=0).train()
    groups = [{**g, "lr": 3e-3 * g.pop("lr_scale", 1)} for g in method.parameter_groups()]
    optimiser = torch.optim.AdamW(groups, lr=3e-3)
    values = []
    for _ in range(8):
        loss = sum(method.losses(*batch, progress=0.5).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    assert values[-1] < values[0]
    asked = vocabulary(6, unseen=(4, 5))
    with torch.no_grad():
        scores = method.eval().scores(batch[0], asked)
        activated = method.activate(scores, asked.seen_mask())
    assert scores.shape == activated.shape == (2, 6, 4, 4)
    assert scores.dtype == torch.float32


@pytest.mark.parametrize("name", VARIANTS)
def test_no_trained_tensor_is_without_gradient(make_method, batch, name):
    """Fails if distributed training would need find_unused_parameters (the released code does)."""
    method = make_method(name)
    sum(method.losses(*batch, progress=0.5).values()).backward()
    trained = {n: p for n, p in method.named_parameters() if p.requires_grad}
    assert [n for n, p in trained.items() if p.grad is None] == []
    grouped = [id(p) for g in method.parameter_groups() for p in g["params"]]
    assert len(grouped) == len(set(grouped)) == len(trained)
    assert set(grouped) == {id(p) for p in trained.values()}


def test_what_the_released_code_never_uses_does_not_exist(make_method):
    """Fails if self-attention, or the last layer's value path, feed-forward or norms came back."""
    names = [n for n, _ in make_method().head.decoder.named_parameters()]
    assert not [n for n in names if "self" in n]
    assert {n for n in names if n.startswith("last.")} == {f"last.{p}.{w}" for p in "qk" for w in ("weight", "bias")}
    assert len({n.split(".")[1] for n in names if n.startswith("layers.")}) == 2


def test_decoder_layers_start_alike(make_method):
    """Fails if the layers are initialised one by one: the released decoder copies one layer."""
    decoder = make_method().head.decoder
    first, second = (layer.state_dict() for layer in decoder.layers)
    assert all(torch.equal(first[n], second[n]) for n in first)
    assert torch.equal(decoder.last.q.weight, decoder.layers[0].attention.q.weight)
    assert torch.equal(decoder.last.k.bias, decoder.layers[0].attention.k.bias)
    assert decoder.last.q.weight is not decoder.layers[0].attention.q.weight


def test_prompt_initialisation(make_clip, vocabulary):
    """Uniform within 0.0625 at ViT-B's sizes: sqrt(6 / (3 * 16 * 16 + 768))."""
    clip = make_clip(vision={"image_size": 32, "patch_size": 16, "width": 768, "layers": 2, "head_width": 64})
    encoder = build(clip=clip, vocabulary=vocabulary(2), config=ZegClipConfig(decoder_heads=2)).encoder
    assert encoder.first.shape == (1, 10, 768)
    assert encoder.deep.shape == (1, 10, 768)
    for prompts in (encoder.first, encoder.deep):
        assert 0.0620 < prompts.abs().max() <= 0.0625
        assert prompts.std().item() == pytest.approx(0.0625 / 3**0.5, rel=0.03)
    assert encoder.proj.weight.std().item() == pytest.approx((2 / 768) ** 0.5, rel=0.01)


def test_class_embedding_is_added_twice(make_method, small_clip, pictures, vocabulary):
    """CLS enters as 2e + p (released), or as e + p where the config says single."""
    vit, seen = small_clip.vit(), {}
    hook = vit.ln_pre.register_forward_pre_hook(lambda module, inputs: seen.__setitem__("x", inputs[0]))
    for copies, name in ((2, "doubled"), (1, "single")):
        make_method(class_embedding=name).scores(pictures(1, 32, 32), vocabulary(2))
        expected = copies * vit.class_embedding + vit.position_table(4, 4)[0]
        assert torch.allclose(seen["x"][0, 0], expected)
    hook.remove()


@pytest.mark.parametrize("name", VARIANTS)
def test_classes_are_scored_independently(make_method, batch, vocabulary, name):
    """Fails if the score of a class depends on the other classes asked: vocabularies may be split into chunks."""
    method = make_method(name).eval()
    whole, part = vocabulary(6), vocabulary(2)
    with torch.no_grad():
        assert torch.allclose(method.scores(batch[0], whole)[:, :2], method.scores(batch[0], part), atol=1e-6)
    assert method.vocabulary_chunkable


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("size", [(24, 40), (36, 29), (8, 8)])
def test_pictures_that_are_not_square_or_no_multiple_of_the_patch(make_method, pictures, vocabulary, name, size):
    """Fails if a grid is taken for square or a picture's last rows are cut off."""
    method = make_method(name)
    images, labels = pictures(2, *size), torch.zeros(2, *size, dtype=torch.uint8)
    assert sum(method.losses(images, labels, progress=0.0).values()).isfinite()
    grid = tuple(max(1, int(side / 8 + 0.5)) for side in size)
    assert method.scores(images, vocabulary(2)).shape == (2, 2, *grid)


def test_heads_must_divide_the_width(make_method):
    """Fails if a wrong number of heads ends in a shape error of torch."""
    with pytest.raises(ValueError, match="decoder_heads must divide CLIP's embedding width 16; got 5"):
        make_method(decoder_heads=5)


def test_finetuned_encoder_leaves_the_shared_clip_alone(make_method, small_clip, batch):
    """Fails if fine-tuning changes the CLIP that other methods and the text prototypes use, or is not saved."""
    before = {n: v.clone() for n, v in small_clip.state_dict().items()}
    method = make_method("zegclip-baseline-ft")
    optimiser = torch.optim.SGD([p for g in method.parameter_groups() for p in g["params"]], lr=0.1)
    sum(method.losses(*batch, progress=0.0).values()).backward()
    optimiser.step()
    assert all(torch.equal(before[n], v) for n, v in small_clip.state_dict().items())
    assert any(n.startswith("encoder.vit.visual.conv1") for n in method.trained_state())
    scales = [g.get("lr_scale", 1) for g in method.parameter_groups()]
    assert scales == [1, 0.1]


@pytest.mark.parametrize("name", VARIANTS)
def test_trained_state_round_trip(make_method, batch, vocabulary, name):
    """Fails if a trained tensor is not saved, a frozen one is, or loading does not restore the scores."""
    first, second = make_method(name, seed=0).eval(), make_method(name, seed=1).eval()
    state = {n: v.clone() for n, v in first.trained_state().items()}
    assert state.keys() == {n for n, p in first.named_parameters() if p.requires_grad}
    asked = vocabulary(3)
    with torch.no_grad():
        assert not torch.equal(first.scores(batch[0], asked), second.scores(batch[0], asked))
        second.load_trained_state(state)
        assert torch.equal(first.scores(batch[0], asked), second.scores(batch[0], asked))


@pytest.mark.parametrize("name", VARIANTS)
def test_bfloat16_agrees_with_float32(make_method, batch, vocabulary, name):
    """Autocast on the CPU: losses within 2 %, scores within 5 % of their range; fails on a loss summed in bf16."""
    method = make_method(name, prompt_dropout=0, decoder_dropout=0)
    full = sum(method.losses(*batch, progress=0.0).values()).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = sum(method.losses(*batch, progress=0.0).values())
        scores = method.scores(batch[0], vocabulary(3))
    half.backward()
    assert not torch.equal(scores.bfloat16().float(), scores)  # rounded scores tie in the argmax
    assert half.dtype == scores.dtype == torch.float32
    assert half.item() == pytest.approx(full, rel=0.02)
    expected = method.scores(batch[0], vocabulary(3))
    assert (scores - expected).abs().max() < 0.05 * expected.abs().max()
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.requires_grad)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", VARIANTS)
def test_cuda_agrees_with_the_cpu(make_clip, vocabulary, batch, name):
    """float32 within 1e-4 of the CPU, bfloat16 within 2 % (loss) and 5 % (scores); fails on a tensor left behind."""
    images, labels = batch
    config = config_class(name)(
        **(METHODS[name].fixed | {"prompt_tokens": 3, "decoder_heads": 2, "prompt_dropout": 0, "decoder_dropout": 0})
    )
    torch.manual_seed(0)
    method = build_method(name, clip=make_clip(), vocabulary=vocabulary(4), config=config)
    asked = vocabulary(3)
    loss = sum(method.losses(images, labels, progress=0.0).values()).item()
    scores = method.scores(images, asked).detach()
    method, images, labels = method.to("cuda"), images.to("cuda"), labels.to("cuda")
    with torch.backends.cudnn.flags(allow_tf32=False):
        for half, loss_tolerance, score_tolerance in ((False, 1e-4, 1e-4), (True, 0.02, 0.05)):
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=half):
                ours = sum(method.losses(images, labels, progress=0.0).values())
                theirs = method.scores(images, asked).detach().cpu()
            assert ours.item() == pytest.approx(loss, rel=loss_tolerance)
            assert (theirs - scores).abs().max() <= score_tolerance * scores.abs().max()
