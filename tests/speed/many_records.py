"""How time and memory of what only looks at records grow with their number: consistent records, all of them different.

    python -m tests.speed.many_records [--records 200 2000 10000] [--of tables report verify] [--keep DIR] [--out FILE]

Each command is called as a person calls it, start included. Prints a table; fails on no time and no memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.speed.process import measured
from tests.speed.synthetic import write

SIZES = (200, 2_000, 10_000)
COMMANDS = ("tables", "report", "verify")


def main() -> None:
    """Make the records, then time the commands on them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--records", type=int, nargs="+", default=SIZES)
    parser.add_argument("--of", nargs="+", choices=COMMANDS, default=COMMANDS)
    parser.add_argument("--keep", type=Path, help="put the records here, in a folder for each number, and leave them")
    parser.add_argument("--out", type=Path, help="add the rows to this JSON file")
    options = parser.parse_args()
    print("| records | command | seconds | of one processor | MiB at most |\n| ---: | --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as temporary:
        for count in options.records:
            root = (options.keep or Path(temporary)) / f"{count}"
            if len(list(root.glob("*/*/*/evals/*/record.json"))) < count:
                write(root, count)
            for command in options.of:
                row = taken(command, count, root, Path(temporary))
                print("| " + " | ".join(_shown(value) for value in row.values()) + " |", flush=True)
                if options.out is not None:
                    known = json.loads(options.out.read_text()) if options.out.exists() else []
                    options.out.write_text(json.dumps([*known, row], indent=1) + "\n")


def taken(command: str, count: int, root: Path, temporary: Path) -> dict[str, Any]:
    """One row of the table: what a command took."""
    words: dict[str, tuple[str | Path, ...]] = {
        "tables": ("tables", "--from", root),
        "report": ("report", "--from", root, "--out", temporary / "report.html"),
        "verify": ("results", "verify", "--from", root),
    }
    call = measured(*words[command])
    return {
        "records": count,
        "command": command,
        "seconds": call.wall,
        "processor": call.processor,
        "peak_mib": call.peak_mib,
    }


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


if __name__ == "__main__":
    main()
