"""Every trial, and the table of what was survived.

    python -m tests.torture                 all of it, in full: hours on a busy machine (`make torture`)
    python -m tests.torture kill disk       some of it; their rows replace those in the stored table
    python -m tests.torture --short         a few of each, nothing stored

The table is printed as Markdown and stored with machine and commit in results/reliability/trials.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from results.files import write_atomically
from results.provenance import git_state

SCRIPTS = ("kill", "concurrent", "disk", "signals", "memory", "fuzz")
STORED = Path(__file__).resolve().parents[2] / "results" / "reliability" / "trials.json"


def machine() -> dict[str, object]:
    """Where the trials ran."""
    commit, dirty = git_state()
    return {
        "commit": commit,
        "dirty": dirty,
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def table(stored: dict[str, list[dict]]) -> str:
    """The rows of all scripts as Markdown."""
    lines = ["| What | How many | Survived |", "|---|---:|---:|"]
    for script in (name for name in SCRIPTS if name in stored):
        lines += [f"| {_words(row)} | {row['trials']:,} | {row['survived']:,} |" for row in stored[script]]
    return "\n".join(lines)


def _words(row: dict) -> str:
    return f"{row['what']} ({row['note']})" if row["note"] else row["what"]


def main() -> int:
    """Run what is asked; exit code 1 if anything was not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", metavar="|".join(SCRIPTS))
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.scripts) - set(SCRIPTS):
        parser.error(f"no such trials: {', '.join(sorted(unknown))}")
    stored = json.loads(STORED.read_text())["trials"] if STORED.exists() and not options.short else {}
    failed = False
    for name in options.scripts or SCRIPTS:
        stored[name] = []
        for row in import_module(f"tests.torture.{name}").main(options.short):
            stored[name].append({**asdict(row), "seconds": round(row.seconds)})
            failed |= row.survived < row.trials or not row.trials
            if not options.short:
                content = {"machine": machine(), "trials": {n: stored[n] for n in SCRIPTS if n in stored}}
                write_atomically(STORED, (json.dumps(content, indent=1) + "\n").encode())
    print("\n" + table(stored))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
