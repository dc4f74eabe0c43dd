"""Checkpoints of the released code: names, unused tensors, and an error that names every difference."""

import pytest
import torch
from safetensors.torch import save_file

from methods.zegclip import released_checkpoint as released
from methods.zegclip.released import released_name
from methods.zegclip.zegclip import build
from methods.zegclip.zegclip_config import ZegClipConfig


@pytest.fixture(scope="module")
def state(golden):
    arrays = golden.arrays("zegclip_tiny/state")
    return {name: torch.from_numpy(value) for name, value in arrays.items()}


@pytest.fixture
def model(make_clip, vocabulary, state):
    vision = {"image_size": 64, "patch_size": 16, "width": 64, "layers": 4, "head_width": 32}
    clip = make_clip(embed_dim=32, vision=vision)
    tower = {k.removeprefix("backbone."): v for k, v in state.items() if "backbone." in k and "prompt" not in k}
    clip.model.visual.load_state_dict(tower)
    return build(clip=clip, vocabulary=vocabulary(3), config=ZegClipConfig(prompt_tokens=3, decoder_heads=2))


def released_part(model, state):
    ours = model.trained_state()
    return released.trained_part(state, ours, clip=model.clip, decoder_layers=3, source="file")


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_released_checkpoint_loads(model, state, tmp_path, wrapped):
    """Fails if a name is mapped to the wrong tensor, or the tensors that the released code never uses are refused."""
    buffer = {"decode_head.loss_decode.criterion.empty_weight": torch.ones(6)}
    text = {f"text_encoder.{n}": v for n, v in model.clip.model.state_dict().items() if not n.startswith("visual.")}
    content = state | buffer | text
    torch.save({"meta": {"iter": 20000}, "state_dict": content} if wrapped else content, tmp_path / "w.pth")
    model.import_weights(tmp_path / "w.pth")
    for name, value in model.trained_state().items():
        assert torch.equal(value, state[released_name(name, 3)]), name


