"""How long tables and the report take on many stored records: copies of the reference records with other seeds.

    python -m benchmarks.speed.many_records [--records 10000] [--keep DIR]

The copies differ in seed and in pixel accuracy; each has its own confusion matrices on disk. Prints seconds; fails on
no time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.spec import TrainSpec

PROJECT = Path(__file__).resolve().parents[2]
REFERENCE = PROJECT / "results" / "reference"


def main() -> None:
    """Make the records, then time the commands as a person calls them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="put the records here and leave them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary) / "runs"
        print(f"{copies(root, options.records)} records in {root}")
        print(f"tables: {timed('tables', '--from', root)}")
        print(f"report: {timed('report', '--from', root, '--out', Path(temporary) / 'report.html')}")


def copies(root: Path, count: int) -> int:
    """Write `count` records below `root`, seed after seed over the reference's runs of seed 0."""
    originals = sorted(REFERENCE.glob("*/*/fold*-seed0-*/evals/*/record.json"))
    for made in range(count):
        seed, which = divmod(made, len(originals))
        source = originals[which]
        data = json.loads(source.read_text(encoding="utf-8"))
        data["result"]["train"]["seed"] = seed
        data["result"]["own"]["pacc"] *= 1 - seed * 1e-5
        spec = TrainSpec.parse(data["result"]["train"], source="the copy")
        folder = root / spec.folder / "evals" / source.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "confusion.npz").write_bytes(source.with_name("confusion.npz").read_bytes())
        (folder / "record.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    return count


def timed(*arguments: str | Path) -> str:
    """Wall and processor time of one call of the harness, its start included; they part on a machine that is busy."""
    start, before = time.perf_counter(), os.times()
    command = [sys.executable, str(PROJECT / "harness.py"), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return f"{wall:.1f} s, {used:.1f} s of one processor"


if __name__ == "__main__":
    main()
