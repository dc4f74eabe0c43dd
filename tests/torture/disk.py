"""Disks that are full, read-only, gone or slow: one clear line, nothing corrupt, and the same again goes on.

python -m tests.torture.disk            as root on real small file systems (tmpfs) too, else with injected errors
python -m tests.torture.disk --short
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.torture.kill import finish, run_job_of
from tests.torture.trials import Row, Undisturbed, dice, ended, forked, job_of, script, timed, undisturbed, warm

FAULTS = {errno.ENOSPC: "full", errno.EDQUOT: "over quota", errno.EROFS: "read-only", errno.EIO: "failing"}
METHOD = "zegclip"
KIB = 1024


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path | None]:
    """A file system of its own of so many KiB; None where this user may not mount one."""
    folder.mkdir(parents=True)
    asked = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def told(root: Path, log: Path, words: tuple[str, ...]) -> str:
    """What was said of the fault must be one line of those words, in the state or the log; and no stack trace."""
    said = [line for line in log.read_text().splitlines() if line.strip()]
    for path in root.rglob("state.json"):
        said.append(path.read_text())
    if any("Traceback" in line for line in said):
        return f"a stack trace: {said[-3:]}"
    if not any(word in line for line in said for word in words):
        return f"nothing was said of the disk: {said[-3:]}"
    return ""


def refusing(number: int, code: int, lasting: bool) -> Callable[[], None]:
    """From here on the n-th write of this process is refused, and all after it where that lasts."""
    seen = 0

    def refuse() -> None:
        nonlocal seen
        seen += 1
        if seen == number or (lasting and seen > number):
            raise OSError(code, os.strerror(code))

    opened, linked = open, os.link

    def opening(path, mode="r", *rest, **options):
        if "w" in mode or "a" in mode:
            refuse()
        return opened(path, mode, *rest, **options)

    def linking(*arguments, **options) -> None:
        refuse()
        linked(*arguments, **options)

    def install() -> None:
        from results.launch.run import make
        from results.store import files

        files.open = make.open = opening  # type: ignore[attr-defined]
        os.link = linking

    return install


def refused_writes(folder: Path, count: int) -> Row:
    """An error at the n-th write, once or from then on."""
    with timed(
        Row("a write refused (full, over quota, read-only, failing), once or lastingly", note="injected")
    ) as row:
        whole = undisturbed(METHOD, folder / "whole-refused")
        for trial in range(count):
            chance = dice("refused", trial)
            number, lasting = chance.randint(1, 14), chance.random() < 0.5
            code = chance.choice(list(FAULTS))
            root, log = folder / f"refused-{trial}", folder / f"refused-{trial}.txt"
            job, install = job_of(METHOD, root), refusing(number, code, lasting)
            done = ended(forked(lambda job=job, go=install: (go(), run_job_of(job))[1], log)) == 0  # one beat less
            problem = ("" if done else told(root, log, (os.strerror(code),))) or finish(job, root, whole, log)
            row.add(problem and f"{FAULTS[code]} at write {number}{' and after' * lasting}: {problem}")
    return row


def full_disks(folder: Path, count: int) -> Row:
    """A real file system that is too small, then grows."""
    with timed(Row("the disk full at some write, then freed", note="tmpfs")) as row:
        whole = undisturbed(METHOD, folder / "whole-full")
        size = sum(p.stat().st_size for p in (folder / "whole-full").rglob("second/**/*") if p.is_file()) // KIB
        for trial in range(count):
            mount, log = folder / f"full-{trial}", folder / f"full-{trial}.txt"
            kib = 8 + dice("full", trial).randint(0, size)
            with small_disk(mount, kib) as disk:
                if disk is None:
                    row.note = "not possible here: needs to mount a tmpfs"
                    return row
                job = job_of(METHOD, disk / "runs")
                done = ended(forked(lambda job=job: run_job_of(job), log)) == 0  # drafts and all did fit
                problem = "" if done else told(disk, log, (os.strerror(errno.ENOSPC),))
                subprocess.run(["mount", "-o", f"remount,size={64 * KIB}k", str(disk)], check=True)
                problem = problem or finish(job, disk / "runs", whole, log)
                row.add(problem and f"{kib} KiB: {problem}")
    return row


def vanished_folders(folder: Path, count: int) -> Row:
    """The folder of runs is moved away in the middle, then put back."""
    with timed(Row("the folder of runs moved away in the middle, then put back")) as row:
        whole = undisturbed(METHOD, folder / "whole-gone")
        for trial in range(count):
            root, log = folder / f"gone-{trial}", folder / f"gone-{trial}.txt"
            job = job_of(METHOD, root)
            pid = forked(lambda job=job: run_job_of(job), log)
            time.sleep(dice("gone", trial).uniform(0, whole.seconds))
            if root.exists():
                root.rename(folder / f"away-{trial}")
            ended(pid)
            if (folder / f"away-{trial}").exists():
                shutil.rmtree(root, ignore_errors=True)
                (folder / f"away-{trial}").rename(root)
            problem = "a stack trace" if "Traceback" in log.read_text() else finish(job, root, whole, log)
            row.add(problem)
    return row


def slow_folders(folder: Path, count: int) -> Row:
    """Every write and every look takes its time, as on a busy network file system."""
    with timed(Row("a folder whose every sync and rename takes up to 50 ms")) as row:
        whole = undisturbed(METHOD, folder / "whole-slow")
        for trial in range(count):
            root, log = folder / f"slow-{trial}", folder / f"slow-{trial}.txt"
            job = job_of(METHOD, root)
            row.add(_slowly(job, root, whole, log, dice("slow", trial)))
    return row


def _slowly(job, root: Path, whole: Undisturbed, log: Path, chance: random.Random) -> str:
    def work() -> int:
        for name in ("fsync", "replace", "link"):
            real = getattr(os, name)

            def late(*arguments, real=real, **options):
                time.sleep(chance.uniform(0, 0.05))
                return real(*arguments, **options)

            setattr(os, name, late)
        return run_job_of(job)

    if code := ended(forked(work, log)):
        return f"ended with {code}: {log.read_text()[-300:]}"
    return finish(job, root, whole, log)


def main(short: bool) -> Iterator[Row]:
    """All of it."""
    warm()
    with tempfile.TemporaryDirectory(prefix="zss-disk-") as name:
        folder = Path(name)
        if short:
            yield refused_writes(folder, 3)
            return
        yield refused_writes(folder, 30)
        yield full_disks(folder, 10)
        yield vanished_folders(folder, 10)
        yield slow_folders(folder, 3)


if __name__ == "__main__":
    sys.exit(script(main, __doc__))
