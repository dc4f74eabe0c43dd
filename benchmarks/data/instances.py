"""COCO's instance annotations as index masks: drawn once by one rule, kept as PNGs beside an index of the images.

Overlapping objects cannot all be kept in one index mask, so the rule that draws them is part of the protocol (RULE).
Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; decoding is pycocotools'.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, NotRequired

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from benchmarks.data.cache import cache_folder, only_one
from benchmarks.data.parallel import mapped
from benchmarks.data.reader import Watch
from benchmarks.values import explain
from splits.errors import DataError
from splits.hashing import file_sha256
from splits.loader import read_facts

RULE: Final = "instances in file order, later over earlier, all polygons, crowds skipped"
VERSION: Final = 1  # raised whenever the same rule comes to draw other masks
ID: Final = "{:012d}"  # an image id as COCO's file names have it; the same in every edition

SEAL: Final = "sha256"  # of a drawn mask's pixels and its image's id, a text of the PNG
FARTHEST: Final = 2**16  # pixels outside of which no corner of a polygon lies; drawing takes memory by its length


class CocoImage(TypedDict):
    """An image of an instances file."""

    id: Annotated[int, Field(ge=0, lt=10**12)]
    file_name: Annotated[str, Field(pattern=r"^[^/\\\x00]+$")]  # a name, not a way out of the folder
    height: Annotated[int, Field(ge=1, le=2**14)]
    width: Annotated[int, Field(ge=1, le=2**14)]


class Annotation(TypedDict):
    """An object of an image."""

    id: NotRequired[int]
    image_id: int
    category_id: int
    segmentation: Any  # checked where it is drawn
    iscrowd: NotRequired[int]


class Category(TypedDict):
    """A class of COCO's."""

    id: int
    name: str


class File(TypedDict):
    """What of an instances file is used."""

    images: list[CocoImage]
    annotations: list[Annotation]
    categories: list[Category]


_FILE: Final = TypeAdapter(File)


@dataclass(frozen=True)
class Picture:
    """One entry of an instances file."""

    id: str
    file: str
    height: int
    width: int
    annotated: bool  # has it any object, crowds included?


@dataclass(frozen=True)
class Prepared:
    """What was made of one instances file."""

    source: Path
    folder: Path
    truth_sha256: str  # of the instances file, with the version of what draws it
    pictures: tuple[Picture, ...]  # by id

    @property
    def masks(self) -> Path:
        """The folder of drawn masks; there whole or not at all."""
        return self.folder / "masks"

    def draw(self, watch: Watch = lambda done, total: None, jobs: int = 1) -> None:
        """Draw all masks, unless they are there. Of several processes one draws and the others wait."""
        if self.masks.is_dir():
            return
        with only_one(self.masks):
            if self.masks.is_dir():
                return
            temporary = Path(tempfile.mkdtemp(dir=self.folder, prefix=".masks-"))
            try:
                _draw_all(_tasks(self), temporary, watch, jobs)
                os.replace(temporary, self.masks)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)


@cache
def prepared(source: Path) -> Prepared:
    """The index of an instances file, made at first use and found again by the file's content.

    Raises DataError where the file is missing, is no instances file, or lacks one of the 80 categories.
    """
    try:
        content = file_sha256(source)
    except OSError as error:
        raise DataError(f"{source} cannot be read ({error.strerror})") from None
    folder = cache_folder() / "coco" / f"{content[:16]}-{VERSION}-checked"
    index = folder / "index.json"
    if (pictures := _read_index(index)) is None:
        with only_one(folder):
            if (pictures := _read_index(index)) is None:
                _write_index(index, _read(source))
                pictures = _read_index(index)
    assert pictures is not None, "it was just written"
    _check_ids(source, pictures)
    return Prepared(source, folder, f"{content[:16]}-{VERSION}", pictures)


def draw(annotations: Sequence[Annotation], height: int, width: int) -> NDArray[np.uint8]:
    """`(height, width)` index mask of one image: 0 background, 1..80 the classes in COCO's order, by RULE.

    Raises DataError for a category that is none of the 80, or a segmentation that cannot be decoded.
    """
    class_of = _class_of()
    mask = np.zeros((height, width), dtype=np.uint8)
    for annotation in annotations:
        if annotation.get("iscrowd"):
            continue
        if annotation["category_id"] not in class_of:
            raise DataError(
                f"annotation {annotation.get('id')} is of category {annotation['category_id']}, expected one of "
                "COCO's 80; is this another data set's file?"
            )
        try:
            mask[_decoded(annotation["segmentation"], height, width) > 0] = class_of[annotation["category_id"]]
        except Exception as error:  # pycocotools raises bare ones
            raise DataError(f"annotation {annotation.get('id')} cannot be drawn ({error})") from None
    return mask


