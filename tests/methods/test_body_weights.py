"""ImageNet weights of bodies: mmsegmentation's and timm's files, by path and by URL, and what is refused."""

import hashlib
import pickle

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from methods import downloads
from methods.bodies import build_body
from methods.bodies.mmseg_architectures import PUBLISHED
from tests.methods.segmentors import SMALLER, make, pixels


def drawn(name, seed):
    """A small twin whose numbers are all of their own, norms and counters included."""
    torch.manual_seed(seed)
    return randomised(make(name))


def randomised(module):
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.5 + 0.1 * torch.randn(value.shape))
    return module


def same(one, other):
    """Whether two states are equal, apart from what files need not hold."""
    return all(torch.equal(one[name], other[name]) for name in one if "num_batches" not in name)


@pytest.mark.parametrize(
    ("name", "form"),
    [*((name, "plain") for name in SMALLER), *(("segformer-b0", f) for f in ("wrapped", "segmentor", "safetensors"))],
)
def test_files_in_mmsegmentations_layout(name, form, tmp_path):
    """Fails if a tensor of the backbone is not read, the head is touched, or a classifier in the file is in the way."""
    source, body = drawn(name, 1), drawn(name, 2)
    head = {key: value.clone() for key, value in body.decode_head.state_dict().items()}
    state = {key: value.contiguous() for key, value in source.backbone.state_dict().items()}
    classifier = {"head.weight": torch.ones(1000, 3), "head.bias": torch.ones(1000)}
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, path)
    elif form == "segmentor":  # a whole one, with heads and meta data
        whole = {f"backbone.{key}": value for key, value in state.items()} | {"decode_head.x": torch.ones(1)}
        torch.save({"state_dict": whole, "meta": {"epoch": 3}}, path)
    else:
        torch.save(state | classifier if form == "plain" else {"state_dict": state | classifier}, path)
    body.load_backbone(path)
    assert same(source.backbone.state_dict(), body.backbone.state_dict())
    assert same(head, body.decode_head.state_dict())
    assert body.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_timms_resnet_with_a_stem_of_three(form, tmp_path):
    """Fails if a name of timm's resnet50c is mapped wrongly: the first stages, which no dilation changes, must agree.

    The stages after them hold the same tensors by name and shape.
    """
    torch.manual_seed(0)
    theirs = timm.create_model("resnet50c", num_classes=7).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path = tmp_path / f"w.{form}"
    (save_file if form == "safetensors" else torch.save)(theirs.state_dict(), path)
    body = make("deeplabv3plus-r50").eval()
    body.load_backbone(path)
    x = pixels(1, 3, 64, 96)
    with torch.no_grad():
        ours = body.backbone(x)
        expected = theirs.forward_intermediates(x, intermediates_only=True)
    assert torch.allclose(ours[0], expected[1], atol=1e-4)
    assert torch.allclose(ours[1], expected[2], atol=1e-4)
    assert torch.equal(body.backbone.layer4[2].conv3.weight, theirs.layer4[2].conv3.weight)


