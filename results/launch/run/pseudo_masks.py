"""Sheets of what a method's mining makes of the first training images. Needs no finished run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.catalogue import benchmark
from benchmarks.data.reader import Reader
from benchmarks.labels import VOID
from methods.method import Images
from methods.method_entry import COMPARISON
from methods.registry import METHODS, config_class
from results.launch.plan.request import Files, Pictures, Request, Run
from results.launch.plan.runs import plan
from results.launch.run.build import build, clip_of, train_set
from results.report.pictures import mask_sheet
from splits.errors import UserError


def pseudo_mask_sheets(request: Request, files: Files, pictures: Pictures) -> Iterator[Path]:
    """Save one sheet for each run of the request; returns where. Raises UserError for a method that does not mine."""
    for run in plan(request):
        spec = run.train
        method: Any = build(spec, clip_of(spec.clip, files.clip))
        if not getattr(getattr(method, "config", None), "mines", False):
            compared = [name for name, e in METHODS.items() if e.group == COMPARISON]
            mining = sorted(name for name in compared if hasattr(config_class(name), "mines"))
            raise UserError(f"{spec.method} mines no pseudo masks; choose {' or '.join(mining)}")
        path = pictures.out / f"pseudo-{spec.benchmark}-{spec.method}-fold{spec.fold}-seed{spec.seed}.png"
        save_pseudo_masks(run, method, request.data.open(benchmark(spec.benchmark), "train"), pictures.images, path)
        yield path


@torch.inference_mode()
def save_pseudo_masks(run: Run, method: Any, reader: Reader, count: int, path: Path) -> None:
    """A sheet of the first `count` training images as the run's first epoch has them: image, labels, pseudo mask."""
    spec = run.train
    data = train_set(spec, reader)
    rows: list[tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]] = []
    for index in range(min(count, len(reader))):
        item = data[0, index]
        if isinstance(item, UserError):
            raise item
        image, labels, size = item
        images = Images(torch.from_numpy(image)[None], torch.tensor([size]))
        given = torch.from_numpy(labels)[None]
        pseudo = method.pseudo_labels(method.teach(images).dense, given)[0].numpy()
        rows.append((np.ascontiguousarray(image.transpose(1, 2, 0)), [labels, pseudo]))
    mask_sheet(rows, ["image", "labels", "pseudo mask"], first_code=VOID, path=path)
