"""What was submitted to a cluster, kept beside the runs, and what that makes of a run's state.

<root>/.jobs/<submission>/
    submission.json   which arrays, which run is which element
    array<n>/         submitit's files: scripts, pickles, logs
<root>/.jobs/code-*/  the code as it was at submission, once for all submissions of equal code

A folder of its own for each submission, since a scheduler's ids come again. `submission.json` is written before an
array is submitted and again with its job id: a harness that dies between leaves jobs that are known by their name.
"""

from __future__ import annotations

import getpass
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from benchmarks.values import Value
from results.launch.execute import scheduler
from results.launch.execute.scheduler import Element, Unreachable
from results.launch.plan.request import Run
from results.launch.run.data_state import DataStates
from results.launch.run.status import Status, status
from results.store.claim import Claims
from results.store.files import write_atomically
from results.store.folders import closed_words, read_json
from splits.errors import UserError

FOLDER, FILE = ".jobs", "submission.json"
ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")  # of a submission, which is its folder's name
LOCK_SECONDS = 600.0
LOG_TAIL = 16_384  # bytes of a log that are looked at
LONGEST_LINE = 300


class Submitted(Value):
    """One element: which run it makes."""

    train: str  # folder below the root of runs
    evaluation: str  # key

    @classmethod
    def of(cls, run: Run) -> Submitted:
        """The element that makes a run."""
        return cls(train=run.train.folder, evaluation=run.evaluation.key)


class Array(Value):
    """One array of jobs (a plain job where it has one element)."""

    name: str
    job_id: str = ""  # empty: not known to be submitted
    folder: str  # submitit's, below the submission
    runs: tuple[Submitted, ...]
    refused: dict[str, str] = {}  # elements that were cancelled because they could never start: index, reason
    cancelled: tuple[int, ...] = ()  # elements that `cancel` was asked to end

    def element_id(self, index: int) -> str:
        """The scheduler's id of an element."""
        return f"{self.job_id}_{index}" if len(self.runs) > 1 else self.job_id


class Submission(Value):
    """Everything submitted at once."""

    id: str
    commit: str
    code_sha256: str
    user: str = ""  # who submitted it; empty in submissions from before it was kept
    arrays: tuple[Array, ...] = ()

    def write(self, root: Path) -> None:
        """Store it beside the runs."""
        write_atomically(root / FOLDER / self.id / FILE, self.model_dump_json(indent=1).encode())

    def with_array(self, array: Array) -> Submission:
        """The same with one array added, or replaced by name."""
        others = tuple(a for a in self.arrays if a.name != array.name)
        return self.model_copy(update={"arrays": (*others, array)})

    def with_cancelled(self, indices: Mapping[str, Sequence[int]]) -> Submission:
        """The same with elements, by the names of their arrays, noted as cancelled."""
        noted = {a.name: tuple(sorted({*a.cancelled, *indices.get(a.name, ())})) for a in self.arrays}
        arrays = tuple(a.model_copy(update={"cancelled": noted[a.name]}) for a in self.arrays)
        return self.model_copy(update={"arrays": arrays})

    def without(self, name: str) -> Submission:
        """The same without an array."""
        return self.model_copy(update={"arrays": tuple(a for a in self.arrays if a.name != name)})


def may_cancel(submission: Submission) -> bool:
    """Are its jobs this user's to cancel?"""
    return submission.user in ("", current_user()) or os.getuid() == 0


def ticket_of(name: str, index: int) -> str:
    """The name of one job that no other job ever has."""
    return f"{name}.{index}"


def submissions(root: Path) -> list[Submission]:
    """All of a root of runs, the newest first. Raises UserError where one may not be read: what is not known to be
    submitted would be submitted again.
    """
    found: list[Submission] = []
    try:
        names = sorted(filter(ID.fullmatch, os.listdir(root / FOLDER)), reverse=True)
    except FileNotFoundError:
        return found
    except PermissionError:
        raise UserError(closed_words(root / FOLDER)) from None
    for path in (root / FOLDER / name / FILE for name in names):
        with suppress(FileNotFoundError):
            found.append(Submission.parse(read_json(path), source=str(path)))
    return found


@contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Only one harness submits for a root of runs at any time, so that no run is submitted twice."""
    claims, end = Claims(root / FOLDER), time.monotonic() + LOCK_SECONDS
    while (claim := claims.claim()) is None:
        if time.monotonic() > end:
            raise UserError(f"another harness has been submitting for {root} for {LOCK_SECONDS:.0f} s; look after it")
        time.sleep(0.5)
    with claim:
        yield


class Queue:
    """What the scheduler says about the submitted runs of a root. Asks when first needed, and at each `look`."""

    def __init__(self, root: Path, data: DataStates | None = None):
        self.root, self.data = root, data
        self.silence = ""  # why the scheduler did not answer the last time
        self._elements: dict[scheduler.Key, Element] | None = None
        self._gone: dict[str, Element] = {}
        self._claims: dict[str, Claims] = {}
        self._hides: bool | None = None  # does the site hide the jobs of others? asked when first needed
        self._read()

    def _read(self) -> None:
        self.submissions = submissions(self.root)
        self._places: dict[Submitted, tuple[Submission, Array, int]] = {}
        self._folders: dict[str, list[tuple[Array, int]]] = {}
        for submission in reversed(self.submissions):
            for array in submission.arrays:
                for index, submitted in enumerate(array.runs):
                    self._places[submitted] = (submission, array, index)
                    self._folders.setdefault(submitted.train, []).append((array, index))

    def look(self) -> None:
        """Forget what was heard: the next question goes to the scheduler."""
        self._elements = None
        self._read()

    def place(self, run: Run) -> tuple[Submission, Array, int] | None:
        """Where a run was last submitted."""
        return self._places.get(Submitted.of(run))

    def element(self, array: Array, index: int) -> Element | None:
        """An element as the scheduler has it; None where it has forgotten it. A silent scheduler forgets nothing."""
        if self._elements is None:
            try:
                names = [a.name for s in self.submissions for a in s.arrays]
                self._elements, self.silence = scheduler.elements(names), ""
            except Unreachable as error:
                self._elements, self.silence = {}, str(error)
        if self.silence:
            return Element(array.element_id(index), "UNKNOWN", self.silence)
        found = scheduler.element_of(self._elements, array.name, index)
        return found or self._accounted(array, index)

    def _accounted(self, array: Array, index: int) -> Element | None:
        """An element of accounting. One that waits or runs is another job of the same id: `squeue` would have it."""
        if not array.job_id:
            return None
        job_id = array.element_id(index)
        if job_id not in self._gone:
            known = scheduler.ended_elements([array.job_id])
            self._gone |= known
            self._gone.setdefault(job_id, known.get(array.job_id, Element(job_id, "")))
        return self._gone[job_id] if self._gone[job_id].state in scheduler.ENDED else None

    def busy(self, run: Run) -> Element | None:
        """A living job of a run's folder, for this scoring or another."""
        for array, index in self._folders.get(run.train.folder, []):
            if (element := self.element(array, index)) and element.active and str(index) not in array.refused:
                return element
        return None

    def status(self, run: Run) -> Status:
        """The state of a run: its folder's, and where that leaves it open, its job's."""
        claims = self._claims.setdefault(run.train.folder, run.folder(self.root).claims)
        data = self.data.of(run) if self.data else None
        seen, place = status(run, self.root, claims, data), self.place(run)
        if place is None or seen.state == "done":
            return seen
        submission, array, index = place
        if (refusal := array.refused.get(str(index))) and seen.state != "running":
            return replace(seen, state="failed", reason=refusal)
        element = self.element(array, index)
        if element is not None and element.active:
            return _waiting(seen, element)
        seen = status(run, self.root, claims, data)  # again: it may have ended well since the first look
        if element is None and self.hidden(submission):
            return _of_another(seen, submission, array.element_id(index))
        owner = self._owner(run)
        if seen.state in ("done", "failed", "stale") or (owner and owner != ticket_of(array.name, index)):
            return seen  # somebody else was at it after the job
        if seen.state == "running":
            seen = replace(seen, state="interrupted", reason="its node or its process died")
        return self._after(seen, element, submission, array, index)

    def _owner(self, run: Run) -> str:
        current = run.folder(self.root).claims.current()
        return current[1].job if current else ""

    def _after(self, seen: Status, element: Element | None, submission: Submission, array: Array, index: int) -> Status:
        """The state of a run whose job has ended."""
        if not array.job_id:
            return seen
        job_id, state = array.element_id(index), element.state if element else "ended"
        if state == "CANCELLED" or (element is None and index in array.cancelled):
            if seen.state == "planned":
                return seen  # it never started
            return replace(seen, state="interrupted", reason=f"job {job_id} was cancelled")
        if seen.state == "interrupted":
            return replace(seen, reason=f"{seen.reason}; job {job_id}: {state}")
        log = self.root / FOLDER / submission.id / array.folder / job_id / f"{job_id}_0_log.err"
        said = f": {line}" if (line := last_error(log)) else ""
        return replace(seen, state="failed", reason=f"job {job_id} ended without a word ({state}){said}; log: {log}")

    def hidden(self, submission: Submission) -> bool:
        """Are the jobs of a submission another user's, at a site that shows each user only their own?"""
        if submission.user in ("", current_user()) or self.silence:
            return False
        if self._hides is None:
            self._hides = scheduler.hides_others()
        return self._hides


