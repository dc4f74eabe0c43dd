"""Where the ranks of one run find each other: a folder that all of them see. No torch here.

Rank 0 owns the run; the others wait here until they are called to an address, or learn that they are not needed. A
rank that fails leaves a note, since the others only notice that it is gone. One start of a run has one meeting: a
job that is queued again meets under another name.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.store.files import write_atomically
from splits.errors import UserError

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 3600.0  # rank 0 may be copying data to its node
NOTE_SECONDS = 5.0  # a rank that fails writes its note before its end is noticed, or right after


@dataclass(frozen=True)
class Address:
    """Where the ranks of a run meet."""

    host: str
    port: int


@dataclass(frozen=True)
class Meeting:
    """One start of a run with several ranks."""

    folder: Path
    name: str

    def call(self, address: Address) -> None:
        """Rank 0: come to this address."""
        self._write("address", {"host": address.host, "port": address.port})

    def over(self) -> None:
        """Rank 0: whoever still waits is not needed."""
        self._write("address", {})

    def wait(self) -> Address | None:
        """Another rank: the address, or None where there is nothing to do. Raises UserError where no word comes."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (word := self._read("address")) is None:
            if time.monotonic() > end:
                raise UserError(f"no word from rank 0 in {self.folder} for {PATIENCE_SECONDS:.0f} s; see its log")
            time.sleep(POLL_SECONDS)
        return Address(**word) if word else None

    def leave_note(self, rank: int, reason: str, *, own_fault: bool) -> None:
        """Another rank: why it has failed. own_fault: False where it only lost the others."""
        self._write(f"rank{rank}", {"rank": rank, "reason": reason, "own_fault": own_fault})

    def blame(self) -> str:
        """Which of the other ranks has failed by itself, and how; empty where no note says so."""
        guilty = [note for note in self._notes() if note["own_fault"]]
        return f"rank {guilty[0]['rank']}: {guilty[0]['reason']}" if guilty else ""

    def heard(self) -> set[int]:
        """The other ranks that have left a note."""
        return {note["rank"] for note in self._notes()}

    def wait_for_notes(self) -> None:
        """Give a rank that is gone the time to have said why."""
        end = time.monotonic() + NOTE_SECONDS
        while not any(note["own_fault"] for note in self._notes()) and time.monotonic() < end:
            time.sleep(POLL_SECONDS)

    def _notes(self) -> list[dict[str, Any]]:
        found = sorted(self.folder.glob(f"{self.name}-rank*.json"))
        return [note for path in found if (note := _json(path))]

    def _write(self, what: str, content: dict[str, Any]) -> None:
        write_atomically(self.folder / f"{self.name}-{what}.json", json.dumps(content).encode(), durable=False)

    def _read(self, what: str) -> dict[str, Any] | None:
        return _json(self.folder / f"{self.name}-{what}.json")


def _json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
