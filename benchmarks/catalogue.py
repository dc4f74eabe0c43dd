"""The benchmarks by name: sizes, templates and what a run of each is made of. No torch here.

Adding a data set: one reader (`benchmarks/data`), one facts file (`splits/facts`), one line here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from benchmarks.data.catalogue import open_reader
from benchmarks.data.reader import Reader
from benchmarks.data.shapes import ShapesReader
from benchmarks.data.voc import VocReader
from benchmarks.protocol import DataSource, EvalSide, Inference, Queries, Setting, TrainSide
from benchmarks.spec import ClipId
from benchmarks.templates import templates
from splits.errors import UserError
from splits.loader import Split, load_split

Scale = Literal["native", "trial"]
SHAPES_CLIP = Path(__file__).parent / "shapes" / "clip"
BUILTIN = "builtin"


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark is besides its split."""

    name: str
    templates: str  # the name of the sentences that CLIP is asked with, see benchmarks.templates
    inference: Inference  # at the scale of the papers
    trial: Inference | None = None  # at a scale that the built-in CLIP can see; for photos only
    parts: tuple[str, ...] = ("val",)
    photos: bool = True

    @property
    def split(self) -> Split:
        """Classes, folds and lists, verified."""
        return load_split(self.name)

    def inference_at(self, scale: Scale) -> Inference:
        """Sizes at a scale; raises UserError where the benchmark has no trial scale."""
        if scale == "native":
            return self.inference
        if self.trial is None:
            raise UserError(f"{self.name} has no trial scale: leave --scale out")
        return self.trial


MASK_RULES = {"shapes": ShapesReader.mask_rule, "voc2012": VocReader.mask_rule}
PHOTO = Inference(short_side=512, window=512, stride=426)
# the built-in CLIP saw 96-pixel pictures; larger grids ruin its interpolated positions
PHOTO_TRIAL = Inference(short_side=96, window=96, stride=80)

BENCHMARKS: dict[str, Benchmark] = {
    b.name: b
    for b in (
        Benchmark(
            name="shapes-5i",
            templates="shapes",
            inference=Inference(short_side=64),
            parts=("val", "tune"),
            photos=False,
        ),
        Benchmark(
            name="pascal-5i",
            templates="single",
            inference=PHOTO,
            trial=PHOTO_TRIAL,
        ),
        Benchmark(
            name="voc-15-5",
            templates="single",
            inference=PHOTO,
            trial=PHOTO_TRIAL,
        ),
    )
}


def benchmark(name: str) -> Benchmark:
    """A benchmark by name; raises UserError naming those that exist."""
    if name not in BENCHMARKS:
        raise UserError(f"no benchmark is called {name!r}; there are: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


@cache
def builtin_clip() -> ClipId:
    """The tiny CLIP that ships with the built-in world, by the sha256 on its card."""
    card = json.loads((SHAPES_CLIP / "weights.json").read_text())
    return ClipId(model="tiny-shapes", pretrained=BUILTIN, sha256=card["sha256"])


@dataclass(frozen=True)
class Data:
    """Where a user's data lies and how much of it may be missing."""

    root: str | None = None  # one folder or several joined by os.pathsep; None: the environment decides
    subset: bool = False

    def open(self, bench: Benchmark, part: str) -> Reader:
        """A reader of one part; raises DataError where the data is not what it should be."""
        return open_reader(bench.split, part, data_root=self.root, subset=self.subset)


def source(bench: Benchmark, part: str, data: Data) -> DataSource:
    """A part by content. Only a partial set has to be looked at; a whole one is known by its list."""
    split = bench.split
    listed = {"train": split.train_sha256, "val": split.val_sha256}.get(part)
    if listed and not data.subset:
        return DataSource(dataset=split.dataset, ids_sha256=listed, mask_rule=MASK_RULES[split.dataset])
    reader = data.open(bench, part)
    return DataSource(
        dataset=split.dataset,
        ids_sha256=listed if listed and not reader.partial else reader.content_sha256(),
        partial=reader.partial,
        mask_rule=reader.mask_rule,
    )


def train_side(
    bench: Benchmark, fold: int, data: DataSource, setting: Setting = "inductive", asked_with: str | None = None
) -> TrainSide:
    """The training side of a benchmark's protocol; `asked_with` names other templates than the benchmark's own."""
    seen, queries = bench.split.fold(fold).seen, _queries(bench, asked_with)
    return TrainSide(classes=bench.split.classes, seen=seen, queries=queries, data=data, setting=setting)


def eval_side(
    bench: Benchmark, fold: int, data: DataSource, inference: Inference, asked_with: str | None = None
) -> EvalSide:
    """The evaluation side of a benchmark's protocol; `asked_with` as in `train_side`."""
    seen, queries = bench.split.fold(fold).seen, _queries(bench, asked_with)
    return EvalSide(classes=bench.split.classes, seen=seen, queries=queries, data=data, inference=inference)


def _queries(bench: Benchmark, asked_with: str | None) -> Queries:
    return Queries(texts=bench.split.classes, templates=templates(asked_with or bench.templates))
