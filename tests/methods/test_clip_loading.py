"""Loading a CLIP: tags, files, activations, and one clear line for whatever is wrong."""

import hashlib
import json

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from methods import downloads
from methods.clip import file_weights, known_files, load_clip, loading, tags
from methods.method import Images
from methods.weight_kind import refuse_what_is_none

TEMPLATES = ("a photo of a {}.", "there is a {} in the scene.")


def test_weights_from_a_file(make_clip, tmp_path):
    """Half-precision files are cast; the sha256 is the file's; .pt and .safetensors give the same model."""
    clip = make_clip(seed=5)
    state = {n: v.half().contiguous() for n, v in clip.model.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    first = make_clip(pretrained=str(tmp_path / "w.safetensors"))
    second = make_clip(pretrained=str(tmp_path / "w.pt"))
    assert all(p.dtype == torch.float32 for p in first.parameters())
    assert torch.equal(first.text_prototypes(["cat"], TEMPLATES), second.text_prototypes(["cat"], TEMPLATES))
    assert torch.allclose(first.model.visual.proj, clip.model.visual.proj, atol=1e-3)
    assert first.weights_sha256 == hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    assert first.weights_sha256 != second.weights_sha256
    assert make_clip(seed=1).weights_sha256 != make_clip(seed=2).weights_sha256 == make_clip(seed=2).weights_sha256


class Archived(torch.nn.Module):
    """The tensors of a CLIP under their names, as OpenAI's archives hold them beside code and three numbers."""

    def __init__(self, state):
        super().__init__()
        for name, value in state.items():
            module = self
            *path, last = name.split(".")
            for part in path:
                if part not in module._modules:
                    module.add_module(part, torch.nn.Module())
                module = module._modules[part]
            module.register_buffer(last, value)
        self.register_buffer("context_length", torch.tensor(77))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
def test_an_archive_of_openai_loads(make_clip, tmp_path, monkeypatch):
    """Fails if the file most people have (ViT-B-16.pt) is refused, or any other archive is run."""
    clip = make_clip(seed=4)
    torch.jit.script(Archived(clip.model.state_dict())).save(tmp_path / "w.pt")
    refuse_what_is_none(tmp_path / "w.pt")  # a command lets it through: only its sha256 tells whose it is
    with pytest.raises(ValueError, match="TorchScript archive, which holds code"):
        make_clip(pretrained=str(tmp_path / "w.pt"))
    vit_b16 = "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"
    assert vit_b16 in known_files.openai_archives()
    digest = hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()
    monkeypatch.setattr(file_weights, "openai_archives", lambda: {digest})
    loaded = make_clip(pretrained=str(tmp_path / "w.pt"))
    assert torch.equal(loaded.text_prototypes(["cat"], TEMPLATES), clip.text_prototypes(["cat"], TEMPLATES))


def test_openai_tag_of_a_plain_name_has_quick_gelu(monkeypatch, tmp_path):
    """Fails if ViT-B-32/openai is built with exact GELU, which changes every feature without any error."""
    small = open_clip.get_model_config("ViT-B-32")
    small["vision_cfg"] |= {"layers": 1, "width": 64, "image_size": 64}
    small["text_cfg"] |= {"layers": 1, "width": 64, "heads": 1}
    weights = tmp_path / "w.safetensors"
    save_file({n: v.contiguous() for n, v in open_clip.CLIP(**small).state_dict().items()}, weights)
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: json.loads(json.dumps(small)))
    monkeypatch.setattr(tags, "in_hub_cache", lambda hub: weights)
    for tag, kind in (("openai", "QuickGELU"), ("laion2b_s34b_b79k", "GELU")):
        clip = loading.load_clip("ViT-B-32", tag)
        assert {type(b.mlp.gelu).__name__ for b in clip.vit().blocks} == {kind}
        assert type(clip.model.transformer.resblocks[0].mlp.gelu).__name__ == kind


def test_image_statistics_of_the_tag(make_clip):
    """Fails if the default mean and std are not OpenAI's on the scale of bytes."""
    assert make_clip().mean == pytest.approx([255 * v for v in open_clip.OPENAI_DATASET_MEAN])
    assert make_clip().std == pytest.approx([255 * v for v in open_clip.OPENAI_DATASET_STD])


def one_line(error):
    return "\n" not in str(error.value)


def test_unknown_model_and_tag():
    """Fails if a typo ends in a stack trace of open_clip or in a message that names no way on."""
    with pytest.raises(ValueError, match=r"no model 'ViT-B16'.*near:.*ViT-B-16") as error:
        load_clip("ViT-B16", "openai")
    assert one_line(error)
    with pytest.raises(ValueError, match=r"ViT-B-16 has no weights tagged 'opnai'.*tags: openai") as error:
        load_clip("ViT-B-16", "opnai")
    assert one_line(error)


