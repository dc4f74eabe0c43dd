"""OTSeg beyond the recorded values: properties of its transport plans and maps, its texts, its released checkpoints."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.otseg.otseg_config import RELEASED_TEXTS
from methods.otseg.otseg_head import transport
from methods.otseg.sinkhorn import INSIDE_LOG, solved
from methods.registry import METHODS
from methods.zegclip.released import released_name


def drawn(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 30), st.integers(1, 3))
def test_properties_of_plans_and_maps(seed, texts, patches, classes):
    """Fails when a plan does not spread its mass as asked, a map leaves [-N, N], or order decides anything."""
    queries, memory = drawn(seed, 2, classes, texts, 8), drawn(seed + 1, 2, patches, 8)
    found = transport(queries, memory, together=True)
    assert torch.allclose(found.plan.sum(-1), torch.tensor(1 / texts + INSIDE_LOG, dtype=torch.float64), rtol=1e-13)
    assert (found.map.abs() <= texts * (1 + 1e-4)).all()
    order = torch.randperm(texts, generator=torch.Generator().manual_seed(seed))
    turned = transport(queries[:, :, order], memory, together=True)
    assert torch.allclose(turned.map, found.map, atol=1e-12)
    classes_turned = transport(queries.flip(1), memory, together=True)
    assert torch.allclose(classes_turned.map.flip(1), found.map, atol=1e-12)


def test_one_text_has_a_constant_plan():
    """Fails when the plan of a single text follows the picture: nothing is left to transport."""
    similarity = drawn(0, 1, 2, 1, 9).requires_grad_(True)
    plan, iterations = solved(similarity)
    assert iterations == 2
    assert torch.allclose(plan, plan.mean(), atol=1e-15)
    (plan * drawn(1, 1, 2, 1, 9)).sum().backward()
    assert similarity.grad.abs().max() < 1e-15


def test_at_test_an_image_is_solved_alone():
    """Fails when the stop rule of one image is that of its batch mates, as in training."""
    similarity = torch.cat([drawn(0, 1, 3, 4, 30), 0.1 * drawn(1, 1, 3, 4, 30)])
    apart, _ = solved(similarity, together=False)
    for i in range(2):
        alone, _ = solved(similarity[i : i + 1])
        assert torch.equal(apart[i : i + 1], alone)
    together, _ = solved(similarity, together=True)
    assert not torch.equal(together, apart)


def test_texts_are_embedded_one_by_one(make_method, vocabulary):
    """Fails when the sentences of a class are averaged, or the protocol's are used unasked."""
    method, asked = make_method("otseg", decoder_heads=1), vocabulary(2)
    rows = method.prototypes(asked)
    assert rows.shape == (2, 6, 16)
    third = method.clip.text_prototypes(asked.texts, (RELEASED_TEXTS[2],)).half().float()
    assert torch.equal(rows[:, 2], third)
    protocols = make_method("otseg", decoder_heads=1, texts="protocol").prototypes(asked)
    assert torch.equal(protocols[:, 0], method.clip.text_prototypes(asked.texts, asked.templates).half().float())


def test_both_methods_are_trained_alike(make_method, batch):
    """Fails when what is scored changes a loss: weights of one could not be scored by the other."""
    losses = []
    for name in ("otseg", "otseg+"):
        torch.manual_seed(1)
        losses.append(make_method(name, decoder_heads=1).train().losses(*batch, progress=0.0))
    assert {k: v.item() for k, v in losses[0].items()} == {k: v.item() for k, v in losses[1].items()}
    assert METHODS["otseg+"].trained_as == "otseg"


@pytest.mark.parametrize("name", ["otseg", "cascade-clip"])
def test_a_released_checkpoint_loads(make_method, small_clip, tmp_path, name):
    """Fails when a name is mapped to the wrong tensor, what is never read is refused, or another method's is taken."""
    heads = {"decoder_heads": 1} if name == "otseg" else {}
    method, names = make_method(name, **heads), make_method(name, **heads).released_names()
    state = {released_name(n, 3, names): torch.randn(v.shape) for n, v in method.trained_state().items()}
    state |= {f"backbone.{n}": v for n, v in small_clip.model.visual.state_dict().items()}
    decoder = next(iter(names.decoders.values()))
    unused = [f"layers.{i}.{part}" for i in range(3) for part in ("self_attn.in_proj_bias", "norm1.weight")]
    state |= {f"{decoder}.{n}": torch.ones(3) for n in (*unused, "layers.2.linear1.weight", "layers.2.norm3.bias")}
    state["decode_head.loss_decode.criterion.empty_weight"] = torch.ones(16)
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    method.import_weights(tmp_path / "w.pth")
    for ours, value in method.trained_state().items():
        assert torch.equal(value, state[released_name(ours, 3, names)]), ours
    if name == "otseg":  # the same tensors: nothing but the method named tells ZegCLIP's from it
        make_method("zegclip", decoder_heads=1).import_weights(tmp_path / "w.pth")
        return
    with pytest.raises(ValueError, match="does not fit"):
        make_method("zegclip").import_weights(tmp_path / "w.pth")
    with pytest.raises(ValueError, match="the whole Cascade-CLIP"):
        make_method("cascade-clip-shared-decoder").import_weights(tmp_path / "w.pth")


def test_released_texts():
    """Fails when a sentence changes or the first six are not VOC's."""
    assert len(RELEASED_TEXTS) == len(set(RELEASED_TEXTS)) == 8
    assert RELEASED_TEXTS[5] == "a photo of medium {}."
    assert math.isclose(INSIDE_LOG, 1e-8)
