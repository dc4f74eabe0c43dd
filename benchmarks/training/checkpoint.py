"""Checkpoints: everything needed to go on bit for bit, in one file that is whole or not there.

A file is the sha256 (hex) of its payload, a newline, and the payload (`torch.save`), read with `weights_only=True`.
Random states need no place in it: each step seeds its generators from (seed, step, rank).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from splits.errors import UserError

SCHEMA = 1
KEPT = 2


class BadCheckpoint(UserError):
    """A checkpoint that cannot be gone on from; the message says why."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run.

    write(path, data) must make the file appear whole or not at all, and may refuse (lost ownership).
    """

    folder: Path
    spec_digest: str
    write: Callable[[Path, bytes], None]
    sources: str = ""  # digest of the code that trains: a run is not gone on with by other code
    data: str = ""  # digest of the files that are trained on, where they are known: nor with other data
    body: str = ""  # digest of the file that a body began with, where there is one: nor with another
    clip: str = ""  # digest of the CLIP weights, where there is one: nor under others of the same name

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write `checkpoint-<step>.pt`; all but the last two are deleted after that.

        Those of later steps are deleted too: whoever writes this one did not trust them.
        """
        buffer = io.BytesIO()
        torch.save(
            {
                "schema": SCHEMA,
                "spec": self.spec_digest,
                "sources": self.sources,
                "data": self.data,
                "body": self.body,
                "clip": self.clip,
                "step": step,
                **state,
            },
            buffer,
        )
        payload = buffer.getvalue()
        before = self._steps()  # what comes after the write is of whoever took the folder over: not ours to delete
        self.write(self._path(step), hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
        kept = sorted({step, *(number for number in before if number <= step)})[-KEPT:]
        for other in set(before) - set(kept):
            self._path(other).unlink(missing_ok=True)

    def latest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest checkpoint that can be trusted, and a line for each newer one that cannot.

        Raises BadCheckpoint where checkpoints lie there and none can be trusted: never a silent start from zero.
        """
        problems: list[str] = []
        for step in reversed(self._steps()):
            try:
                return self._load(self._path(step)), problems
            except BadCheckpoint as problem:
                problems.append(str(problem))
        if problems:
            raise BadCheckpoint(
                f"{'; '.join(problems)}; delete the run's folder, or run with --force, to start it anew"
            )
        return None, problems

    def clear(self) -> None:
        """Delete all checkpoints."""
        for step in self._steps():
            self._path(step).unlink(missing_ok=True)

    def _load(self, path: Path) -> dict[str, Any]:
        content = path.read_bytes()
        claimed, _, payload = content.partition(b"\n")
        if hashlib.sha256(payload).hexdigest().encode() != claimed:
            raise BadCheckpoint(f"{path.name} is damaged (its sha256 does not match its content)")
        try:
            state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        except Exception as error:
            raise BadCheckpoint(f"{path.name} cannot be loaded ({type(error).__name__})") from None
        if not isinstance(state, dict) or state.get("schema") != SCHEMA:
            raise BadCheckpoint(f"{path.name} has another schema than {SCHEMA}")
        if state.get("spec") != self.spec_digest:
            raise BadCheckpoint(f"{path.name} belongs to another spec")
        step = state.get("step")
        if type(step) is not int or self._path(step) != path:
            raise BadCheckpoint(f"{path.name} is not of the step in its name")
        if state.get("sources") != self.sources:
            raise BadCheckpoint(f"{path.name} was written by other sources of its method")
        if self.data and state.get("data") and state["data"] != self.data:
            raise BadCheckpoint(f"{path.name} was trained on other data than lie there now")
        if self.body and state.get("body") and state["body"] != self.body:
            raise BadCheckpoint(f"{path.name} began with other body weights than lie there now")
        if self.clip and state.get("clip") and state["clip"] != self.clip:
            raise BadCheckpoint(f"{path.name} was trained under other CLIP weights than those of the same name here")
        return state

    def _steps(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        names = (path.stem.removeprefix("checkpoint-") for path in self.folder.glob("checkpoint-*.pt"))
        return sorted(int(name) for name in names if name.isdigit())

    def _path(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}.pt"
