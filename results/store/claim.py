"""Who may work in a run's folder: claims on a plain shared file system, without `fcntl`.

Claims are numbered files, each made by an exclusive hard link, so that two claimants never both win a number. The
highest number owns the folder; the number is the fencing token. A dead owner's folder is taken over by making the
next number. An owner beats by rewriting its own claim with a counter; observers time an unchanged counter with their
own monotonic clock, so that clocks of different machines are never compared. On the owner's own machine (the same
boot and the same process ids: a host name may be shared by containers) a look at its process settles the question,
unless the system hides the processes of other users.
A cluster job that has started again knows that its earlier self is dead, wherever it ran: a scheduler runs a job once.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from results.store.files import write_atomically

BEAT_SECONDS = 2.0
DEAD_AFTER_SECONDS = 60.0
CLAIMS = "claims"  # the folder of claims in a run's folder
UNREADABLE = "unreadable"  # stands for the token of a claim file that cannot be read


class LostClaim(Exception):
    """Another process has taken the folder over; nothing more may be written here."""


@dataclass(frozen=True)
class Owner:
    """The content of a claim file."""

    token: str
    host: str  # for people
    machine: str  # whose process ids `pid` is one of
    pid: int
    process_start: str  # tells a reused process id apart
    beat: int = 0
    released: bool = False
    job: str = ""  # the cluster job it is, by a name that no other job ever has
    seconds: float = 0.0  # how long it has had the folder, by its own clock, as of its last beat
    cpu_seconds: float = 0.0  # of its process and the children that have ended, since then
    waiter: str = ""  # the process of the same machine that started it and waits for its end (`process_name`)


def this_machine() -> str:
    """The boot and the process-id namespace this process runs in; empty where there is no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def process_start(pid: int) -> str:
    """When a process of this machine started, in the kernel's ticks; empty if it is not there (any more)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def is_hidden(pid: int) -> bool:
    """Is it a living process of another user, of whom this system shows nothing (hidepid)?"""
    try:
        Path(f"/proc/{pid}/stat").read_bytes()
        return False
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError, TypeError):  # gone, or no number of a process
        pass
    return False


def process_name(pid: int) -> str:
    """A process of this machine as no other is called, though its number comes again."""
    return f"{pid}:{process_start(pid)}"


def processor_seconds() -> float:
    """Processor seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Claims:
    """The claims on one folder. `job`: the cluster job that looks at them, where it is one."""

    def __init__(self, folder: Path, job: str = ""):
        self.folder, self.job = folder / CLAIMS, job
        self._unchanged: tuple[tuple[int, Owner], float] | None = None  # last seen, and since when by our own clock

    def current(self) -> tuple[int, Owner] | None:
        """The highest claim and its owner; None where nobody ever claimed."""
        numbers = self._numbers()
        if not numbers:
            return None
        owner = self._owner(numbers[-1])
        return numbers[-1], owner or Owner(token=UNREADABLE, host="", machine="", pid=0, process_start="")

    def _owner(self, number: int) -> Owner | None:
        """The content of a claim; None where it cannot be read."""
        try:
            return Owner(**json.loads(self._path(number).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def spent_before(self, number: int, since: int = 0) -> tuple[float, float]:
        """Wall and processor seconds that the owners between two numbers (exclusive) had the folder."""
        owners = [self._owner(n) for n in self._numbers() if since < n < number]
        return sum(o.seconds for o in owners if o), sum(o.cpu_seconds for o in owners if o)

    def held(self) -> bool:
        """True while a living owner has the folder. An owner elsewhere counts as living until its beat has stood
        still for `DEAD_AFTER_SECONDS` before the eyes of this object.
        """
        return self._living(self.current())

    def _living(self, current: tuple[int, Owner] | None) -> bool:
        if current is None or current[1].released:
            return False
        owner = current[1]
        if self.job and owner.job == self.job:
            return False
        if owner.machine and owner.machine == this_machine() and not is_hidden(owner.pid):
            return process_start(owner.pid) == owner.process_start != ""
        now = time.monotonic()
        if self._unchanged is None or self._unchanged[0] != current:
            self._unchanged = (current, now)
        return now - self._unchanged[1] < DEAD_AFTER_SECONDS

    def orphan(self) -> int | None:
        """The process that has the folder and whose starter is gone; None where it is waited for, or dead.

        Of an owner on another machine nobody can tell.
        """
        current = self.current()
        if (
            current is None
            or not current[1].waiter
            or current[1].machine != this_machine()
            or not self._living(current)
        ):
            return None
        pid, _, start = str(current[1].waiter).partition(":")
        waits = not pid.isdigit() or process_start(int(pid)) == start or is_hidden(int(pid))
        return None if waits else current[1].pid

    def claim(self, waiter: str = "") -> Claim | None:
        """Own the folder, or None if somebody living has it or another claimant was faster. waiter: as the owner's."""
        current = self.current()
        if self._living(current):
            return None
        # the number after the one that was judged dead: a second look could see, and outbid, a faster claimant
        number = current[0] + 1 if current else 1
        self.folder.mkdir(parents=True, exist_ok=True)
        pid = os.getpid()
        owner = Owner(secrets.token_hex(8), socket.gethostname(), this_machine(), pid, process_start(pid), job=self.job)
        owner = replace(owner, waiter=waiter)
        draft = self.folder / f".{owner.token}"
        try:
            draft.write_text(json.dumps(asdict(owner)))
            os.link(draft, self._path(number))
        except FileExistsError:
            return None
        finally:
            draft.unlink(missing_ok=True)
        return Claim(self, number, owner)

    def claim_when_dead(self) -> Claim | None:
        """Own the folder as soon as its owner is seen to be dead; None if the owner is seen to live.

        Takes `DEAD_AFTER_SECONDS` at most where the owner is on another machine and silent.
        """
        first, end = self.current(), time.monotonic() + 2 * DEAD_AFTER_SECONDS
        while (claim := self.claim()) is None:
            current = self.current()
            if self._living(current) and (current != first or time.monotonic() > end):
                return None
            time.sleep(BEAT_SECONDS / 4)
        return claim

    def _numbers(self) -> list[int]:
        try:
            return sorted(int(p.stem) for p in self.folder.iterdir() if p.suffix == ".json" and p.stem.isdigit())
        except FileNotFoundError:
            return []

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"


class Claim:
    """A folder owned by this process. Use as a context: beats inside, releases at the end."""

    def __init__(self, claims: Claims, number: int, owner: Owner):
        self.number = number
        self._claims, self._owner = claims, owner
        self._began = time.monotonic(), processor_seconds()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="claim-heartbeat", daemon=True)

    def __enter__(self) -> Claim:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            if self.mine():
                self._write(released=True)

    @property
    def job(self) -> str:
        """The cluster job that owns; empty where it is none."""
        return self._owner.job

    def spent_before(self, since: int = 0) -> tuple[float, float]:
        """Wall and processor seconds of the owners before this one with a number above `since`."""
        return self._claims.spent_before(self.number, since)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began[0]

    @property
    def _cpu_seconds(self) -> float:
        return processor_seconds() - self._began[1]

    def mine(self) -> bool:
        """Is this still the highest claim, and this owner's? (A folder moved away starts again at number 1.)"""
        current = self._claims.current()
        return current is not None and current[0] == self.number and current[1].token in (self._owner.token, UNREADABLE)

    def check(self) -> None:
        """Fencing: call before anything is renamed into place. Raises LostClaim."""
        if not self.mine():
            raise LostClaim(f"{self._claims.folder.parent}: another process has taken this run over")

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk must not end the run from here; the next beat tries again
                if not self.mine():
                    return  # a loser's beat would write into a folder that is another's, or gone
                self._write(beat=self._owner.beat + 1)

    def _write(self, **changes: object) -> None:
        changes |= {"seconds": round(self._seconds, 3), "cpu_seconds": round(self._cpu_seconds, 3)}
        self._owner = replace(self._owner, **changes)  # type: ignore[arg-type]
        write_atomically(self._claims._path(self.number), json.dumps(asdict(self._owner)).encode(), durable=False)
