"""Weights that compute nodes cannot fetch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks.spec import ClipId
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run import build, prefetch
from splits.errors import UserError


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub whose cache holds what is in the list; returns the list."""
    from huggingface_hub import constants

    cache: list[str] = []

    def clip_of(asked: ClipId, file: object = None) -> SimpleNamespace:
        if asked.pretrained not in cache:
            if constants.HF_HUB_OFFLINE:
                raise UserError("cannot fetch the weights")
            cache.append(asked.pretrained)
        return SimpleNamespace(weights_sha256="ab" * 32)

    monkeypatch.setattr(build, "clip_of", clip_of)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return cache


def test_missing_weights_are_named_without_fetching_them(hub: list[str]) -> None:
    """Fails when a grid is submitted whose weights the nodes will look for in vain, or when looking fetches them."""
    runs = plan(Request(("random", "clip"), ("shapes-5i",), clip=ClipId(model="ViT-B-16", pretrained="openai")))
    assert prefetch.absent(runs) == ["ViT-B-16/openai"]
    assert not hub
    hub.append("openai")
    assert prefetch.absent(runs) == []


def test_a_name_that_is_none_is_not_missing(hub: list[str]) -> None:
    """Fails when a slip in the name of a CLIP is answered by advice to fetch it."""
    runs = plan(Request(("clip",), ("shapes-5i",), clip=ClipId(model="ViT-B-16", pretrained="opnai")))
    with pytest.raises(UserError, match=r"did you mean openai\?"):
        prefetch.absent(runs)
    assert not hub


def test_built_in_weights_need_no_net(hub: list[str]) -> None:
    """Fails when the built-in grid is held up by a look at the hub."""
    assert prefetch.absent(plan(Request(("random", "clip"), ("shapes-5i",)))) == []


def test_prefetch_fills_the_cache(hub: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when prefetch leaves out weights of the runs asked for."""
    import harness

    assert harness.main(["prefetch", "--methods", "clip", "--clip", "ViT-B-16/openai"]) == 0
    assert hub == ["openai"]
    assert "ViT-B-16/openai: here, sha256 abab" in capsys.readouterr().out
    assert harness.main(["prefetch", "--methods", "clip"]) == 0
    assert "nothing to fetch" in capsys.readouterr().out
