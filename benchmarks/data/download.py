"""The official archives of each data set: fetched, resumed where a fetch was broken off, checked, unpacked.

Digests are those that torchvision ships for VOC and SBD. COCO publishes none: there `data verify` checks the content.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.data.archives import UNPACKED, unpack
from benchmarks.data.reader import Watch
from splits.errors import DataError, UserError

CHUNK: Final = 1 << 20
SECONDS: Final = 60
FLICKR: Final = "the photos belong to their owners and come under Flickr's terms of use"


@dataclass(frozen=True)
class Archive:
    """A file to fetch and where it is unpacked."""

    url: str
    licence: str
    into: str = "."  # below the data root
    digest: str = ""  # "md5:..."; empty: none is published


VOC2012: Final = Archive(
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    FLICKR,
    digest="md5:6cd6e144f989b92b3379bac3b3de84fd",
)
SBD: Final = Archive(
    "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
    f"no licence is stated; {FLICKR}",
    digest="md5:82b4d87ceb2ed10f6038a1cba92111cb",
)
VOC2010: Final = Archive(
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
    FLICKR,
    digest="md5:da459979d0c395079b5c75ee67908abb",
)
COCO_LICENCE: Final = "annotations CC BY 4.0; each photo under a Creative Commons licence of its own, named in the json"
COCO: Final = "http://images.cocodataset.org"
STUFF: Final = "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip"


def archives_of(dataset: str, year: str) -> tuple[Archive, ...]:
    """What is to be fetched for a data set. Raises UserError where a person has to."""
    if dataset == "voc2012":
        return VOC2012, SBD
    if dataset in ("coco", "cocostuff"):
        names = [f"zips/train{year}.zip", f"zips/val{year}.zip"]
        photos = tuple(Archive(f"{COCO}/{name}", COCO_LICENCE, "coco") for name in names)
        if dataset == "cocostuff":
            return *photos, Archive(STUFF, "annotations CC BY 4.0", "coco/stuffthingmaps")
        return *photos, Archive(f"{COCO}/annotations/annotations_trainval{year}.zip", COCO_LICENCE, "coco")
    raise UserError(
        f"--download: the masks of {dataset} have to be made by hand; `data prepare` without it says what to put where"
    )


def download(archive: Archive, root: Path, watch: Watch = lambda done, total: None) -> None:
    """Fetch, check and unpack one archive, unless that is done.

    A marker beside the archive tells that it was unpacked whole. Raises DataError for another digest or a broken
    archive, UserError where the server cannot be reached.
    """
    file = root / Path(archive.url).name
    done = file.with_name(file.name + UNPACKED)
    if done.is_file():
        return
    if not file.is_file():
        _fetch(archive.url, file, watch)
    _check(archive, file)
    try:
        unpack(file, root / archive.into)
    except UserError as error:
        raise DataError(f"{error}; or delete it and call again") from None
    done.touch()


def _fetch(url: str, file: Path, watch: Watch) -> None:
    """To `<file>.part`, from where an earlier fetch broke off; renamed when whole."""
    part = file.with_name(f"{file.name}.part")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            have = have if answer.status == 206 else 0  # a server without ranges sends all of it again
            total = have + int(answer.headers.get("Content-Length") or 0)
            with open(part, "ab" if have else "wb") as out:
                while chunk := answer.read(CHUNK):
                    have += out.write(chunk)
                    watch(have, total)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{url} cannot be fetched ({reason}); call again to go on, or fetch it elsewhere and put it at {file}"
        ) from None
    if total and have != total:
        raise UserError(f"{url}: {have} of {total} bytes came; call again to go on")
    part.rename(file)


def _check(archive: Archive, file: Path) -> None:
    if not archive.digest:
        return
    kind, _, expected = archive.digest.partition(":")
    with open(file, "rb") as content:
        seen = hashlib.file_digest(content, kind).hexdigest()
    if seen != expected:
        raise DataError(f"{file} has {kind} {seen}, expected {expected}; delete it and call again")
