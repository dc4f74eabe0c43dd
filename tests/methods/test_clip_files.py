"""A CLIP that is a file: what the file does not say is known by its sha256, read beside it, or said to be assumed."""

import json

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from methods import clip_file
from methods.clip import file_settings, file_weights, load_clip, loading
from methods.clip.known_files import Known, known

COLOURS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}


@pytest.fixture
def small():
    """The config of a model that open_clip knows, small."""
    config = open_clip.get_model_config("ViT-B-32")
    config["vision_cfg"] |= {"layers": 1, "width": 64, "image_size": 64}
    config["text_cfg"] |= {"layers": 1, "width": 64, "heads": 1}
    return config


@pytest.fixture
def weights(monkeypatch, tmp_path, small):
    """A file of its weights in a folder of its own; the model of this name is the small one everywhere."""
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: json.loads(json.dumps(small)))
    torch.manual_seed(0)
    folder = tmp_path / "hub"
    folder.mkdir()
    state = {n: v.contiguous() for n, v in open_clip.CLIP(**small).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder / "open_clip_model.safetensors"


def beside(weights, config, **preprocess):
    path = weights.with_name(clip_file.CONFIG)
    path.write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    return path


def activation(clip):
    return {type(block.mlp.gelu).__name__ for block in clip.vit().blocks}


def test_what_is_assumed_of_a_file_is_said(weights):
    """Fails if activation, mean and std are guessed without a word: fine-tuned weights may have either activation."""
    clip = load_clip("ViT-B-32", str(weights))
    assert activation(clip) == {"GELU"}
    (remark,) = clip.remarks
    assert "GELU and OpenAI's mean and std are assumed" in remark
    assert "QuickGELU" not in remark


def test_the_config_beside_a_file_decides(weights, small):
    """Fails if a published folder's own config is not read: activation, mean and std change every number."""
    path = beside(weights, small | {"quick_gelu": True}, **COLOURS)
    clip = load_clip("ViT-B-32", str(weights), beside=path)
    assert activation(clip) == {"QuickGELU"}
    assert clip.mean == pytest.approx([127.5, 102.0, 76.5])
    assert clip.std == pytest.approx([51.0, 63.75, 76.5])
    assert clip.remarks == ("CLIP ViT-B-32 has QuickGELU, as the config beside its file says",)
    beside(weights, small, **COLOURS)
    assert load_clip("ViT-B-32", str(weights), beside=path).remarks == ()
    beside(weights, small)
    assert "as the config beside its file names none" in load_clip("ViT-B-32", str(weights), beside=path).remarks[0]


def test_the_config_of_another_network_is_refused(weights, small):
    """Fails if one file's config is taken for another's that lies in the same folder."""
    path = beside(weights, small | {"embed_dim": 768, "text_cfg": small["text_cfg"] | {"layers": 2}}, **COLOURS)
    with pytest.raises(ValueError, match=r"another network than ViT-B-32: embed_dim 768 instead of 512, text_cfg\."):
        load_clip("ViT-B-32", str(weights), beside=path)
    for content, words in (("{", "cannot read"), ("[]", "lacks"), ('{"model_cfg": 3}', "lacks embed_dim")):
        path.write_text(content)
        with pytest.raises(ValueError, match=words):
            load_clip("ViT-B-32", str(weights), beside=path)
    for wrong in (None, ["mean"]):
        path.write_text(json.dumps({"model_cfg": small, "preprocess_cfg": wrong}))
        with pytest.raises(ValueError, match=r"preprocess_cfg is .*; expected an object"):
            load_clip("ViT-B-32", str(weights), beside=path)
    beside(weights, small, mean="grey")
    with pytest.raises(ValueError, match=r"preprocess_cfg\.mean is 'grey'; expected three numbers"):
        load_clip("ViT-B-32", str(weights), beside=path)


def test_published_weights_are_known_by_their_sha256(weights, small, monkeypatch):
    """Fails if OpenAI's or LAION's files, as people keep them, get another activation than their tag has."""
    published = Known(("ViT-B-32",), "openai", {"quick_gelu": True, **COLOURS})
    monkeypatch.setattr(file_settings, "known", lambda sha256: published)
    monkeypatch.setattr(file_weights, "known", lambda sha256: published)
    clip = load_clip("ViT-B-32", str(weights), beside=beside(weights, small))
    assert activation(clip) == {"QuickGELU"}
    assert clip.mean[0] == pytest.approx(127.5)
    assert clip.remarks == ()
    save_file({"a": torch.zeros(1)}, weights)
    with pytest.raises(ValueError, match=r"of its 1 tensors \d+ missing .*by its sha256 it is ViT-B-32/openai"):
        load_clip("ViT-B-32", str(weights))


@pytest.mark.parametrize(
    ("sha256", "model", "tag", "quick"),
    [
        ("40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", "ViT-B-32", "openai", True),
        ("5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", "ViT-B-16", "openai", True),
        ("b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836", "ViT-L-14", "openai", True),
        ("d867053b" + "0" * 56, "ViT-B-32", "laion400m_e31", True),
        ("af8dbd0c" + "0" * 56, "ViT-B-32", "laion2b_e16", False),
        ("00efa78f" + "0" * 56, "ViT-B-16", "laion400m_e31", False),
    ],
)
def test_the_table_of_published_hashes(sha256, model, tag, quick):
    """Fails if a hash that open_clip's addresses name is not found, or with another activation than its tag's."""
    found = known(sha256)
    assert model in found.models
    assert found.tag == tag
    assert bool(found.config.get("quick_gelu")) is quick
    assert known("0" * 64) is None


@pytest.mark.parametrize("side", [2, 3])
def test_resized_positions_are_said(weights, small, side):
    """Fails if a file of another image size is fitted without a word."""
    bigger = json.loads(json.dumps(small))
    bigger["vision_cfg"]["image_size"] = 32 * side
    save_file({n: v.contiguous() for n, v in open_clip.CLIP(**bigger).state_dict().items()}, weights)
    remarks = load_clip("ViT-B-32", str(weights)).remarks
    said = [remark for remark in remarks if "image positions were resized from 3 x 3 to 2 x 2" in remark]
    assert len(said) == (side == 3)
    clip = load_clip("ViT-B-32", str(weights), beside=beside(weights, bigger, **COLOURS))
    assert clip.remarks == ()  # the config beside the file has its image size
    assert clip.vit().native_grid == (side, side)


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.module."])
def test_prefixes_of_trainers(weights, prefix):
    """Fails if a checkpoint of a wrapped model is refused, or loads other numbers."""
    plain = load_clip("ViT-B-32", str(weights))
    path = weights.with_name("epoch_3.PTH")
    state = {prefix + name: value for name, value in plain.model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, path)
    clip = load_clip("ViT-B-32", str(path))
    assert all(torch.equal(a, b) for a, b in zip(clip.parameters(), plain.parameters(), strict=True))


def test_files_that_do_not_fit(weights):
    """Fails if NaN is loaded, rounding is kept quiet, or transformers' names end in a list of every tensor."""
    state = load_clip("ViT-B-32", str(weights)).model.state_dict()
    path = weights.with_name("w.pt")
    torch.save({n: v.to(torch.bfloat16) if v.is_floating_point() else v for n, v in state.items()}, path)
    assert (
        "CLIP ViT-B-32 is stored in bfloat16, rounded to 8 significant bits" in load_clip("ViT-B-32", str(path)).remarks
    )
    torch.save(state | {"ln_final.bias": torch.full((64,), torch.nan)}, path)
    with pytest.raises(ValueError, match=r"NaN in 64 of 64 values of the tensor 'ln_final\.bias'"):
        load_clip("ViT-B-32", str(path))
    torch.save({f"vision_model.{name}": value for name, value in state.items()}, path)
    with pytest.raises(ValueError, match=r"names of transformers' CLIP: give open_clip's file") as error:
        load_clip("ViT-B-32", str(path))
    assert len(str(error.value)) < 700


def test_a_folder_as_the_hub_has_it(weights, tmp_path):
    """Fails if the folder that was downloaded is no CLIP, or another folder is taken for one."""
    assert clip_file.weights_at(weights.parent) == weights
    assert loading.load_clip("ViT-B-32", str(weights.parent)).weights_sha256
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds none of open_clip_model\.safetensors"):
        clip_file.weights_at(tmp_path / "empty")


def test_a_config_is_known_by_what_it_says(weights, small):
    """Fails if another config beside the same file is the same CLIP, or another writing of it another one."""
    assert clip_file.config_sha256(weights) == ""
    path = beside(weights, small, **COLOURS)
    first = clip_file.config_sha256(weights)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    assert clip_file.config_sha256(weights) == first
    beside(weights, small | {"quick_gelu": True}, **COLOURS)
    assert clip_file.config_sha256(weights) not in ("", first)
