"""The CLIP wrapper: text prototypes and their cache, tokens and read-outs, positions."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from methods.clip.text_cache import read_prototypes
from methods.method import Images

TEMPLATES = ("a photo of a {}.", "there is a {} in the scene.")


def slow_tokens(visual, x, readout):
    """An independent forward pass of one picture, in float64 NumPy, head by head and token by token."""
    w = {n: v.double().numpy() for n, v in visual.state_dict().items()}
    heads = visual.transformer.resblocks[0].attn.num_heads
    patch = visual.patch_size[0]

    def norm(t, name):
        centred = t - t.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def block(t, name, attend):
        y = norm(t, f"{name}.ln_1")
        qkv = y @ w[f"{name}.attn.in_proj_weight"].T + w[f"{name}.attn.in_proj_bias"]
        q, k, v = np.split(qkv, 3, axis=-1)
        size = q.shape[-1] // heads
        out = v.copy()
        if attend:
            for h in range(heads):
                part = slice(h * size, (h + 1) * size)
                logits = q[:, part] @ k[:, part].T / np.sqrt(size)
                weights = np.exp(logits - logits.max(-1, keepdims=True))
                out[:, part] = weights / weights.sum(-1, keepdims=True) @ v[:, part]
        t = t + out @ w[f"{name}.attn.out_proj.weight"].T + w[f"{name}.attn.out_proj.bias"]
        y = norm(t, f"{name}.ln_2") @ w[f"{name}.mlp.c_fc.weight"].T + w[f"{name}.mlp.c_fc.bias"]
        y = y / (1 + np.exp(-1.702 * y))  # QuickGELU
        return t + y @ w[f"{name}.mlp.c_proj.weight"].T + w[f"{name}.mlp.c_proj.bias"]

    x, kernel = x.double().numpy(), w["conv1.weight"]
    rows, columns = x.shape[1] // patch, x.shape[2] // patch
    tokens = [w["class_embedding"]]
    for i in range(rows):
        for j in range(columns):
            cell = x[:, i * patch : (i + 1) * patch, j * patch : (j + 1) * patch]
            tokens.append((kernel * cell).sum((1, 2, 3)))
    t = norm(np.stack(tokens) + w["positional_embedding"], "ln_pre")
    names = [f"transformer.resblocks.{i}" for i in range(len(visual.transformer.resblocks))]
    for name in names[:-1]:
        t = block(t, name, attend=True)
    plain = norm(block(t, names[-1], attend=True), "ln_post") @ w["proj"]
    dense = plain if readout == "plain" else norm(block(t, names[-1], attend=False), "ln_post") @ w["proj"]
    return plain[0], dense[1:].T.reshape(-1, rows, columns)


@pytest.mark.parametrize("readout", ["plain", "value"])
def test_tokens_against_a_slow_implementation(small_clip, pictures, readout):
    """Fails on another normalisation, token order, grid order, activation, or a value path with attention left in."""
    images = pictures(2, 32, 32)
    tokens = small_clip.tokens(images, readout=readout)
    mean, std = (torch.tensor(v).double()[:, None, None] for v in (small_clip.mean, small_clip.std))
    for i in range(2):
        cls, dense = slow_tokens(small_clip.model.visual, (images.pixels[i].double() - mean) / std, readout)
        np.testing.assert_allclose(tokens.cls[i], cls, atol=1e-5)
        np.testing.assert_allclose(tokens.dense[i], dense, atol=1e-5)


def test_cls_is_what_open_clip_encodes(small_clip, pictures):
    """Fails if CLS is not open_clip's own image embedding, in either read-out."""
    images = pictures(3, 32, 32)
    expected = small_clip.model.encode_image(small_clip.normalised(images))
    for readout in ("plain", "value"):
        assert torch.allclose(small_clip.tokens(images, readout=readout).cls, expected, atol=1e-5)


def test_text_prototypes(small_clip):
    """Mean of unit embeddings, normalised again; one template: the unit embedding itself."""
    embedded = [
        small_clip.model.encode_text(small_clip.tokenizer([t.replace("{}", name) for t in TEMPLATES]), normalize=True)
        for name in ("cat", "dog")
    ]
    expected = torch.stack([e.mean(0) / e.mean(0).norm() for e in embedded])
    assert torch.allclose(small_clip.text_prototypes(["cat", "dog"], TEMPLATES), expected, atol=1e-6)
    single = small_clip.text_prototypes(["dog"], TEMPLATES[:1])
    assert torch.allclose(single[0], embedded[1][0], atol=1e-6)
    assert torch.allclose(single.norm(dim=-1), torch.ones(1))
    assert not single.requires_grad


def test_text_prototypes_do_not_depend_on_the_other_classes(make_clip):
    """Fails if a batch of another size changes a row's last bits: chunks of a vocabulary would then score otherwise."""
    one, other = make_clip(), make_clip()
    together = one.text_prototypes(["cat", "dog", "tree"], TEMPLATES)
    assert torch.equal(together[1:2], other.text_prototypes(["dog"], TEMPLATES))
    assert torch.equal(one.text_prototypes(["tree", "cat"], TEMPLATES), together[[2, 0]])


