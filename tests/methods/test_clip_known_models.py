"""What `list clips` says of open_clip's models, against the towers themselves."""

from __future__ import annotations

from collections import Counter

import open_clip  # type: ignore[import-untyped]
import pytest
import torch
from open_clip.model import _build_vision_tower  # type: ignore[import-untyped]

from methods.clip import known_models
from methods.clip.known_models import known_model
from methods.clip.towers import tower_of
from methods.clip.vit import VitTower


@pytest.mark.parametrize(
    "name",
    [
        *("ViT-B-32", "RN50", "ViT-B-16-SigLIP", "PE-Core-T-16-384", "EVA02-B-16", "MobileCLIP-B", "MobileCLIP-S1"),
        *("ViTamin-S", "vit_medium_patch16_gap_256", "vit_relpos_medium_patch16_cls_224", "convnext_base"),
        *("coca_ViT-B-32", "swin_base_patch4_window7_224"),
    ],
)
def test_a_tower_is_what_is_said_of_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a model is called taken that is refused when it is loaded, or the other way round."""
    monkeypatch.setattr(known_models, "_there", lambda: True)
    settings = open_clip.get_model_config(name)
    with torch.no_grad():
        visual = _build_vision_tower(settings["embed_dim"], settings["vision_cfg"] | {"timm_model_pretrained": False})
    found = tower_of(visual, embed_dim=settings["embed_dim"])
    known = known_model(name, settings)
    assert bool(known.gives) == (not isinstance(found, str)), found
    assert (known.gives == "blocks") == isinstance(found, VitTower)
    assert bool(known.reason) == (not known.gives)


def test_every_model_of_open_clip_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a model is passed over, or a tokenizer that is not there is found out only when a run starts."""
    for there in (True, False):
        monkeypatch.setattr(known_models, "_there", lambda there=there: there)
        found = {known.name: known for known in known_models.known_models()}
        assert list(found) == open_clip.list_models()
        assert (found["ViT-B-16-SigLIP"].gives == "tokens") == there
        assert "transformers" in found["ViT-B-16-SigLIP"].reason or there
        assert found["ViT-B-16"].gives == "blocks"
        assert found["PE-Core-B-16"].gives == "tokens"
        counts = Counter(known.gives for known in found.values())
        assert counts["blocks"] >= (45 if there else 30)
        assert counts["tokens"] >= (80 if there else 55)
