"""Every trial, and the table of what was survived.

    python -m tests.torture                 all of it, two scripts at a time (`make torture`)
    python -m tests.torture kill disk       some of it; their rows replace those in the stored table
    python -m tests.torture --short         a few of each, nothing stored
    python -m tests.torture --table         print the stored table as docs/reliability.md has it, run nothing

Rows are stored with machine and commit in results/reliability/trials.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from results.store.files import write_atomically
from results.store.places import PROJECT
from results.store.provenance import git_state

# begun, and told, in this order
SCRIPTS = ("kill", "ranks", "commands", "checkpoints", "disk", "concurrent", "signals", "determinism", "memory", "fuzz")
STORED = PROJECT / "results" / "reliability" / "trials.json"
Stored = dict[str, dict[str, Any]]  # script to machine and rows


def source() -> dict[str, object]:
    """What was tried."""
    commit, dirty = git_state()
    return {"commit": commit, "dirty": dirty}


def machine() -> dict[str, object]:
    """Where the trials ran."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def stored() -> Stored:
    """The rows of all scripts that ran, and where they did."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


def table(found: Stored) -> str:
    """The rows of all scripts as Markdown."""
    lines = ["| what | trials | survived |", "| --- | ---: | ---: |"]
    for name in (known for known in SCRIPTS if known in found):
        lines += [f"| {_words(row)} | {row['trials']:,} | {row['survived']:,} |" for row in found[name]["rows"]]
    return "\n".join(lines)


def _words(row: dict[str, Any]) -> str:
    return f"{row['what']} ({row['note']})" if row["note"] else row["what"]


def run(name: str, short: bool) -> tuple[str, int, list[dict[str, Any]]]:
    """One script in a process of its own; its exit code, and its rows."""
    with tempfile.TemporaryDirectory(prefix="zss-torture-") as folder:
        rows = Path(folder, "rows.jsonl")
        command = [sys.executable, "-m", f"tests.torture.{name}", "--rows", str(rows), *["--short"] * short]
        code = subprocess.run(command, cwd=PROJECT, check=False).returncode
        return name, code, [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []


def run_all(names: list[str], short: bool, at_once: int) -> Iterator[tuple[str, int, list[dict[str, Any]]]]:
    """As they end."""
    with ThreadPoolExecutor(at_once) as lanes:
        for ended in as_completed([lanes.submit(run, name, short) for name in names]):
            yield ended.result()


def main() -> int:
    """Run what is asked; exit code 1 if anything was not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", metavar="|".join(SCRIPTS))
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="scripts at once; default: 2")
    options = parser.parse_args()
    if unknown := set(options.scripts) - set(SCRIPTS):
        parser.error(f"no such trials: {', '.join(sorted(unknown))}")
    if options.table:
        print(table(stored()))
        return 0
    found: Stored = {}
    failed, tried, here = False, source(), machine()
    for name, code, rows in run_all(options.scripts or list(SCRIPTS), options.short, options.at_once):
        failed |= code != 0
        made = {"machine": here, "rows": [row | tried for row in rows]}
        found = (found if options.short else stored()) | {name: made}
        if not options.short:
            ordered = {known: found[known] for known in SCRIPTS if known in found}
            write_atomically(STORED, (json.dumps(ordered, indent=1, ensure_ascii=False) + "\n").encode())
    print("\n" + table(found))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