def _decoded(shape: Any, height: int, width: int) -> NDArray[np.uint8]:
    """`(height, width)` of 0 and 1. pycocotools trusts what it is given, its C code with memory: so it is looked at."""
    from pycocotools import mask as rle

    if isinstance(shape, dict):
        counts = shape["counts"]
        if list(shape["size"]) != [height, width]:
            raise ValueError(f"runs of size {shape['size']} in an image of {[height, width]}")
        if isinstance(counts, str | bytes):
            return rle.decode(shape)
        if not all(type(run) is int and 0 <= run <= height * width for run in counts):
            raise ValueError("runs must be counts of pixels")
        return rle.decode(rle.frPyObjects(shape, height, width))
    if not isinstance(shape, list) or not shape:
        what = "empty" if shape == [] else repr(shape)
        raise ValueError(f"its segmentation is {what}, expected polygons or runs")
    for polygon in shape:
        corners = np.asarray(polygon, dtype=np.float64)
        if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2 or not (abs(corners) <= FARTHEST).all():
            raise ValueError("a polygon is x, y of at least three corners near the image")
    return rle.decode(rle.merge(rle.frPyObjects(shape, height, width)))


@cache
def _class_of() -> dict[int, int]:
    """Category id (1..90, with gaps) to class (1..80)."""
    facts = read_facts("coco_20i")
    return {id_: facts["class_ids_1based"][name] for name, id_ in facts["coco_category_ids"].items()}


def _read(source: Path) -> File:
    try:
        data = json.loads(source.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{source} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{source} cannot be read ({error}); the file is broken: copy it again") from None
    try:
        data = _FILE.validate_python(data, strict=True)
    except ValidationError as error:
        raise DataError(
            f"{source} is no instances file as COCO has them ({explain(error, shown=2)}); use the official file as "
            "downloaded"
        ) from None
    there = {(category["id"], category["name"]) for category in data["categories"]}
    wanted = [(id_, name) for name, id_ in read_facts("coco_20i")["coco_category_ids"].items()]
    if lacking := [f"{name} ({id_})" for id_, name in wanted if (id_, name) not in there]:
        raise DataError(
            f"{source}: {len(lacking)} of COCO's 80 categories are missing: {', '.join(lacking[:5])}"
            f"{', ...' if len(lacking) > 5 else ''}; use the official file as downloaded"
        )
    return data


def _read_index(index: Path) -> tuple[Picture, ...] | None:
    """What was written; None where it is missing or not as it was written: then it is made again."""
    try:
        rows, digest = json.loads(index.read_text())
        if digest != hashlib.sha256(json.dumps(rows).encode()).hexdigest():
            return None
        return tuple(Picture(*row) for row in rows)
    except (OSError, ValueError, TypeError):
        return None


def _check_ids(source: Path, pictures: Sequence[Picture]) -> None:
    """Raises DataError where an id is given to two pictures, as where two exports were merged."""
    first: dict[str, str] = {}
    for picture in pictures:
        if (other := first.setdefault(picture.id, picture.file)) != picture.file:
            raise DataError(
                f"{source}: the image id {int(picture.id)} is given to {other} and to {picture.file}, so that their "
                "objects would be mixed; expected an id for each picture"
            )


def _write_index(index: Path, data: File) -> None:
    annotated = {annotation["image_id"] for annotation in data["annotations"]}
    rows = sorted(
        (ID.format(i["id"]), i["file_name"], i["height"], i["width"], i["id"] in annotated) for i in data["images"]
    )
    index.parent.mkdir(parents=True, exist_ok=True)
    temporary = index.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps([rows, hashlib.sha256(json.dumps(rows).encode()).hexdigest()]))
    os.replace(temporary, index)


Task = tuple[Picture, list[Annotation]]


def _tasks(made: Prepared) -> list[Task]:
    of_image: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in _read(made.source)["annotations"]:
        of_image[ID.format(annotation["image_id"])].append(annotation)
    return [(picture, of_image[picture.id]) for picture in made.pictures]


def _draw_all(tasks: list[Task], folder: Path, watch: Watch, jobs: int) -> None:
    drawn = mapped(_draw_one, tasks, jobs=jobs, start=_go_to, start_arguments=(folder,))
    for done, error in enumerate(drawn, 1):
        if error:
            raise DataError(error)
        watch(done, len(tasks))


_FOLDER = Path()


def _go_to(folder: Path) -> None:
    global _FOLDER
    _FOLDER = folder


def _draw_one(task: Task) -> str:
    """Writes one mask; the reason where there is none, since an error of a worker would come with its trace."""
    picture, annotations = task
    try:
        mask = draw(annotations, picture.height, picture.width)
    except DataError as error:
        return f"image {picture.id}: {error}"
    seal = PngInfo()
    seal.add_text(SEAL, _digest(picture.id, mask))
    Image.fromarray(mask).save(_FOLDER / f"{picture.id}.png", pnginfo=seal)
    return ""


def check_drawn(path: Path, mask: NDArray[np.uint8]) -> None:
    """Raises DataError where a drawn mask is not as it was drawn: changed, or that of another image."""
    with Image.open(path) as image:
        digest = getattr(image, "text", {}).get(SEAL, "")
    if digest != _digest(path.stem, mask):
        raise DataError(f"{path} is not as the harness drew it; delete {path.parent} to have all masks drawn again")


def _digest(id_: str, mask: NDArray[np.uint8]) -> str:
    return hashlib.sha256(f"{id_} {mask.shape}".encode() + mask.tobytes()).hexdigest()
