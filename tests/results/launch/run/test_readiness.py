"""What is not on this disk is said before a run, and nothing is fetched for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.spec import ClipId
from methods.clip import tags
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run.readiness import unready
from splits.errors import UserError

OPENAI = ClipId(model="ViT-B-16", pretrained="openai")


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "in_hub_cache", lambda hub: None)
    monkeypatch.setattr(tags.open_clip, "download_pretrained", lambda *_, **__: pytest.fail("fetches"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_absent_weights_are_named_with_what_fetches_them() -> None:
    """Fails when a grid starts for hours and then lacks its CLIP, or when looking fetches it."""
    runs = plan(Request(methods=("zegclip", "clip-to-seg"), benchmarks=("voc-15-5",), clip=OPENAI))
    (line,) = unready(runs)
    assert line.startswith("absent weights: ViT-B-16/openai, the weights of segnext-t (published); fetch with")


def test_a_file_that_is_never_read_is_not_here(tmp_path: Path) -> None:
    """Fails when OpenAI's own download counts as weights of a tag: those are loaded from the hub's cache alone."""
    url = tags.open_clip.pretrained.get_pretrained_cfg(OPENAI.model, OPENAI.pretrained)["url"]
    (tmp_path / ".cache" / "clip").mkdir(parents=True)
    (tmp_path / ".cache" / "clip" / Path(url).name).write_bytes(b"weights")
    (line,) = unready(plan(Request(methods=("zegclip",), benchmarks=("voc-15-5",), clip=OPENAI)))
    assert line.startswith("absent weights: ViT-B-16/openai; fetch with")


def test_what_is_here_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails when weights in the cache are called absent."""
    monkeypatch.setattr(tags, "in_hub_cache", lambda hub: tmp_path)
    assert list(unready(plan(Request(methods=("zegclip",), benchmarks=("voc-15-5",), clip=OPENAI)))) == []


def test_the_built_in_world_needs_nothing() -> None:
    """Fails when a first run is told to fetch something."""
    assert list(unready(plan(Request(methods=("zegclip", "clip-to-seg"), benchmarks=("shapes-5i",))))) == []


def test_bodies_from_noise_are_named() -> None:
    """Fails when a student begins without ImageNet weights and nobody is told."""
    request = Request(methods=("clip-to-seg",), benchmarks=("shapes-5i",), overrides=("clip-to-seg.body_weights=none",))
    assert list(unready(plan(request))) == ["bodies without ImageNet weights, from noise: clip-to-seg (small)"]


def test_a_tag_that_is_none_is_refused() -> None:
    """Fails when a misspelt tag is called absent, as if it could be fetched."""
    clip = ClipId(model="ViT-B-16", pretrained="openay")
    with pytest.raises(UserError, match=r"ViT-B-16/openay.*did you mean openai"):
        list(unready(plan(Request(methods=("zegclip",), benchmarks=("voc-15-5",), clip=clip))))