def test_missing_and_wrong_files(make_clip, tmp_path):
    """Each wrong file is one line that names it."""
    with pytest.raises(FileNotFoundError, match="no file of CLIP weights") as error:
        make_clip(pretrained=str(tmp_path / "none.safetensors"))
    assert one_line(error)
    with pytest.raises(FileNotFoundError, match="no CLIP config file"):
        load_clip("x", None, config_file=tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="cannot read the CLIP config"):
        load_clip("x", None, config_file=tmp_path / "bad.json")
    (tmp_path / "other.json").write_text('{"embed_dim": 3}')
    with pytest.raises(ValueError, match="lacks vision_cfg, text_cfg"):
        load_clip("x", None, config_file=tmp_path / "other.json")
    for name in ("junk.safetensors", "junk.pt"):
        (tmp_path / name).write_bytes(b"junk" * 10)
        with pytest.raises(ValueError, match="is a text that begins with 'junk") as error:
            make_clip(pretrained=str(tmp_path / name))
        assert one_line(error)
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="does not hold the weights of small") as error:
        make_clip(pretrained=str(tmp_path / "a.safetensors"))
    assert one_line(error)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match="CLIP weights come as"):
        make_clip(pretrained=str(tmp_path / "a.txt"))


class Harmful:
    def __reduce__(self):
        return (print, ("code ran",))


def test_pickled_code_is_not_run(make_clip, tmp_path, capsys):
    """Fails if weights are unpickled without restriction."""
    torch.save({"state_dict": {"a": Harmful()}}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="only running code could read"):
        make_clip(pretrained=str(tmp_path / "w.pt"))
    assert "code ran" not in capsys.readouterr().out


def test_hub_out_of_reach(monkeypatch):
    """Fails if no network means a stack trace, a minute of retries, or a message that does not say what else works."""

    def unreachable(*args, **kwargs):
        raise OSError("no route to host\nat all")

    monkeypatch.setattr(tags, "in_hub_cache", lambda hub: None)
    monkeypatch.setattr(downloads.urllib.request, "getproxies", dict)
    monkeypatch.setattr(downloads.socket, "create_connection", unreachable)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: pytest.fail("the client tries for a minute"))
    with pytest.raises(ConnectionError, match=r"/timm/.*\(no route to host at all\).*as a file.*cache") as error:
        load_clip("ViT-B-16", "openai")
    assert one_line(error)


def test_weights_in_the_hub_cache_need_no_network(monkeypatch, tmp_path):
    """Fails if a machine without a network cannot use what it has."""
    folder = tmp_path / "models--timm--some" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "open_clip_model.safetensors").write_bytes(b"weights")
    (tmp_path / "models--timm--some" / "refs").mkdir()
    (tmp_path / "models--timm--some" / "refs" / "main").write_text("abc")
    find = tags.try_to_load_from_cache
    monkeypatch.setattr(tags, "try_to_load_from_cache", lambda repo, name: find(repo, name, cache_dir=tmp_path))
    assert tags.in_hub_cache("timm/some/").read_bytes() == b"weights"
    assert tags.in_hub_cache("timm/other/") is None
    assert tags.in_hub_cache("timm/some/pytorch_model.bin") is None
    (folder / "pytorch_model.safetensors").write_bytes(b"twin")  # what open_clip fetches when it is there
    assert tags.in_hub_cache("timm/some/pytorch_model.bin").read_bytes() == b"twin"


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        ({"layers": [1, 1, 1, 1], "width": 16}, None),
        ({"timm_model_name": "test_resnet", "timm_proj": "linear"}, None),
        ({"timm_model_name": "test_resnet", "timm_proj": "mlp"}, r"ResNet of this model has a head that is not linear"),
        ({"timm_model_name": "test_resnet", "timm_pool": "max"}, r"trunk that averages a feature map.*ResNet"),
        (
            {"timm_model_name": "test_convnext", "timm_proj": "mlp"},
            r"ConvNeXt of this model has a head that is not lin",
        ),
        ({"timm_model_name": "test_vit", "timm_proj": "linear"}, None),
        ({"patch_size": 8, "width": 64, "layers": 1, "pool_type": "avg"}, r"pools its tokens"),
    ],
)
def test_towers_without_what_is_asked_say_why(tmp_path, vision, reason):
    """Fails if a tower without blocks or dense tokens ends in an AttributeError, or is asked and answers nonsense.

    Texts need no tower.
    """
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 160 if "vit" in str(vision) else 32} | vision,
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
    }
    (tmp_path / "c.json").write_text(json.dumps(config))
    clip = load_clip("mine", None, config_file=tmp_path / "c.json")
    assert clip.text_prototypes(["cat"], TEMPLATES).shape == (1, 32)
    with pytest.raises(ValueError, match=r"mine: .*(blocks of a vision transformer|pools its tokens)"):
        clip.vit()
    picture = Images(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    if reason is None:
        assert clip.tokens(picture).dense.shape[:2] == (1, 32)
        return
    for ask in (clip.tower, lambda: clip.tokens(picture)):
        with pytest.raises(ValueError, match=rf"mine: .*{reason}"):
            ask()
