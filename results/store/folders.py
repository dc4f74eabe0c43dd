"""The folders of runs: what lies where, and in which state a run is.

<root>/<benchmark>/<method>/fold<k>-seed<s>-<key8>/
    spec.json             the TrainSpec
    claims/               who works here (results.store.claim)
    state.json            written by the owner: running, done, failed (reason), interrupted
    checkpoint-<step>.pt  the last two, while training
    log.jsonl             losses and rates as they came
    model.safetensors     the trained tensors, and model.json: their card
    evals/<key8>/         spec.json, confusion.npz, record.json (written last, with the npz's sha256)
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from benchmarks.protocol import EvalSide, Protocol, TrainSide
from benchmarks.spec import EvalSpec, TrainSpec
from benchmarks.values import Value, canonical_json
from results.store.claim import CLAIMS, Claim, Claims, LostClaim
from results.store.files import DRAFT, sweep, write_atomically
from results.store.record import SCHEMA, RunRecord
from results.store.schema_steps import upgraded
from splits.errors import UserError, file_words, json_words
from splits.hashing import file_sha256

State = Literal["planned", "queued", "running", "done", "failed", "interrupted", "stale"]

SPEC, STATE, LOG, WEIGHTS, CARD = "spec.json", "state.json", "log.jsonl", "model.safetensors", "model.json"
RUN_DEPTH, EVALS = 3, "evals"  # a run is <benchmark>/<method>/<run> below the root
RECORD, CONFUSION, ERROR = "record.json", "confusion.npz", "error.txt"
DATA_SET = "benchmark.json"  # in <root>/<benchmark>: the definition of a data set that is not shipped


class CorruptRecord(UserError):
    """A stored file is not what it should be."""


class _Word(Value):
    """What an owner says; every field may be missing, none may be of another kind."""

    state: State
    claim: int = 0
    reason: str = ""
    step: int = 0
    iterations: int = 0
    rate: float | None = None
    doing: str = ""
    mendable: bool = False  # of a failure: by the person, so that the next command tries again
    sources: str = ""  # of a failure: sha256 of the method's code that failed; other code may not fail
    evaluation: str = ""  # the key of a scoring that failed without having trained


@dataclass(frozen=True)
class RunFolder:
    """One run's folder."""

    path: Path

    @property
    def claims(self) -> Claims:
        """Who works here."""
        return Claims(self.path)

    def claims_of(self, job: str) -> Claims:
        """The same as a cluster job sees them."""
        return Claims(self.path, job)

    def evaluation(self, spec: EvalSpec) -> Path:
        """Where a scoring of this run lies."""
        return self.path / "evals" / spec.key

    def write_spec(self, spec: TrainSpec, claim: Claim) -> None:
        """Store the spec; a folder that already holds another one is refused (a clash of keys, or an edited file)."""
        text = canonical_json(spec.model_dump(mode="json"))
        if (self.path / SPEC).exists():
            stored = TrainSpec.parse(read_json(self.path / SPEC), source=str(self.path / SPEC))
            if stored.digest() != spec.digest():
                raise CorruptRecord(
                    f"{self.path / SPEC}: holds another spec ({stored.key}) than its folder's name says ({spec.key}); "
                    "move the folder away and run again"
                )
            return
        write_atomically(self.path / SPEC, text.encode(), before_rename=claim.check)

    def write_state(self, state: State, claim: Claim, *, durable: bool = True, **details: Any) -> None:
        """Store the owner's own word about the run."""
        text = canonical_json({"state": state, "claim": claim.number, **details})
        write_atomically(self.path / STATE, text.encode(), durable=durable, before_rename=claim.check)

    def tidy(self) -> None:
        """Delete what the last owner of a finished run left as it was killed: nobody else would claim the folder."""
        if not any(self.path.glob(DRAFT)):
            return
        with suppress(OSError, LostClaim):  # a folder of somebody else, or at work again
            if claim := self.claims.claim():
                with claim:
                    sweep(self.path, besides=CLAIMS)
                    self.write_state("done", claim)

    def read_state(self) -> dict[str, Any]:
        """The owner's last word; {} where there is none or it cannot be read (the files beside it decide then)."""
        try:
            return _Word.parse(read_json(self.path / STATE), source=STATE).model_dump(exclude_unset=True)
        except (UserError, FileNotFoundError):
            return {}

    def trained(self) -> bool:
        """Are the final weights here? The card is written after them."""
        return (self.path / CARD).exists() and (self.path / WEIGHTS).exists()

    def read_record(self, spec: EvalSpec) -> RunRecord | None:
        """The record of a scoring, or None. Raises CorruptRecord where one lies there that cannot be trusted."""
        folder = self.evaluation(spec)
        if not (folder / RECORD).exists():
            return None
        record = load_record(folder / RECORD)
        if record.result.evaluation.digest() != spec.digest():
            raise CorruptRecord(
                f"{folder / RECORD}: is the record of another evaluation ({record.result.evaluation.key})"
            )
        return record


