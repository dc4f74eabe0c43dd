"""Segmentation bodies: what the distillation methods train. The only part of the project that knows mmsegmentation."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import get_args

from torch import nn

from methods.bodies.body import Body
from methods.bodies.mmseg_architectures import PUBLISHED
from methods.bodies.small_body import SmallBody
from methods.body_names import BatchNormMode, BodyName

__all__ = ["Body", "build_body"]


def build_body(
    name: str, *, out_channels: int, weights: str | Path | None = "none", batch_norm: BatchNormMode = "local"
) -> Body:
    """Build a body whose features have `out_channels` channels, with random parts drawn from torch's generator.

    weights: ImageNet weights of its backbone as a file or a URL, in mmsegmentation's or timm's format; "published":
        the URL that mmsegmentation's config of this body names; "none" or None: from scratch. Those of the body small
        come with the benchmark they are for: a file of them.
    batch_norm: see `methods.body_names`. In training, the heads of DeepLabV3+ and UPerNet normalise one value per
        picture and channel, so "local" needs two pictures or more at once.

    mmsegmentation is imported only where such a body is built.

    Raises ValueError, FileNotFoundError or ConnectionError, each with one line that says what to do.
    """
    if name not in get_args(BodyName):
        raise ValueError(f"no body is called {name!r}; there are: {', '.join(get_args(BodyName))}")
    if name == "small":
        return _small(out_channels, weights, batch_norm)
    source = None if weights in (None, "none") else _source(name, str(weights))
    if batch_norm == "fixed" and source is None:
        raise ValueError("fixed statistics of BatchNorm need weights to take them from; got weights 'none'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of compiled operators that no body here needs
        from methods.bodies.segmentor import Segmentor

    body = Segmentor(PUBLISHED[name], name=name, out_channels=out_channels)
    if source is not None:
        body.load_backbone(source)
    body.set_batch_norm(batch_norm)
    return body


def _small(out_channels: int, weights: str | Path | None, batch_norm: BatchNormMode) -> Body:
    if weights == "published":
        raise ValueError("the body small has no published weights but those of a benchmark: give their file, or 'none'")
    source = None if weights in (None, "none") else weights
    if batch_norm == "fixed":
        why = "has no weights to take fixed statistics from" if source is None else "always learns its statistics"
        raise ValueError(f"the body small {why}; got batch_norm 'fixed'")
    body = SmallBody(name="small", out_channels=out_channels)
    if source is not None:
        body.load_pretrained(source)
    if batch_norm == "sync":
        nn.SyncBatchNorm.convert_sync_batchnorm(body)
    return body


def _source(name: str, weights: str) -> str:
    if weights != "published":
        return weights
    if not PUBLISHED[name].weights:
        raise ValueError(f"mmsegmentation publishes no address for the weights of {name}; give timm's file by its path")
    return PUBLISHED[name].weights
