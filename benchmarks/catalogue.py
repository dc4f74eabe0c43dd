"""The benchmarks by name: sizes, templates and what a run of each is made of. No torch here.

Adding a data set: one reader (`benchmarks/data`), one facts file (`splits/facts`), one line here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from benchmarks import open_vocabulary
from benchmarks.choices import Names, Scale
from benchmarks.protocol import UNTRAINED, DataSource, EvalSide, Inference, Queries, Softmax, TrainSide
from benchmarks.spec import ClipId
from benchmarks.templates import templates
from methods.method_entry import RecipeKind
from splits.errors import DataError, UserError
from splits.loader import Split, ids_sha256, load_split
from splits.near import suggestion
from splits.settings import Setting

if TYPE_CHECKING:
    from benchmarks.data.reader import Reader

SHAPES_CLIP = Path(__file__).parent / "shapes" / "clip"
BUILTIN = "builtin"


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark is besides its split."""

    name: str
    templates: str  # the name of the prompt templates, see benchmarks.templates
    inference: Inference  # at the scale of the papers
    trial: Inference | None = None  # at a scale that the built-in CLIP can see; for photos only
    parts: tuple[str, ...] = ("val",)
    photos: bool = True
    recipes: RecipeKind = "voc"  # which of a method's recipes it is trained by, at the scale of the papers
    custom: bool = False  # described by a TOML: no paper trained on it
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)  # of classes asked by other words
    softmax: Softmax | None = None  # what says background, where that is a class asked for by words
    protocol: str = ""  # the named protocol (`benchmarks.open_vocabulary`) that it is asked and scored by unless told

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


PHOTO = Inference(short_side=512, window=512, stride=426)
OPEN: dict[str, RecipeKind] = {
    "voc21": "voc21",
    "pc60": "context60",
    "coco-object": "coco-object",
    "voc20": "voc20",
    "pc59": "context59",
    "coco-stuff": "coco-stuff-171",
    "ade150": "ade20k",
    "cityscapes": "cityscapes",
    "ade847": "ade20k",
    "pc459": "context59",
}
# the built-in CLIP saw 96-pixel pictures; larger grids ruin its interpolated positions
PHOTO_TRIAL = Inference(short_side=96, window=96, stride=80)
LISTED_BY = "`list benchmarks` names all"
# class names in words that people use, where a data set writes them otherwise; ours
RENAMED = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "tvmonitor": "tv monitor",
}


def _open(name: str, recipes: RecipeKind) -> Benchmark:
    usual = open_vocabulary.named(open_vocabulary.COMMON)
    return Benchmark(
        name=name,
        templates=open_vocabulary.TEMPLATES,
        inference=usual.inference(name),
        trial=PHOTO_TRIAL,
        recipes=recipes,
        protocol=usual.name,
    )


def _photos(name: str, templates: str, recipes: RecipeKind) -> Benchmark:
    return Benchmark(name=name, templates=templates, inference=PHOTO, trial=PHOTO_TRIAL, recipes=recipes)


BENCHMARKS: dict[str, Benchmark] = {
    b.name: b
    for b in (
        Benchmark(
            name="shapes-5i",
            templates="shapes",
            inference=Inference(short_side=64),
            parts=("val", "tune"),
            photos=False,
            recipes="shapes",
        ),
        *(_photos(name, "single", "voc") for name in ("pascal-5i", "voc-15-5", "pascal-5i-tune")),
        *(_photos(name, "multi", "coco-20i") for name in ("coco-20i", "coco-20i-contiguous", "coco-20i-tune")),
        _photos("coco-stuff-156-15", "multi", "coco-stuff"),
        *(_photos(name, "multi", "context") for name in ("context-49-10", "context-50-10")),
        *(_open(name, recipes) for name, recipes in OPEN.items()),
    )
}


def benchmark(name: str) -> Benchmark:
    """A benchmark by name; raises UserError naming those that exist."""
    if name not in BENCHMARKS:
        own = (
            f"; your own data set is named by its TOML: {name}.toml"
            if "/" in name or Path(f"{name}.toml").is_file()
            else ""
        )
        raise UserError(f"no benchmark is called {name!r}; {suggestion(name, BENCHMARKS, listed_by=LISTED_BY)}{own}")
    return BENCHMARKS[name]


@cache
def builtin_clip() -> ClipId:
    """The tiny CLIP that ships with the built-in world, by the sha256 on its card."""
    card = json.loads((SHAPES_CLIP / "weights.json").read_text())
    return ClipId(model="tiny-shapes", pretrained=BUILTIN, sha256=card["sha256"])


