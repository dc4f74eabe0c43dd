"""A custom data set: one TOML says where pictures, masks and lists lie and what mask values mean. No torch.

    name = "farm"
    images = "photos"                  # a folder, or a pattern: "photos/{id}.jpg"
    masks = "masks"                    # index PNGs, of the same ids
    train = "train.txt"                # an id a line: a photo's path below `images` without its ending
    val = "val.txt"
    classes = ["cow", "sheep", "dog"]  # in the order of tables
    unseen = ["dog"]                   # or a list for each fold: [["dog"], ["cow"]]; leave out where no class is unseen
    background = 0                     # mask values of no class; leave out where there are none
    ignore = 255                       # mask values that count nowhere
    ids = { cow = 1, sheep = [2, 3], dog = 4 }

Paths are relative to the TOML. `ids` may be left out: classes then count from 0 on, passing over background and
ignored values. Masks with values above 255 are of 16 bits. Further keys: `templates` (a name of
`benchmarks.templates`), `short_side`, `window`, `stride`; `words`, what CLIP is asked with for a class, and `softmax`,
where probabilities say the first class, background:

    words = { background = ["sky", "grass"], cow = ["cow", "calf"] }
    softmax = { scale = 40.0, threshold = 0.1 }

`train` may be left out with `unseen`: methods that train nothing are scored on val alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from benchmarks import toml
from benchmarks.catalogue import BENCHMARKS, PHOTO, PHOTO_TRIAL, Benchmark
from benchmarks.data import datasets
from benchmarks.data.folders import FolderReader, Part
from benchmarks.data.listing import ID, MASKS, PICTURES, Place, no_id, read_ids
from benchmarks.data.mapped import MappedReader
from benchmarks.labels import MOST_CLASSES
from benchmarks.prompts import asked, check_names
from benchmarks.protocol import BACKGROUND, Inference, Softmax
from benchmarks.templates import templates
from benchmarks.values import Value, digest
from splits import loader
from splits.errors import DataError, UserError
from splits.loader import LARGEST, Fold, Split, ids_sha256
from splits.near import suggestion
from splits.text import in_one_form

DEFAULT_TEMPLATES: Final = "single"
PATHS: Final = ("images", "masks", "train", "val")  # fields that name files
FOLDER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class CustomDataSet(Value):
    """The TOML's content with its lists read and its paths made whole."""

    name: str
    images: str  # a folder, or a pattern with {id}
    masks: str
    train: tuple[str, ...] = ()
    val: tuple[str, ...]
    classes: tuple[str, ...] = Field(min_length=2)
    unseen: tuple[tuple[str, ...], ...] = Field(default=((),), min_length=1)  # by fold
    background: tuple[int, ...] = ()
    ignore: tuple[int, ...] = (255,)
    ignore_named: bool = True  # False: nobody wrote `ignore`, and the value is its default
    ids: dict[str, tuple[int, ...]]
    templates: str = DEFAULT_TEMPLATES
    short_side: int = Field(default=PHOTO.short_side, ge=1)
    window: int | None = Field(default=PHOTO.window, ge=1)
    stride: int | None = Field(default=PHOTO.stride, ge=1)
    words: dict[str, tuple[str, ...]] = {}  # of classes that are not asked by their name
    softmax: Softmax | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not FOLDER_NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: expected letters, digits and . _ - (it names a folder)")
        if twice := [name for name, count in Counter(self.classes).items() if count > 1]:
            raise ValueError(f"`classes` must differ from one another; {twice[0]!r} stands there twice")
        if wrong := [*(name for name in self.ids if name not in self.classes)]:
            raise ValueError(f"`ids` for {wrong[0]!r}, which is no class; {suggestion(wrong[0], self.classes)}")
        if wrong := [name for name in self.classes if name not in self.ids]:
            raise ValueError(f"`ids` without {wrong[0]!r}; name each class there, or leave `ids` out")
        for fold in self.unseen if self.unseen != ((),) else ():
            if wrong := [name for name in fold if name not in self.classes]:
                raise ValueError(f"unseen {wrong[0]!r} is no class; {suggestion(wrong[0], self.classes)}")
            if not fold or set(fold) == set(self.classes):
                raise ValueError(f"unseen {list(fold)}: expected some of the classes, not none and not all")
        if self.unseen != ((),) and not self.train:
            raise ValueError("`unseen` says what a training does not see: give `train`, or leave both out")
        if unknown := sorted(self.words.keys() - {*self.classes}):
            raise ValueError(f"`words` for {unknown[0]!r}, which is no class; {suggestion(unknown[0], self.classes)}")
        if not all(words and len(set(words)) == len(words) for words in self.words.values()):
            raise ValueError("`words` must give each class that it names different words, at least one")
        if shared := [word for word, count in Counter(asked(self.classes, self.words)).items() if count > 1]:
            raise ValueError(f"`words`: two classes are asked by {shared[0]!r}, and what it finds could be either")
        if self.softmax and (self.classes[0] != BACKGROUND or self.unseen != ((),)):
            raise ValueError(f"`softmax` needs {BACKGROUND!r} as the first class, and no `unseen`")
        values = [*self.background, *self.ignore, *(v for group in self.ids.values() for v in group)]
        if len(set(values)) != len(values) or not all(0 <= v <= LARGEST for v in values):
            raise ValueError(f"mask values must be within 0..{LARGEST} and mean one thing each, got {sorted(values)}")
        if not all(self.ids.values()):
            raise ValueError("`ids` must give each class a mask value")
        templates(self.templates)
        for part, listed in (("train", self.train), ("val", self.val)):
            if not listed and part == "val":
                raise ValueError(f"{part}: expected a list of image ids, at least one")
            if twice := [id_ for id_, count in Counter(listed).items() if count > 1]:
                raise ValueError(f"{part}: {twice[0]!r} is listed twice; expected different image ids, an id a line")
            for id_ in listed:
                _check_id(id_)
        return self

    @property
    def dataset(self) -> str:
        """What a protocol calls the data."""
        return f"own/{self.name}"

    @property
    def meaning(self) -> dict[int, int]:
        """Value in a file to the first value of what it means."""
        groups = (self.background, self.ignore, *self.ids.values())
        return {value: group[0] for group in groups for value in group}

    @property
    def split(self) -> Split:
        """Classes, folds and lists as those of a shipped benchmark."""
        folds = [
            Fold(
                index,
                self.classes,
                seen=tuple(c for c in self.classes if c not in hidden),
                unseen=tuple(c for c in self.classes if c in hidden),
            )
            for index, hidden in enumerate(self.unseen)
        ]
        return Split(
            name=self.name,
            dataset=self.dataset,
            classes=self.classes,
            ids=tuple(self.ids[c][0] for c in self.classes),
            background_id=next(iter(self.background), None),
            ignore_id=next(iter(self.ignore), None),
            folds=tuple(folds),
            train_list=None,
            val_list=None,
            train_sha256=ids_sha256(self.train) if self.train else None,
            val_sha256=ids_sha256(self.val),
            note="A data set of the user's own: nothing is published on it.",
            custom_lists={"train": self.train, "val": self.val} if self.train else {"val": self.val},
            has_train=bool(self.train),
        )

    def open(self, split: Split, part: str, roots: Sequence[Path], *, subset: bool, year: str) -> FolderReader:
        """The reader of a part; raises DataError where files are missing."""
        listed = split.listed(part)
        if listed is None:
            raise DataError(f"{self.name} has no part {part!r}; it has: {', '.join(split.parts)}")
        photos, masks = Place(self.images, PICTURES), Place(self.masks, MASKS)
        files = Part(
            name=f"{self.name} {part}",
            listed=listed,
            count=len(listed),
            images=photos.find(listed),
            masks=masks.find(listed),
            where=lambda id_: (photos.expected(id_), masks.expected(id_)),
            root=Path(self.images.partition(ID)[0]),
            source="as its TOML says",
            places=(photos, masks),
        )
        _check_lines(files, self.images)
        return CustomReader(files, self, split, subset=subset)


