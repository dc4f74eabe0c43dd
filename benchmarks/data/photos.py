"""Pictures without masks: a folder, one file, or the frames of a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.listing import PICTURES, some
from benchmarks.data.photo_file import read_image
from splits.errors import DataError
from splits.text import one_form

VIDEOS: Final = (".mp4", ".avi", ".mov", ".mkv", ".webm")
Photo = tuple[str, NDArray[np.uint8]]  # id, and (H, W, 3) RGB


def photos(place: Path, *, limit: int | None = None, every: int = 1) -> Iterator[Photo]:
    """Ids and pictures, in the order of names or of time; an id is a file's name without its ending.

    limit: at most so many. every: of a video, each `every`-th frame, named `frame-000000` and so on. Raises DataError
    where there is no picture, where one is broken, or where two would have the same id.
    """
    if place.is_file() and place.suffix.lower() in VIDEOS:
        yield from _frames(place, limit, every)
        return
    for id_, path in list(picture_files(place).items())[:limit]:
        yield id_, read_image(path)  # upright, as the camera was held


def picture_files(place: Path) -> dict[str, Path]:
    """Id to file, sorted by name. Raises DataError as `photos`."""
    if not place.exists():
        raise DataError(f"{place}: there is no such file or folder of pictures")
    try:
        files = sorted(place.iterdir()) if place.is_dir() else [place]
    except OSError as error:
        raise DataError(f"{place} cannot be listed ({error.strerror})") from None
    found: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() not in PICTURES or path.name.startswith("._"):
            continue
        if path.exists() and not path.is_file():  # a folder; a link to nowhere is told when it is read
            continue
        id_ = one_form(path.stem)
        if id_ in found:
            raise DataError(f"{path} and {found[id_]} would both be called {id_}; rename one of the two")
        found[id_] = path
    if not found:
        rest = f"; {words}" if (words := passed_over(place)) else ""
        kinds = ", ".join((*PICTURES, *(VIDEOS if place.is_file() else ())))
        raise DataError(f"{place}: no picture in it; expected files ending in {kinds}{rest}")
    return found


def passed_over(place: Path) -> str:
    """What of a folder `photos` does not read, in words: files of other endings, folders. Hidden ones do not count."""
    there = sorted(path for path in place.iterdir() if path.name[0] != ".") if place.is_dir() else []
    folders = [path for path in there if path.is_dir()]
    files = [path for path in there if path not in folders and path.suffix.lower() not in PICTURES]
    words = [f"{len(files)} files are not read: {some(files)}"] if files else []
    words += [f"{len(folders)} folders are not looked into: {some(folders)}"] if folders else []
    return "; ".join(words)


def _frames(path: Path, limit: int | None, every: int) -> Iterator[Photo]:
    import cv2  # only videos need it

    video = cv2.VideoCapture(str(path))
    try:
        number = given = 0
        while limit is None or given < limit:
            there, frame = video.read()  # (H, W, 3) BGR
            if not there:
                break
            if number % every == 0:
                yield f"frame-{number:06d}", np.ascontiguousarray(frame[:, :, ::-1])
                given += 1
            number += 1
        if number == 0:
            raise DataError(f"video {path} cannot be decoded; is it whole, and of a kind that OpenCV reads?")
    finally:
        video.release()