@dataclass(frozen=True)
class Data:
    """Where a user's data lies, which edition, and how much of it may be missing."""

    root: str | None = None  # one folder or several joined by os.pathsep; None: the environment decides
    subset: bool = False
    year: str = ""  # of data sets that have several editions; empty: each benchmark's own

    def year_of(self, split: Split) -> str:
        """The edition for a benchmark; "" where there is one only. Raises UserError for one that it has not."""
        return split.year(self.year) if split.years else ""

    def open(self, bench: Benchmark, part: str) -> Reader:
        """A reader of one part; raises DataError where the data is not what it should be."""
        from benchmarks.data.datasets import open_reader  # brings Pillow, which tables need not load

        return open_reader(bench.split, part, data_root=self.root, subset=self.subset, year=self.year_of(bench.split))


def source(bench: Benchmark, part: str, data: Data, *, read: bool = True) -> DataSource:
    """A part by content. A whole set whose list ships is known without looking at it.

    read: False for a part of which no image will be read: one that is not there is named by the list that ships, or
    without an ids' hash where none does.
    """
    from benchmarks.data.datasets import MASK_RULES

    split = bench.split
    if part == "train" and not split.has_train:
        return DataSource(dataset=split.dataset, ids_sha256=ids_sha256(()), mask_rule=UNTRAINED)
    listed = {"train": split.train_sha256, "val": split.val_sha256}.get(part)
    by_list = DataSource(
        dataset=split.dataset,
        year=data.year_of(split),
        ids_sha256=listed or "",
        mask_rule=MASK_RULES[split.dataset],
    )
    if listed and not data.subset:
        return by_list
    try:
        reader = data.open(bench, part)
    except DataError:
        if read:
            raise
        return by_list
    return DataSource(
        dataset=split.dataset,
        year=reader.year,
        ids_sha256=listed if listed and not reader.partial else reader.content_sha256(),
        partial=reader.partial,
        mask_rule=reader.mask_rule,
    )


def train_side(
    bench: Benchmark,
    fold: int,
    data: DataSource,
    setting: Setting = "inductive",
    template_set: str | None = None,
    *,
    names: Names = "dataset",
    choices: Mapping[str, Any] = MappingProxyType({}),
    protocol: str = "",
) -> TrainSide:
    """The training side of a benchmark's protocol.

    template_set: other templates than the benchmark's, by name. choices: further fields, not to be at their default.
    """
    chosen, queries = bench.split.fold(fold), _queries(bench, fold, template_set, names, protocol)
    side = TrainSide(classes=chosen.classes, seen=chosen.seen, queries=queries, data=data, setting=setting)
    return TrainSide.parse(side.model_dump(mode="json") | dict(choices), source="the training side")


def eval_side(
    bench: Benchmark,
    fold: int,
    data: DataSource,
    inference: Inference,
    template_set: str | None = None,
    *,
    names: Names = "dataset",
    protocol: str = "",
) -> EvalSide:
    """The evaluation side of a benchmark's protocol; `template_set` as in `train_side`.

    protocol: a named one, whose words and thresholds are taken; sizes are `inference`. Empty: the benchmark's own.
    """
    chosen, queries = bench.split.fold(fold), _queries(bench, fold, template_set, names, protocol)
    usual = protocol or bench.protocol
    words = open_vocabulary.named(usual).names(bench.name) if usual else None
    further = tuple(of[1:] for of in words or (bench.words.get(name, (name,)) for name in chosen.classes))
    if any(further):
        queries = queries.model_copy(update={"synonyms": further})
    softmax = open_vocabulary.named(usual).softmax(bench.name) if usual else None
    return EvalSide(
        classes=chosen.classes,
        seen=chosen.seen,
        queries=queries,
        data=data,
        inference=inference,
        softmax=softmax or bench.softmax,
    )


def _queries(bench: Benchmark, fold: int, template_set: str | None, names: Names, protocol: str = "") -> Queries:
    """The first word of each class, and the sentences."""
    if usual := protocol or bench.protocol:
        template_set = template_set or open_vocabulary.TEMPLATES
        if words := open_vocabulary.named(usual).names(bench.name):
            if names != "dataset":
                raise UserError(f"{bench.name} is asked with the words of --protocol {usual}; leave --class-names out")
            return Queries(texts=tuple(of[0] for of in words), templates=templates(template_set))
    if names != "dataset" and bench.words:
        raise UserError(f"{bench.name} says itself by which words it is asked; leave --class-names out")
    if names == "renamed" and not set(bench.split.classes) & set(RENAMED):
        raise UserError(f"{bench.name} has no renamed classes; leave --class-names out")
    first = RENAMED if names == "renamed" else {name: of[0] for name, of in bench.words.items()}
    texts = tuple(first.get(name, name) for name in bench.split.fold(fold).classes)
    return Queries(texts=texts, templates=templates(template_set or bench.templates))