class CustomReader(MappedReader):
    """Reads masks whose values may stand for the same class in groups."""

    undecided = "refuse"  # nobody knows how the photos were seen when they were labelled

    def __init__(self, part: Part, data: CustomDataSet, split: Split, *, subset: bool) -> None:
        super().__init__(part, split, data.meaning, mask_rule(data), subset=subset)
        self.data = data

    def remarks(self, pixels: NDArray[np.int64], *, whole: bool) -> tuple[list[str], list[str]]:
        """Values that are ignored only because nobody named them, and classes without a pixel."""
        ignored = [value for value in self.data.ignore if value < len(pixels) and pixels[value]]
        lacking = [name for name, values in self.data.ids.items() if whole and not pixels[list(values)].any()]
        none = f"no image of {', '.join(lacking[:8])}{f' and {len(lacking) - 8} more' if len(lacking) > 8 else ''}"
        if not ignored:
            return [], [none] if lacking else []
        shares = ", ".join(f"{value} ({pixels[value] / pixels.sum():.1%} of the pixels)" for value in ignored)
        if not self.data.ignore_named:
            advice = f"give `ignore = {ignored[0]}`, or the class that it is"
            words = f"mask value {shares} is ignored as nobody named it: {advice}"
            return [f"{none}, and {words}" if lacking else words], []
        return [f"{none}, while {shares} is ignored: is it one of them?"] if lacking else [], []