def read_json(path: Path) -> Any:
    """Parse a stored JSON file; raises CorruptRecord with one line."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CorruptRecord(f"{path}: {file_words(error)}") from None
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(
            f"{path}: cannot be read as JSON ({json_words(error)}); delete it to have it made again"
        ) from None


def load_record(path: Path) -> RunRecord:
    """Read one record and check it against the confusion matrix beside it; raises CorruptRecord."""
    record = _parsed(path)
    sides = (record.result.train.side, record.result.evaluation.side)
    hashes = _protocol_hashes(*(side.model_dump_json() for side in sides))
    if hashes != (record.result.protocol_hash, record.result.family_hash):
        raise CorruptRecord(f"{path}: its protocol hashes are not those of its specs; delete it to score again")
    matrix, wrong = path.with_name(CONFUSION), ""
    try:
        if file_sha256(matrix) != record.result.confusion_sha256:
            wrong = "its sha256 is not the one in the record"
    except OSError as error:
        wrong = "missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
    if wrong:
        raise CorruptRecord(f"{matrix}: {wrong}; delete {path.name} to have the run scored again")
    return record


def _parsed(path: Path) -> RunRecord:
    """The record in a file, straight from its text where it is of today's schema: tables read thousands."""
    try:
        record = RunRecord.model_validate_json(path.read_bytes(), strict=True)
        if record.schema_version == SCHEMA:
            return record
    except (ValidationError, OSError):
        pass  # below, with a line that says what is wrong
    data = read_json(path)
    data = upgraded(data) if isinstance(data, dict) else {}
    version = data.get("schema_version")
    if version != SCHEMA:
        newer = "; a newer harness wrote it: update this one" if type(version) is int and version > SCHEMA else ""
        raise CorruptRecord(f"{path}: has schema {version}, this harness reads schemas up to {SCHEMA}{newer}")
    return RunRecord.parse(data, source=str(path))


@lru_cache(maxsize=1024)
def _protocol_hashes(train: str, evaluation: str) -> tuple[str, str]:
    """Both hashes of a protocol, from the JSON of its sides; few protocols, many records."""
    protocol = Protocol(train=TrainSide.model_validate_json(train), evaluation=EvalSide.model_validate_json(evaluation))
    return protocol.hash, protocol.family


@dataclass(frozen=True)
class Stored:
    """A record and where it lies."""

    record: RunRecord
    path: Path  # of record.json

    @property
    def confusion(self) -> Path:
        """The confusion matrices beside it, at every shift, and the counts of each image."""
        return self.path.with_name(CONFUSION)


def find_stored(root: Path) -> Iterator[Stored | CorruptRecord]:
    """Every record below a root, in the order of paths; what cannot be trusted comes as the error that says so."""
    yield from map(CorruptRecord, unreadable_words(root))
    yield from map(load_stored, record_paths(root))


def load_stored(path: Path) -> Stored | CorruptRecord:
    """One record, or the error that says why it cannot be trusted."""
    try:
        return Stored(load_record(path), path)
    except UserError as error:
        return error if isinstance(error, CorruptRecord) else CorruptRecord(str(error))


def record_paths(root: Path) -> list[Path]:
    """The file of every record below a root, in the order of paths."""
    return _below(root, f"evals/*/{RECORD}")


def unreadable_words(root: Path) -> Iterator[str]:
    """A line for each folder below a root that this user may not list."""
    return map(closed_words, unreadable(root))


def closed_words(folder: Path) -> str:
    """What to do about a folder that this user may not list."""
    return f"{folder}: may not be read; its owner must allow it: chmod -R g+rX"


def _below(root: Path, pattern: str) -> list[Path]:
    """Files of this pattern in the folders of runs, in the order of paths. (With many runs, pathlib's glob is slow.)"""
    found = glob.glob(f"*/*/fold*-seed*-*/{pattern}", root_dir=root, include_hidden=True)
    return [root / path for path in sorted(found, key=lambda path: path.split(os.sep))]


def unreadable(root: Path) -> Iterator[Path]:
    """Folders below a root, where runs and records lie, that this user may not list."""
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            inner = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        except PermissionError:
            yield folder
            continue
        except OSError:
            continue  # gone meanwhile
        if depth == RUN_DEPTH:
            inner = [path for path in inner if path.name == EVALS]
        if depth < RUN_DEPTH + 1:
            waiting += [(path, depth + 1) for path in inner if not path.name.startswith(".")]


def find_records(root: Path) -> Iterator[RunRecord | CorruptRecord]:
    """As `find_stored`, the records alone."""
    return (found.record if isinstance(found, Stored) else found for found in find_stored(root))


def unfinished(root: Path) -> dict[str, str]:
    """Runs below a root that have no record yet: folder -> state, and the reason where one is stored."""
    states = {}
    scored = {path.parents[2] for path in record_paths(root)}
    for path in _below(root, SPEC):
        folder = RunFolder(path.parent)
        if folder.path in scored:
            continue
        word = folder.read_state()
        state, reason = word.get("state", "planned"), word.get("reason", "")
        if state == "running" and not folder.claims.held():
            state, reason = "interrupted", "its process ended without a word"
        states[path.parent.relative_to(root).as_posix()] = f"{state}: {reason}" if reason else state
    return states


def recipe_named(folder: Path) -> str:
    """The name of the recipe that the run in a folder is trained by; empty where its spec does not tell."""
    try:
        return str(read_json(folder / SPEC)["recipe"]["name"])
    except (UserError, OSError, KeyError, TypeError):
        return ""
