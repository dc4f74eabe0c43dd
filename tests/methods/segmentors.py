"""Small twins of mmsegmentation's segmentors, and the configs that come with it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import torch

from methods.bodies.mmseg_architectures import PUBLISHED

CONFIGS = {
    "segnext-t": "segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py",
    "segnext-s": "segnext/segnext_mscan-s_1xb16-adamw-160k_ade20k-512x512.py",
    "segnext-b": "segnext/segnext_mscan-b_1xb16-adamw-160k_ade20k-512x512.py",
    "segnext-l": "segnext/segnext_mscan-l_1xb16-adamw-160k_ade20k-512x512.py",
    **{f"segformer-b{i}": f"segformer/segformer_mit-b{i}_8xb2-160k_ade20k-512x512.py" for i in range(6)},
    "deeplabv3plus-r50": "deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12aug-512x512.py",
    "setr-pup": "setr/setr_vit-l_pup_8xb2-160k_ade20k-512x512.py",
    "swin-t": "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
    "swin-s": "swin/swin-small-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
    "swin-b": "swin/swin-base-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
}


def _smaller(name, head, **backbone):
    published = PUBLISHED[name]
    return replace(published, backbone=published.backbone | backbone, decode_head=published.decode_head | head)


SMALLER = {
    "segnext-t": PUBLISHED["segnext-t"],
    "segformer-b0": PUBLISHED["segformer-b0"],
    "deeplabv3plus-r50": _smaller("deeplabv3plus-r50", {"channels": 32, "c1_channels": 8}),
    "setr-pup": _smaller(
        "setr-pup",
        {"in_channels": 64, "channels": 16},
        embed_dims=64,
        num_layers=4,
        num_heads=2,
        out_indices=(0, 1, 2, 3),
    ),
    "swin-t": _smaller(
        "swin-t",
        {"in_channels": [24, 48, 96, 192], "channels": 32},
        embed_dims=24,
        depths=[2, 2, 2, 2],
        num_heads=[1, 2, 4, 8],
    ),
}


def make(name, *, out_channels=6):
    """A small twin, drawn from torch's generator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from methods.bodies.segmentor import Segmentor
    return Segmentor(SMALLER[name], name=name, out_channels=out_channels)


def pixels(*shape, seed=0):
    """Normalised pixels of this shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shipped_config(name):
    """The config of this segmentor that comes with mmsegmentation."""
    import mmseg
    from mmengine.config import Config

    return Config.fromfile(str(Path(mmseg.__file__).parent / ".mim" / "configs" / CONFIGS[name]))
