"""What weights have seen of what they are scored on: labels of unseen classes, scored photos. As far as is known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from benchmarks.catalogue import Data, benchmark
from benchmarks.overlap import Known, labelled, pseudo_labelled, words_of
from benchmarks.protocol import DataSource
from benchmarks.spec import EvalSpec, TrainSpec
from results.store.record import UNSURE
from splits.errors import UserError

UNKNOWN, NONE = "unknown", "none"
MOST_NAMED = 8
# Data sets by the collection that their photos are of; a photo has one name there. PASCAL-Context annotates VOC's.
COLLECTIONS: Final = {"voc2012": "pascal", "context": "pascal", "coco": "coco", "cocostuff": "coco"} | {
    "cocoobject": "coco",
    "context-full": "pascal",
    "ade20k": "ade20k",
    "ade20k-full": "ade20k",
}
# What the photos of a collection are called, also in a custom data set. COCO's have a prefix in 2014 only.
NAMED: Final = {
    "pascal": re.compile(r"(?:^|/)(\d{4}_\d{6})$"),
    "coco": re.compile(r"(?:^|/)(?:COCO_(?:train|val)2014_)?(\d{12})$"),
}


def contamination(train: TrainSpec, origin: TrainSpec | None, evaluation: EvalSpec, data: Data | None = None) -> str:
    """Empty for weights scored where they were trained here; "unknown" without a card; "none", or what overlaps.

    data: where lists of images that do not ship are looked for.
    """
    if not train.weights and not evaluation.transferred:
        return ""
    known = origin if train.weights else train
    if known is None or known.weights:
        return UNKNOWN
    found = _classes(known, evaluation) + _images(known, evaluation, data or Data())
    if known.side.setting not in ("inductive", train.side.setting):
        found.append(f"trained in the setting {known.side.setting}")
    return "; ".join(found) or NONE


def _classes(origin: TrainSpec, evaluation: EvalSpec) -> list[str]:
    """Unseen classes whose name, or whose words, were labelled in the training."""
    side, words = evaluation.side, words_of(evaluation.side)
    unseen = {name: words[name] for name in side.unseen}
    found = []
    if both := labelled(origin.side, unseen):
        found.append(f"labelled in its training: {_listed(both)}")
    if evaluation.transferred and (named := pseudo_labelled(origin.side, unseen)):
        found.append(f"pseudo-labelled in its training: {_listed(named)}")
    return found


def _listed(known: Known) -> str:
    """Classes with the names that the training had for them, where those are other ones."""
    named = [name if name in mine else f"{name} ({', '.join(mine)})" for name, mine in known.items()]
    return f"{', '.join(named[:MOST_NAMED])}{', ...' if len(named) > MOST_NAMED else ''}"


def _images(origin: TrainSpec, evaluation: EvalSpec, data: Data) -> list[str]:
    """Scored images that were trained on; said so where the lists are not known."""
    parts = (
        _Part(origin.benchmark, "train", origin.side.data),
        _Part(evaluation.benchmark, evaluation.part, evaluation.side.data),
    )
    shipped = [part.shipped() for part in parts]
    collections = [part.collections(photos) for part, photos in zip(parts, shipped, strict=True)]
    if not collections[0] & collections[1]:
        return []
    if parts[0].source.ids_sha256 == parts[1].source.ids_sha256:
        return ["trained on the very images that are scored"]
    if None in shipped and (found := _officially(*parts)) is not None:
        return found
    trained, scored = (p.found(data) if s is None else s for p, s in zip(parts, shipped, strict=True))
    if trained is None or scored is None:
        return [UNSURE]
    both = sorted(trained & scored)
    return [f"{len(both)} scored images were trained on, first {both[0][1]}"] if both else []


Photo = tuple[str, str]  # its collection, its name there


def photo(dataset: str, id_: str) -> Photo:
    """A photo by its collection and its name there: an id of a custom data set may be one of VOC's or COCO's.

    >>> photo("coco", "COCO_val2014_000000000042"), photo("own/farm", "2008_000001"), photo("own/farm", "cow1")
    (('coco', '000000000042'), ('pascal', '2008_000001'), ('own/farm', 'cow1'))
    """
    for collection, pattern in NAMED.items():
        of_it = dataset.startswith("own/") or COLLECTIONS.get(dataset) == collection
        if of_it and (match := pattern.search(id_)):
            return collection, match[1]
    return COLLECTIONS.get(dataset, dataset), id_


@dataclass(frozen=True)
class _Part:
    """A part of a benchmark as it was used."""

    benchmark: str
    part: str
    source: DataSource

    def shipped(self) -> set[Photo] | None:
        """The photos of its list; None where that does not ship."""
        try:
            return self._named(benchmark(self.benchmark).split.listed(self.part))
        except UserError:  # a custom data set that is not at hand
            return None

    def found(self, data: Data) -> set[Photo] | None:
        """The photos as they lie here; None where they do not, or where there are too few to know."""
        try:
            bench = benchmark(self.benchmark)
            year = self.source.year if bench.split.years else ""
            reader = Data(root=data.root, subset=True, year=year).open(bench, self.part)
        except UserError:
            return None
        return None if reader.partial and not self.source.partial else self._named(reader.ids)

    def collections(self, photos: set[Photo] | None) -> set[str]:
        """Of which collections its photos are."""
        if photos is None:
            return {COLLECTIONS.get(self.source.dataset, self.source.dataset)}
        return {collection for collection, _ in photos}

    def _named(self, ids: Iterable[str] | None) -> set[Photo] | None:
        return None if ids is None else {photo(self.source.dataset, id_) for id_ in ids}


def _officially(trained: _Part, scored: _Part) -> list[str] | None:
    """What the sets' makers say of their parts; None where that does not settle it."""
    split = benchmark(scored.benchmark).split
    from_train = split.tuning and trained.benchmark != scored.benchmark
    sources = (trained.source, scored.source)
    if {COLLECTIONS.get(source.dataset) for source in sources} == {"coco"}:
        # 2017 is 2014 dealt out anew (cocodataset.org): val2017 is 5,000 images of val2014, all the rest is train2017
        if trained.source.year == "2017" and scored.source.year == "2014":
            return ["trained on COCO's train2017, which holds all but 5,000 of the images of 2014"]
        return ["scored images were trained on: they are of COCO's train part"] if from_train else []
    same = trained.source.dataset == scored.source.dataset and trained.source.year == scored.source.year
    return [] if same and not from_train else None
