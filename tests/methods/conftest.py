"""What the tests of the methods share: recorded values, small random CLIPs, vocabularies, a slow sliding window."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from methods.clip import load_clip
from methods.method import UNLABELLED, VOID, Images, Vocabulary
from methods.registry import METHODS, build_method, config_class

GOLDEN = Path(__file__).parent.parent / "golden"
SMALL = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 3, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}


def _recipe():
    spec = importlib.util.spec_from_file_location("golden_recipe", GOLDEN / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _arrays(name):
    with np.load(GOLDEN / f"{name}.npz") as content:
        return {key: content[key] for key in content.files}


@pytest.fixture(scope="session")
def golden():
    """`recipe`, `arrays(name)` of an npz and `json(name)` under tests/golden."""
    return SimpleNamespace(
        recipe=_recipe(),
        arrays=_arrays,
        json=lambda name: json.loads((GOLDEN / f"{name}.json").read_text()),
        folder=GOLDEN,
    )


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory):
    """A CLIP with random weights from a config the test changes: `make_clip(vision={"width": 64}, embed_dim=32)`."""

    def make(*, vision=None, pretrained=None, seed=0, text_cache=None, **settings):
        config = SMALL | settings
        config["vision_cfg"] = SMALL["vision_cfg"] | (vision or {})
        path = tmp_path_factory.mktemp("clip") / "config.json"
        path.write_text(json.dumps(config))
        return load_clip("small", pretrained, config_file=path, text_cache=text_cache, seed=seed)

    return make


@pytest.fixture(scope="session")
def small_clip(make_clip):
    """One small random CLIP: patches of 8, images of 32, d = 16. Frozen, so tests may share it."""
    return make_clip()


@pytest.fixture(scope="session")
def vocabulary():
    """`vocabulary(4)`: four seen classes; `vocabulary(4, unseen=(1,))`: the second is unseen."""

    def make(count, unseen=(), prefix="thing"):
        names = tuple(f"{prefix}{i}" for i in range(count))
        return Vocabulary(names, tuple(i not in unseen for i in range(count)), names, ("a photo of a {}",))

    return make


@pytest.fixture(scope="session")
def pictures():
    """`pictures(2, 32, 40)`: random bytes."""

    def make(count, height, width, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return Images(torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8))

    return make


@pytest.fixture(scope="session")
def make_method(small_clip, vocabulary):
    """A method of the registry, small: `make_method("zegclip-baseline", classes=4, unseen=(3,), seed=1, **fields)`."""

    def make(name="zegclip", *, classes=4, unseen=(), seed=0, **fields):
        torch.manual_seed(seed)
        config = config_class(name)(**(METHODS[name].fixed | {"prompt_tokens": 3, "decoder_heads": 2} | fields))
        return build_method(name, clip=small_clip, vocabulary=vocabulary(classes, unseen), config=config)

    return make


@pytest.fixture
def batch(pictures):
    """Two pictures of 32 x 32 and their labels: four classes, unlabelled and void positions."""
    labels = torch.randint(0, 4, (2, 4, 4), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    labels[0, :2] = UNLABELLED
    labels[1, 0] = VOID
    return pictures(2, 32, 32), labels.repeat_interleave(8, 1).repeat_interleave(8, 2)


@pytest.fixture(scope="session")
def slide():
    """The protocol's sliding window, slow and plain: `slide(activated, x, crop, stride)` with the canvas's scores."""

    def starts(length, crop, stride):
        count = max(length - crop + stride - 1, 0) // stride + 1
        return [max(min(i * stride + crop, length) - crop, 0) for i in range(count)]

    def run(activated, x, crop, stride):
        total, visits = 0, torch.zeros(1, 1, *x.shape[-2:], dtype=x.dtype)
        for top in starts(x.shape[2], crop, stride):
            for left in starts(x.shape[3], crop, stride):
                window = x[:, :, top : top + crop, left : left + crop]
                bottom, right = top + window.shape[2], left + window.shape[3]
                scores = activated(window)
                total = total + F.pad(scores, (left, x.shape[3] - right, top, x.shape[2] - bottom))
                visits[:, :, top:bottom, left:right] += 1
        return total / visits

    return SimpleNamespace(run=run, starts=starts)