def test_weights_of_a_finished_run_load_by_the_same_door(model, tmp_path):
    """Fails if only released checkpoints can be imported, or a broken file ends in a stack trace."""
    state = {name: value + 1 for name, value in model.trained_state().items()}
    save_file(state, tmp_path / "model.safetensors")
    model.import_weights(tmp_path / "model.safetensors")
    assert all(torch.equal(value, state[name]) for name, value in model.trained_state().items())
    (tmp_path / "bad.safetensors").write_bytes(b"junk")
    with pytest.raises(ValueError, match="is a text that begins with 'junk'"):
        model.import_weights(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("form", ["model.", "module.module.", "safetensors", "float16", "bfloat16"])
def test_forms_of_a_released_checkpoint(model, state, tmp_path, form):
    """Fails if prefixes, a conversion or half precision keep a checkpoint from loading, or rounding is kept quiet."""
    narrow = getattr(torch, form) if "float" in form else torch.float32
    prefix = form if form.endswith(".") else ""
    content = {f"{prefix}{name}": value.to(narrow) for name, value in state.items()}
    if form == "safetensors":
        save_file(content, tmp_path / "w")
    else:
        torch.save({"state_dict": content}, tmp_path / "w")
    remarks = model.import_weights(tmp_path / "w")
    for name, value in model.trained_state().items():
        assert torch.equal(value, state[released_name(name, 3)].to(narrow).float()), name
    assert remarks == (
        (f"stored in {form}, rounded to {8 if form[0] == 'b' else 11} significant bits",) * (narrow.itemsize == 2)
    )


@pytest.mark.parametrize("known", [True, False])
def test_a_checkpoint_of_a_training_that_broke_down(model, state, tmp_path, known):
    """Fails if NaN in a trained tensor is scored, by the names of the released code or by ours."""
    content = state if known else model.trained_state()
    name = "decode_head.q_proj.bias" if known else "head.query.bias"
    torch.save(content | {name: torch.full_like(content[name], torch.nan)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"NaN in 32 of 32 values of the tensor 'head\.query\.bias'"):
        model.import_weights(tmp_path / "w.pth")


def test_a_wrong_clip_is_a_line_that_a_person_reads(make_method, small_clip, tmp_path, state):
    """Fails if a forgotten --clip answers with the name of every tensor, or does not say what it likely is."""
    method = make_method("zegclip")
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=rf"of its {len(state)} tensors .*likely of another CLIP than small") as error:
        method.import_weights(tmp_path / "w.pth")
    assert len(str(error.value)) < 800
    assert len(str(error.value).splitlines()) == 1


def test_every_released_tensor_is_ours_frozen_or_known_to_be_unused(model, state):
    """Fails if a tensor of the released state is neither taken over, compared, nor listed as unused."""
    taken = {released_name(n, 3) for n in model.trained_state()}
    rest = {n for n in state if n not in taken and not n.startswith("backbone.")}
    assert len(taken) == 44
    assert {n.split(".")[4] for n in rest if ".layers.2." not in n} == {"self_attn", "norm1"}


def test_every_difference_is_named(model, state, tmp_path):
    """Fails if the error stops at the first tensor that does not fit."""
    wrong = dict(state)
    del wrong["decode_head.q_proj.bias"]
    wrong["decode_head.mystery"] = torch.zeros(1)
    wrong["backbone.prompt_embeddings"] = torch.zeros(1, 5, 64)
    wrong["backbone.ln_post.weight"] = state["backbone.ln_post.weight"] + 1
    wrong["backbone.proj"] = torch.zeros(64, 8)
    torch.save(wrong, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="does not fit") as error:
        model.import_weights(tmp_path / "w.pth")
    text = str(error.value)
    assert f"of its {len(wrong)} tensors 1 missing (decode_head.q_proj.bias)" in text
    assert "1 unknown (decode_head.mystery)" in text
    assert "backbone.prompt_embeddings (1, 5, 64) instead of (1, 3, 64)" in text
    assert "backbone.proj (64, 8) instead of (64, 32)" in text
    assert "of other values than the CLIP in use (backbone.ln_post.weight, backbone.proj)" in text
    assert "likely of another CLIP than small: give that by --clip" in text
    assert "\n" not in text


def test_position_table_of_another_crop(model, state):
    """The released table is resized to the training crop; fails if ours is not compared at that size."""
    resized = dict(state)
    resized["backbone.positional_embedding"] = model.clip.vit().position_table(6, 6)
    released_part(model, resized)
    resized["backbone.positional_embedding"] = torch.zeros(37, 64)
    with pytest.raises(ValueError, match="positional_embedding"):
        released_part(model, resized)


class Harmful:
    def __reduce__(self):
        return (print, ("code ran",))


def test_files_that_are_no_checkpoint(model, tmp_path, capsys):
    """Fails if pickled code is run, or a wrong file ends in a stack trace of torch."""
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        model.import_weights(tmp_path / "none.pth")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(ValueError, match="is a text"):
        model.import_weights(tmp_path / "junk.pth")
    torch.save({"state_dict": {"a": Harmful()}}, tmp_path / "harm.pth")
    with pytest.raises(ValueError, match="only running code could read"):
        model.import_weights(tmp_path / "harm.pth")
    assert "code ran" not in capsys.readouterr().out
    torch.save({"state_dict": {}}, tmp_path / "empty.pth")
    with pytest.raises(ValueError, match="no tensors by name"):
        model.import_weights(tmp_path / "empty.pth")


def test_only_the_whole_method_loads_a_released_checkpoint(small_clip, vocabulary, state, tmp_path):
    """Fails if a variant loads the part of the tensors that happens to fit it."""
    config = ZegClipConfig(encoder="frozen", decoder_heads=2)
    method = build(clip=small_clip, vocabulary=vocabulary(2), config=config)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="encoder 'prompts', query 'descriptor'"):
        method.import_weights(tmp_path / "w.pth")


def test_names_without_a_counterpart():
    """Fails if a tensor that only ours has is written under an invented name."""
    with pytest.raises(ValueError, match=r"no counterpart of 'head.memory.weight'"):
        released_name("head.memory.weight", 3)
