"""A CLIP as a file, from the command to the table: its config is part of the run, what is assumed stands below."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip  # type: ignore[import-untyped]
import pytest
import torch
from safetensors.torch import save_file

import harness
from methods.clip_file import CONFIG
from results.store.folders import Stored, find_stored

pytestmark = pytest.mark.usefixtures("torch_as_it_was")

ASSUMED = "QuickGELU and OpenAI's mean and std are assumed"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's folder with random weights, and a model's name that open_clip builds small."""
    small = {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
    }
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: json.loads(json.dumps(small)))
    torch.manual_seed(0)
    hub = tmp_path / "hub"
    hub.mkdir()
    state = {name: value.contiguous() for name, value in open_clip.CLIP(**small).state_dict().items()}
    save_file(state, hub / "open_clip_model.safetensors")
    return hub


def config(folder: Path, **preprocess: list[float]) -> None:
    model = open_clip.get_model_config("ViT-B-32")
    (folder / CONFIG).write_text(json.dumps({"model_cfg": model, "preprocess_cfg": preprocess}))


def run(folder: Path, capsys: pytest.CaptureFixture[str], command: str = "run") -> tuple[int, str, str]:
    clip = ("--clip", f"ViT-B-32/{folder}", "--runs", str(folder.parent / "runs"), "--cluster", "debug")
    code = harness.main([command, "--methods", "clip", "--folds", "0", "--limit", "2", "--device", "cpu", *clip])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_what_a_file_does_not_say_stands_under_the_table(folder, capsys):
    """Fails if an assumed activation is not in the record, or not below each table of it."""
    code, out, err = run(folder, capsys)
    assert code == 0, err
    assert ASSUMED in out
    (found,) = find_stored(folder.parent / "runs")
    assert isinstance(found, Stored)
    assert any(ASSUMED in line for line in found.record.result.warnings)
    assert harness.main(["tables", "--from", str(folder.parent / "runs"), "--by", "fold", "--show", "all"]) == 0
    assert ASSUMED in capsys.readouterr().out


def test_another_config_beside_the_same_file_is_another_run(folder, capsys):
    """Fails if a changed mean or activation beside a file reads the old record as done, or is averaged with it."""
    colours = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    for count, preprocess in enumerate(({}, colours, colours), 1):
        config(folder, **preprocess)
        code, out, err = run(folder, capsys)
        assert code == 0, err
        assert len(list(find_stored(folder.parent / "runs"))) == min(count, 2)
    assert "assumed" not in out
    records = [found.record for found in find_stored(folder.parent / "runs") if isinstance(found, Stored)]
    assert len({record.result.train.clip.config_sha256 for record in records if record.result.train.clip}) == 2
    assert len({record.result.clip_sha256 for record in records}) == 1


def test_a_config_that_went_is_refused(folder, tmp_path, capsys):
    """Fails if weights of one run are asked with a CLIP of another activation, mean or std, without a word."""
    config(folder, mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])
    assert run(folder, capsys)[0] == 0
    (key,) = [p.name.rpartition("-")[2] for p in (folder.parent / "runs").glob("*/*/*-*")]
    words = ["predict", "--run", key, "--runs", str(folder.parent / "runs"), "--benchmark", "shapes-5i", "--limit", "1"]
    words += ["--clip", f"ViT-B-32/{folder}", "--device", "cpu"]
    assert harness.main([*words, "--out", str(tmp_path / "a")]) == 0
    (folder / CONFIG).unlink()
    assert harness.main([*words, "--out", str(tmp_path / "b")]) == 2
    assert "is not there, or not the one that the run was planned with" in capsys.readouterr().err


def test_what_is_no_file_of_weights_is_told_before_a_run_is_made(tmp_path, capsys):
    """Fails if a download's page is copied into a run's folder, or stored as a failed run, before it is looked at."""
    page = tmp_path / "ViT-B-32.pt"
    page.write_text("<!DOCTYPE html><title>Sign in</title>")
    for words in (
        ("--methods", "clip", "--clip", f"ViT-B-32/{page}"),
        ("--methods", "zegclip", "--weights", str(page)),
    ):
        assert harness.main(["run", *words, "--runs", str(tmp_path / "r")]) == 2
        assert "is an HTML page and not the file of weights" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_folders_and_files_that_are_no_clip(folder, tmp_path, capsys):
    """Fails if a folder without weights is taken for open_clip's tag, or a missing file of any ending for one."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.onnx").write_bytes(b"whatever")
    for path, words in (
        (tmp_path / "empty", "holds none of"),
        (tmp_path / "a.CKPT", "there is no file"),
        (tmp_path / "a.onnx", "a.onnx ends in none of .safetensors, .pt,"),
    ):
        code = harness.main(["run", "--methods", "clip", "--clip", f"ViT-B-32/{path}", "--runs", str(tmp_path / "r")])
        assert code == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