def mask_rule(data: CustomDataSet) -> str:
    """How the masks are read, by content: it is part of the protocol."""
    meaning = {"ids": data.ids, "background": data.background, "ignore": data.ignore}
    return f"own masks, values {digest(meaning)[:12]}"


def register(data: CustomDataSet) -> None:
    """Make a data set known by its name, as if it were shipped; raises UserError where a shipped one has its name."""
    sizes = {"short_side": data.short_side, "window": data.window, "stride": data.stride}
    inference = Inference.parse(sizes, source=f"the data set {data.name}")
    loader.register(data.split)
    datasets.register(data.dataset, data.open, mask_rule(data))
    BENCHMARKS[data.name] = Benchmark(
        name=data.name,
        templates=data.templates,
        inference=inference,
        trial=PHOTO_TRIAL,
        custom=True,
        words=data.words,
        softmax=data.softmax,
    )


def read_toml(path: Path) -> CustomDataSet:
    """The data set that a TOML describes; raises UserError, one line, for what cannot be."""
    content = toml.read_toml(path)
    needed = ("name", "images", "masks", "val", "classes")
    if missing := [key for key in needed if key not in content]:
        fields = [*CustomDataSet.model_fields]
        strange = [f"{key}: there is no such field; {suggestion(key, fields)}" for key in content if key not in fields]
        raise UserError("; ".join([f"{path}: lacks {', '.join(missing)}", *strange, f"expected {', '.join(needed)}"]))
    texts = ("name", *PATHS)
    if wrong := [key for key in texts if key in content and not isinstance(content[key], str)]:
        raise UserError(f"{path}: {', '.join(wrong)}: expected text in quotes")
    folder = path.resolve().parent
    paths = {key: content.pop(key) for key in PATHS if key in content}  # as they are: files are found in either form
    try:
        content = in_one_form(content) | paths
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    content["images"], content["masks"] = (str(folder / content[key]) for key in ("images", "masks"))
    content |= {key: read_ids(folder / content[key]) for key in ("train", "val") if key in content}
    if content.get("train") == ():
        raise UserError(f"{path}: train: expected a list of image ids, at least one; or leave it out with `unseen`")
    return CustomDataSet.parse(_in_full(content, path), source=str(path))


def _in_full(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Short forms written out: one value for a list of one, one fold for a list of folds, ids that were left out."""
    if not isinstance(content["classes"], list) or not all(isinstance(name, str) for name in content["classes"]):
        raise UserError(f"{path}: classes: expected a list of names")
    if len(content["classes"]) > MOST_CLASSES and "train" in content:
        count = len(content["classes"])
        raise UserError(
            f"{path}: {count} classes; at most {MOST_CLASSES} fit into labels of one byte, which trainings have; "
            "leave train and unseen out to score what is not trained on it"
        )
    if isinstance(content.get("words"), dict):
        content["words"] = {name: _listed(of) for name, of in content["words"].items()}
    if isinstance(name := content.get("templates", DEFAULT_TEMPLATES), str):
        check_names(asked(content["classes"], _own_words(content)), templates(name), str(path))
    content["ignore_named"] = "ignore" in content
    for key in ("background", "ignore"):
        if key in content:
            content[key] = _listed(content[key])
    unseen = content.get("unseen")
    if isinstance(unseen, list) and all(isinstance(name, str) for name in unseen):
        content["unseen"] = [unseen]
    if "ids" not in content:
        taken = [*content.get("background", ()), *content.get("ignore", (255,))]
        free = [value for value in range(LARGEST + 1) if value not in taken]
        content["ids"] = dict(zip(content["classes"], ([value] for value in free), strict=False))
    elif isinstance(content["ids"], dict):
        content["ids"] = {name: _listed(values) for name, values in content["ids"].items()}
    return content


def _own_words(content: dict[str, Any]) -> dict[str, list[str]]:
    """Words of classes, where they are words at all: what else is there is left to the fields' own check."""
    words = content["words"] if isinstance(content.get("words"), dict) else {}
    return {name: of for name, of in words.items() if of and all(isinstance(word, str) for word in of)}


def _check_lines(files: Part, images: str) -> None:
    """Raises DataError for a line of a list that names no photo but holds an id among other things."""
    photos = files.places[0]
    lacking = [id_ for id_ in files.listed if id_ not in files.images]
    if lacking and (wrong := [line for line in lacking if no_id(line, photos.stems())]):
        raise DataError(
            f"{files.name}: {wrong[0]!r} in its list names no photo and is more than an image id; expected one id a "
            f"line and nothing else: the photo's path below {images} without its ending"
        )


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _check_id(id_: str) -> None:
    path = PurePosixPath(id_)
    if not id_ or path.is_absolute() or ".." in path.parts or re.search(r"[\\\0:*?]", id_):
        raise ValueError(f"image id {id_!r} is no name of a file below a folder")