def test_text_prototypes_are_float32_under_autocast(make_clip):
    """Fails if a run in bf16 stores rounded texts."""
    expected = make_clip().text_prototypes(["cat"], TEMPLATES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(make_clip().text_prototypes(["cat"], TEMPLATES), expected)


def test_text_prototypes_first_asked_for_in_inference_mode_can_be_trained_on(make_clip):
    """Fails if an evaluation before a training leaves tensors in the cache that autograd refuses."""
    clip = make_clip()
    with torch.inference_mode():
        clip.text_prototypes(["cat"], TEMPLATES)
    weight = torch.ones(16, requires_grad=True)
    (clip.text_prototypes(["cat"], TEMPLATES) * weight).sum().backward()
    assert weight.grad.any()


def test_text_cache(make_clip, tmp_path, monkeypatch):
    """Fails if the cache is not used, is used for other weights, names or templates, or trusts a corrupt file."""
    expected = make_clip(text_cache=tmp_path).text_prototypes(["cat", "dog"], TEMPLATES)
    (file,) = tmp_path.iterdir()
    again = make_clip(text_cache=tmp_path)
    monkeypatch.setattr(again, "_embedded", lambda *a: pytest.fail("computed although cached"))
    assert torch.equal(again.text_prototypes(["cat", "dog"], TEMPLATES), expected)
    other = make_clip(text_cache=tmp_path, seed=1).text_prototypes(["cat", "dog"], TEMPLATES)
    assert not torch.allclose(other, expected, atol=1e-3)
    gelu = make_clip(text_cache=tmp_path, quick_gelu=False).text_prototypes(["cat", "dog"], TEMPLATES)
    assert not torch.equal(gelu, expected)
    wrong = {"prototypes": torch.ones(2, 16)}
    for content in (b"", b"junk" * 100, file.read_bytes()[:-7], None):
        save_file(wrong, file) if content is None else file.write_bytes(content)
        assert torch.equal(make_clip(text_cache=tmp_path).text_prototypes(["cat", "dog"], TEMPLATES), expected)
        assert torch.equal(load_file(file)["prototypes"], expected)
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".")]


@pytest.mark.parametrize("damage", ["permuted", "another's", "writable by all"])
def test_a_text_cache_that_was_changed_is_not_used(make_clip, tmp_path, monkeypatch, damage):
    """Fails if prototypes stand for other classes than they were made of, because nobody looks at the file."""
    expected = make_clip(text_cache=tmp_path).text_prototypes(["cat", "dog"], TEMPLATES)
    (file,) = tmp_path.glob("text-*.safetensors")
    if damage == "permuted":
        stored = load_file(file)
        save_file(stored | {"prototypes": stored["prototypes"].flip(0).contiguous()}, file)
    elif damage == "another's":
        make_clip(text_cache=tmp_path / "other").text_prototypes(["dog", "cat"], TEMPLATES)
        next((tmp_path / "other").glob("text-*")).replace(file)
    else:
        file.chmod(0o666)
        stored = load_file(file)
    assert torch.equal(make_clip(text_cache=tmp_path).text_prototypes(["cat", "dog"], TEMPLATES), expected)
    assert read_prototypes(file, shape=expected.shape) is not None  # and written anew


def test_text_cache_that_cannot_be_written_costs_nothing_else(make_clip, tmp_path):
    """Fails if a folder that is a file stops a run."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert make_clip(text_cache=blocked).text_prototypes(["cat"], TEMPLATES).shape == (1, 16)


def test_position_table(small_clip):
    """At its own size the table is the stored one; at another the grid is interpolated and the CLS row is not."""
    vit, table = small_clip.vit(), small_clip.model.visual.positional_embedding
    assert vit.position_table(4, 4) is table
    wide = vit.position_table(4, 8)
    assert wide.shape == (33, 32)
    assert torch.equal(wide[0], table[0])
    grid = table[1:].reshape(4, 4, -1)
    halfway = 0.75 * grid[1, 1] + 0.25 * grid[1, 2]  # column 3 of 8 lies at 1.25 of 4
    assert torch.allclose(wide[1:].reshape(4, 8, -1)[1, 3], halfway, atol=1e-6)


def test_size_and_sides_that_are_no_multiple_of_the_patch(small_clip, pictures):
    """Fails if the last rows of a picture are cut off instead of seen: its grid is rounded, not floored."""
    images = pictures(1, 36, 30)
    assert small_clip.tokens(images).dense.shape == (1, 16, 5, 4)
    assert small_clip.tokens(images, size=(32, 32)).dense.shape == (1, 16, 4, 4)
    changed = images.pixels.clone()
    changed[..., -1, :] = 255 - changed[..., -1, :]
    assert not torch.equal(small_clip.tokens(Images(changed)).dense, small_clip.tokens(images).dense)


def test_frozen_and_in_evaluation_mode_for_good(small_clip):
    """Fails if a method's train() switches CLIP's dropout on or its parameters get gradients."""
    torch.nn.Sequential(small_clip).train()
    assert not any(m.training for m in small_clip.modules())
    assert not any(p.requires_grad for p in small_clip.parameters())
