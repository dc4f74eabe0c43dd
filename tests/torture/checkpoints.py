"""Checkpoints of real runs, stopped halfway and then spoilt: the one before is gone on from, or one line says why not.

python -m tests.torture.checkpoints            each kind of damage, to the newer one and to both, in two methods
python -m tests.torture.checkpoints --short
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.torture.kill import finish, run_job_of
from tests.torture.trials import LIMIT, Row, Undisturbed, dice, ended, forked, job_of, script, timed, undisturbed, warm

METHODS = ("zegclip", "clip-to-seg")
Spoil = Callable[[bytes, "Context"], bytes]


@dataclass(frozen=True)
class Context:
    """What a kind of damage needs to know."""

    job: Any
    trap: Path  # what hostile content makes, if it is ever run
    chance: Random


def sealed(payload: bytes) -> bytes:
    """A checkpoint whose checksum is right, whatever is in it."""
    return hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def _changed(content: bytes, **changes: Any) -> bytes:
    import torch

    state = torch.load(io.BytesIO(content.partition(b"\n")[2]), weights_only=True)
    file = io.BytesIO()
    torch.save(state | changes, file)
    return sealed(file.getvalue())


def _truncated(content: bytes, about: Context) -> bytes:
    return content[: about.chance.randrange(len(content))]


def _flipped(content: bytes, about: Context) -> bytes:
    at = about.chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << about.chance.randrange(8)]) + content[at + 1 :]


def _other_spec(content: bytes, about: Context) -> bytes:
    return _changed(content, spec=about.job.run.train.model_copy(update={"seed": 7}).digest())


def _other_clip(content: bytes, about: Context) -> bytes:
    spec = about.job.run.train
    clip = spec.clip.model_copy(update={"sha256": "0" * 64})
    return _changed(content, spec=spec.model_copy(update={"clip": clip}).digest())


class Trap:
    """Makes a folder when unpickled."""

    def __init__(self, target: Path):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def _malicious(content: bytes, about: Context) -> bytes:
    if about.chance.random() < 0.5:
        return sealed(pickle.dumps({"schema": 1, "trained": Trap(about.trap)}, protocol=2))
    return _with_trap(content, about)


def _with_trap(content: bytes, about: Context) -> bytes:
    return _changed(content, trained=Trap(about.trap))


KINDS: dict[str, Spoil] = {
    "truncated": _truncated,
    "a bit flipped": _flipped,
    "of another spec": _other_spec,
    "of another CLIP": _other_clip,
    "of another schema": lambda content, about: _changed(content, schema=99),
    "of other sources": lambda content, about: _changed(content, sources="0" * 64),
    "with a malicious pickle": _malicious,
}


def stopped(job: Any, steps: int) -> int:
    """Work on a job in this process until so many steps are done; 0 where it was interrupted there."""
    from results.launch.run.ranks import LocalRanks
    from results.launch.run.worker import work

    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= steps

    folder = job.run.folder(job.root)
    claim = folder.claims.claim()
    with LocalRanks(job) as others:
        return 0 if work(job, folder, claim, stop, others) == "interrupted" else 3


def halfway(method: str, folder: Path) -> Path:
    """A run of the method that was stopped in the middle of its training; its root."""
    root, log = folder / f"halfway-{method}", folder / f"halfway-{method}.txt"
    if ended(forked(lambda: stopped(job_of(method, root), LIMIT // 2), log)) != 0:
        raise RuntimeError(log.read_text()[-500:])
    return root


def refused(job: Any, root: Path, log: Path) -> str:
    """Where no checkpoint can be trusted: one clear line, nothing deleted, no silent start from zero."""
    before = sorted(path.name for path in root.rglob("checkpoint-*"))
    code = ended(forked(lambda: run_job_of(job), log))
    folder = job.run.folder(root)
    word = folder.read_state()
    if code != 3 or word.get("state") != "failed":
        return f"ended with {code} as {word.get('state')}: {log.read_text()[-300:]}"
    reason = str(word.get("reason"))
    if "\n" in reason or "start it anew" not in reason or (folder.path / "error.txt").exists():
        return f"said: {reason}"
    return "" if sorted(path.name for path in root.rglob("checkpoint-*")) == before else "checkpoints were deleted"


def spoilt(folder: Path, methods: tuple[str, ...], kinds: tuple[str, ...]) -> Row:
    """Each kind of damage, to the newer checkpoint and to both."""
    with timed(Row("a checkpoint spoilt, or both, then the same again", note=", ".join(kinds))) as row:
        for method in methods:
            whole, source = undisturbed(method, folder / "whole"), halfway(method, folder)
            for kind in kinds:
                for both in (False, True):
                    problem = _trial(folder / f"{method}-{kind}-{both}", method, source, kind, both, whole)
                    row.add(problem and f"{method}, {'both' if both else 'the newer'} {kind}: {problem}")
    return row


def _trial(folder: Path, method: str, source: Path, kind: str, both: bool, whole: Undisturbed) -> str:
    root, log, trap = folder / "runs", folder / "log.txt", folder / "trapped"
    shutil.copytree(source, root)
    job = job_of(method, root)
    newest_first = sorted(root.rglob("checkpoint-*.pt"), key=lambda path: int(path.stem.split("-")[1]), reverse=True)
    if len(newest_first) != 2:
        return f"expected two checkpoints, found {newest_first}"
    for path in newest_first[: 1 + both]:
        path.write_bytes(KINDS[kind](path.read_bytes(), Context(job, trap, dice("spoilt", method, kind, path.name))))
    problem = refused(job, root, log) if both else finish(job, root, whole, log)
    return problem or ("what was pickled was run" if trap.exists() else "")


def main(short: bool) -> Iterator[Row]:
    """All of it."""
    warm()
    with tempfile.TemporaryDirectory(prefix="zss-checkpoints-") as name:
        kinds = ("with a malicious pickle",) if short else tuple(KINDS)
        yield spoilt(Path(name), METHODS[:1] if short else METHODS, kinds)


if __name__ == "__main__":
    sys.exit(script(main, __doc__))