def _of_another(seen: Status, submission: Submission, job_id: str) -> Status:
    """A colleague's job at a site that hides it: the heartbeat alone says whether it runs."""
    if seen.state not in ("planned", "running", "interrupted"):
        return seen
    whose = f"another user's job {job_id} ({submission.user}), which this site does not show"
    if seen.state == "planned":
        return replace(seen, state="queued", reason=f"{whose}; --force submits it again")
    return replace(seen, reason=", ".join(filter(None, [seen.reason, whose])))


# what tells most first: a cause, an error, what srun and slurmstepd say of every step that ends
TELLING = (
    re.compile(r"exceeded|out of memory|oom|no space|quota", re.IGNORECASE),
    re.compile(r"^(?!srun: |slurmstepd\S*: ).*(error|killed|not found|denied)", re.IGNORECASE),
    re.compile(r"error|killed", re.IGNORECASE),
)


def last_error(log: Path) -> str:
    """The last line of a job's log that tells most, else its last line; empty without a log."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    ranked = [line for pattern in TELLING for line in reversed(lines) if pattern.search(line)]
    telling = next(iter([*ranked, *lines[-1:]]), "")
    printable = "".join(c if c.isprintable() else " " for c in telling)
    return " ".join(printable.split())[:LONGEST_LINE]


def current_user() -> str:
    """The name of the user of this process, or their number where no name is known."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _waiting(seen: Status, element: Element) -> Status:
    if seen.state == "running":  # at its last checkpoint, perhaps
        return replace(seen, doing="ending") if element.state == "COMPLETING" else seen
    reason = ", ".join(filter(None, [f"job {element.job_id}", element.node or element.reason]))
    if element.state in ("RUNNING", "COMPLETING"):
        doing = "starting" if element.state == "RUNNING" else "ending"
        return replace(seen, state="running", reason=reason, doing=doing, rate=None)
    return replace(seen, state="queued", reason=reason)


def statuses(
    runs: Iterable[Run], root: Path, data: DataStates | None = None, *, share: bool = True
) -> list[tuple[Run, Status]]:
    """Every run with its state, submitted or not. data: what runs would read now, where it is looked at.

    share: they may take what was made under another name.
    """
    queue = Queue(root, data)
    rows = [(run, queue.status(run)) for run in runs]
    return rows if share else [(run, replace(seen, shared="")) for run, seen in rows]