@pytest.mark.parametrize("size", [512, 384])
def test_timms_vision_transformer(size, tmp_path):
    """Fails if a name is mapped wrongly, or positions of another grid are not resized: outputs must agree with timm's.

    At another size the file's positions are resized once; timm then gets the same table.
    """
    torch.manual_seed(0)
    theirs = VisionTransformer(
        img_size=size, patch_size=16, embed_dim=64, depth=4, num_heads=2, num_classes=7, global_pool="token"
    )
    theirs = randomised(theirs).eval()
    path = tmp_path / "w.pth"
    torch.save(theirs.state_dict(), path)
    body = make("setr-pup").eval()
    body.load_backbone(path)
    twin = VisionTransformer(img_size=512, patch_size=16, embed_dim=64, depth=4, num_heads=2, num_classes=7).eval()
    state = theirs.state_dict()
    if size != 512:
        grid = state["pos_embed"][:, 1:].transpose(1, 2).unflatten(2, (24, 24))
        grid = F.interpolate(grid, (32, 32), mode="bilinear", align_corners=False)
        state = state | {"pos_embed": torch.cat([state["pos_embed"][:, :1], grid.flatten(2).transpose(1, 2)], dim=1)}
    twin.load_state_dict(state)
    x = pixels(1, 3, 512, 512)
    with torch.no_grad():
        ours = body.backbone(x)
        expected = twin.forward_intermediates(x, intermediates_only=True, norm=False)
    for one, other in zip(ours, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("layout", ["timm", "authors"])
def test_timms_swin_transformer(layout, tmp_path):
    """Fails if a name is mapped wrongly, or the merging layers keep the order of neighbours of another library.

    The authors' files have the merging layer at the end of a stage, masks and indices.
    """
    torch.manual_seed(0)
    theirs = SwinTransformer(
        img_size=448, patch_size=4, embed_dim=24, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), num_classes=7
    ).eval()
    for name, value in theirs.state_dict().items():
        if "relative_position_bias_table" in name or "norm" in name:
            value.copy_(0.5 + 0.3 * torch.randn(value.shape))
    state = dict(theirs.state_dict())
    if layout == "authors":
        for name in [n for n in state if ".downsample." in n]:
            stage = int(name.split(".")[1])
            state[name.replace(f"layers.{stage}.", f"layers.{stage - 1}.", 1)] = state.pop(name)
        state["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    path = tmp_path / "w.pth"
    torch.save({"model": state}, path)
    body = make("swin-t").eval()
    body.load_backbone(path)
    x = pixels(1, 3, 448, 448)  # the last map is larger than a window: else timm does not shift it
    with torch.no_grad():
        ours, y = body.backbone(x), theirs.patch_embed(x)
        for output, stage in zip(ours, theirs.layers, strict=True):
            y = stage(y)  # (1, h, w, D)
            assert torch.allclose(output, F.layer_norm(y, y.shape[-1:]).permute(0, 3, 1, 2), atol=1e-4, rtol=1e-3)


def test_weights_by_url(tmp_path, monkeypatch):
    """Fails if a URL is not kept, is fetched again, or a file whose name holds its hash is trusted unread."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    source = drawn("segformer-b0", 1)
    plain = tmp_path / "plain.pth"
    torch.save(source.backbone.state_dict(), plain)
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    published = plain.rename(tmp_path / f"mit-{digest[:8]}.pth")
    url = published.as_uri()
    body = build_body("segformer-b0", out_channels=6, weights=url)
    assert same(source.backbone.state_dict(), body.backbone.state_dict())
    assert body.weights_sha256 == digest
    published.unlink()
    assert build_body("segformer-b0", out_channels=6, weights=url).weights_sha256 == digest
    kept = tmp_path / "torch" / "hub" / "checkpoints" / published.name
    kept.write_bytes(kept.read_bytes() + b"0")
    with pytest.raises(ValueError, match=rf"its sha256 does not start with {digest[:8]}; delete it"):
        build_body("segformer-b0", out_channels=6, weights=url)


def test_published_weights_out_of_reach(tmp_path, monkeypatch):
    """Fails if no network means a stack trace, a minute of retries, or a message that does not say what else works."""

    def unreachable(*args, **kwargs):
        raise OSError("no route to host\nat all")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(downloads.urllib.request, "getproxies", dict)
    monkeypatch.setattr(downloads.socket, "create_connection", unreachable)
    pattern = r"cannot fetch .*mscan_t_.*119e8c9f\.pth \(no route to host at all\); give them as a file.*checkpoints"
    with pytest.raises(ConnectionError, match=pattern) as error:
        build_body("segnext-t", out_channels=6, weights="published")
    assert "\n" not in str(error.value)
    assert PUBLISHED["setr-pup"].weights == ""
    with pytest.raises(ValueError, match=r"no address for the weights of setr-pup; give timm's file"):
        build_body("setr-pup", out_channels=6, weights="published")


def test_tensors_that_do_not_fit_are_named(tmp_path):
    """Fails if weights of another body are loaded in part: missing, unknown and misshapen tensors are each named."""
    path = tmp_path / "w.pth"
    state = drawn("segformer-b0", 1).backbone.state_dict()
    del state["layers.0.0.projection.bias"]
    state |= {"layers.0.0.norm.weight": torch.ones(5), "extra": torch.ones(1)}
    torch.save(state, path)
    body = drawn("segformer-b0", 2)
    before = {name: value.clone() for name, value in body.state_dict().items()}
    pattern = (
        r"w\.pth does not hold the weights of this MixVisionTransformer: missing layers\.0\.0\.projection\.bias, "
        r"unknown extra, misshapen layers\.0\.0\.norm\.weight \(5,\) instead of \(32,\)"
    )
    with pytest.raises(ValueError, match=pattern):
        body.load_backbone(path)
    assert same(before, body.state_dict())
    assert body.weights_sha256 is None
    torch.save(drawn("segnext-t", 1).backbone.state_dict(), path)
    with pytest.raises(ValueError, match=r"does not hold the weights of this MixVisionTransformer.* and \d+ more"):
        body.load_backbone(path)


class Code:
    """What a hostile file would run."""

    def __reduce__(self):
        return print, ("code ran",)


def test_files_that_cannot_be_read(tmp_path, capsys):
    """Fails if a broken or hostile file ends in a stack trace or runs, or a wrong path is not called that."""
    body = make("segformer-b0")
    with pytest.raises(FileNotFoundError, match=r"there is no file of body weights .*none\.pth"):
        body.load_backbone(tmp_path / "none.pth")
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"body weights come as .*has \.onnx"):
        body.load_backbone(tmp_path / "w.onnx")
    for name, content, words in (
        ("a.pth", b"junk" * 100, "is a text that begins with 'junkjunk"),
        ("b.pth", b"", "is empty"),
        ("c.safetensors", bytes(range(256)), "cannot be read as weights"),
        ("d.pth", pickle.dumps(Code()), "holds objects of print|cannot be read as weights"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} ({words})") as error:
            body.load_backbone(tmp_path / name)
        assert "\n" not in str(error.value)
    torch.save([1, 2], tmp_path / "e.pth")
    with pytest.raises(ValueError, match=r"e\.pth holds no tensors by name but a list"):
        body.load_backbone(tmp_path / "e.pth")
    assert "code ran" not in capsys.readouterr().out


def test_fixed_statistics_are_those_of_the_weights(tmp_path):
    """Fails if fixed statistics are not the file's after a training pass, or those of the head stand still."""
    source = drawn("segnext-t", 1)
    torch.save(source.backbone.state_dict(), tmp_path / "w.pth")
    body = build_body("segnext-t", out_channels=6, weights=tmp_path / "w.pth", batch_norm="fixed").train()
    body(pixels(2, 3, 64, 64))
    statistics = {n: v for n, v in source.backbone.state_dict().items() if "running" in n}
    assert statistics
    assert all(torch.equal(body.backbone.state_dict()[n], v) for n, v in statistics.items())
