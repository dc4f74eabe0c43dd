"""Finished weights by name, before they are loaded: runs' folders, files, and the cards beside them. No torch."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from benchmarks.spec import TrainSpec
from methods.weight_kind import is_torchscript, refuse_what_is_none
from results.store.folders import SPEC, read_json
from splits.errors import UserError, file_words

KEY = re.compile(r"[0-9a-f]{4,8}")


def run_folder(text: str, root: Path) -> Path:
    """The folder of a run, given as such or by the (start of the) key that its name ends in; UserError without one."""
    if (Path(text) / SPEC).is_file():
        return Path(text)
    if not KEY.fullmatch(text):
        raise UserError(f"run {text}: neither a run's folder nor its key (4 to 8 of 0-9a-f, the end of its name)")
    found = sorted(p for p in root.glob("*/*/fold*-seed*-*") if p.name.rpartition("-")[2].startswith(text))
    if len(found) != 1:
        which = ", ".join(p.relative_to(root).as_posix() for p in found[:5])
        raise UserError(f"run {text}: {f'several runs: {which}' if found else f'no such run in {root}'}")
    return found[0]


def refused_by_kind(path: Path, source: str) -> None:
    """Raises UserError where a file is by its bytes none of weights: a page, a pointer, a part of a file.

    source: what named the file, for messages.
    """
    try:
        refuse_what_is_none(path)
        is_torchscript(path)
        if part := _damaged_part(path):
            raise UserError(f"{source}: {path} is damaged in {part} (by its checksum); copy or download it again")
    except zipfile.BadZipFile as error:
        raise UserError(f"{source}: {broken_archive(path, error)}") from None
    except OSError as error:
        raise UserError(f"{source}: {path}: {file_words(error)}") from None
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None


def _damaged_part(path: Path) -> str:
    """The first part of an archive whose bytes are not those that were stored; torch reads them without a look.

    Raises BadZipFile. A checksum of 0 is none: torch can leave them out.
    """
    if not zipfile.is_zipfile(path):
        return ""
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            try:
                with archive.open(part) as content:
                    while content.read(1 << 20):
                        pass
            except zipfile.BadZipFile:
                if part.CRC:
                    return part.filename
    return ""


def broken_archive(path: Path, error: zipfile.BadZipFile) -> str:
    """In words: a file that is a zip by its end, and none by what lies before."""
    return f"{path} is a broken archive ({error}); copy or download it again"


def card_of(file: Path) -> Path | None:
    """The card beside a file of weights (`model.json` beside `model.safetensors`), if there is one.

    A JSON of another program under that name is none.
    """
    card = file.with_suffix(".json")
    return card if file.suffix == ".safetensors" and card.is_file() and _sha256_on(card) else None


def origin_of(file: Path, sha256: str) -> TrainSpec | None:
    """The training that the card beside a file of this sha256 names; None without a card.

    Raises UserError where it is the card of other weights: what it says of images and labels is not true of these.
    """
    card = card_of(file)
    if card is not None and _sha256_on(card) != sha256:
        raise UserError(
            f"{card}: is the card of other weights than {file} (another sha256); put their own card there, or none"
        )
    return None if card is None else spec_on(card)


def _sha256_on(card: Path) -> str:
    content = read_json(card)
    return str(content.get("weights_sha256", "")) if isinstance(content, dict) else ""


def spec_on(card: Path) -> TrainSpec:
    """The training that a card names; older cards leave it to the `spec.json` beside them.

    Of weights that were imported themselves it is the training they came from, where that is known.
    """
    content = read_json(card)
    if isinstance(content, dict) and content.get("origin"):
        return TrainSpec.parse(content["origin"], source=str(card))
    if isinstance(content, dict) and "train" in content:
        return TrainSpec.parse(content["train"], source=str(card))
    if (card.parent / SPEC).is_file():
        return TrainSpec.parse(read_json(card.parent / SPEC), source=str(card.parent / SPEC))
    raise UserError(f"{card}: does not say how its weights were trained; name the method with --methods")


def check_clip(spec: TrainSpec, clip_file: Path | None, what: object) -> None:
    """Raises UserError where these weights stand on a CLIP that is a local file, and none was given."""
    if spec.clip is not None and spec.clip.pretrained == "file" and clip_file is None:
        raise UserError(f"{what}: its CLIP was a local file; give it too: --clip {spec.clip.model}/path/to/file")
