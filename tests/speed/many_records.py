"""How long tables and the report take on many stored records: copies of the reference records with other seeds.

    python -m tests.speed.many_records [--records 10000] [--keep DIR]

The copies differ in seed and in pixel accuracy; each has its own confusion matrices on disk. Prints seconds; fails on
no time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.spec import TrainSpec
from tests.speed.process import PROJECT, called

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
        print(f"tables: {_words('tables', '--from', root)}")
        print(f"report: {_words('report', '--from', root, '--out', Path(temporary) / 'report.html')}")


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


def _words(*arguments: str | Path) -> str:
    call = called(*arguments)
    return f"{call.wall:.1f} s, {call.processor:.1f} s of one processor"


if __name__ == "__main__":
    main()
