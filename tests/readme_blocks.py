"""The parts of pages that are made from stored records, between marks: `make readme` writes them anew.

    python -m tests.readme_blocks

`tests/test_readme.py` compares: a page never says what its records do not.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import pandas as pd

from results.store.selection import Selection, select
from results.tables.classes_and_costs import by_variant
from results.tables.content import COMPARISON, Content, gather, parts_of, trained_by
from results.tables.families import Counted, family_of, reader
from results.tables.row_names import names_of
from results.tables.sentences import explanation, sentence
from results.tables.table import STALE
from results.tuning.__main__ import TRIALS, as_markdown
from tests.reference_pages import WRITTEN

PROJECT = Path(__file__).resolve().parent.parent
REFERENCE = PROJECT / "results" / "reference"
PAIRS = (  # methods, by group
    (COMPARISON, "zegclip", "clip"),
    (COMPARISON, "zegclip", "zegclip-baseline"),
    (COMPARISON, "clip-to-seg", "clip"),
    (COMPARISON, "clipteacher", "clip"),
    (COMPARISON, "chimera-seg", "clip"),
    (COMPARISON, "clip-to-seg", "zegclip"),
    (COMPARISON, "clipteacher", "zegclip"),
    (COMPARISON, "chimera-seg", "zegclip"),
    (COMPARISON, "clipteacher", "clip-to-seg"),
    (COMPARISON, "clipteacher", "chimera-seg"),
    (COMPARISON, "clip-to-seg", "chimera-seg"),
    (COMPARISON, "cascade-clip", "zegclip"),
    (COMPARISON, "otseg", "zegclip"),
    (COMPARISON, "otseg+", "otseg"),
    ("ablation:zegclip", "zegclip", "zegclip-without-rd"),
    ("ablation:zegclip", "zegclip", "zegclip-without-dpt"),
    ("ablation:zegclip", "zegclip", "zegclip-without-nel"),
    ("ablation:clip-to-seg", "clip-to-seg", "clip-to-seg-ce"),
    ("ablation:clip-to-seg", "clip-to-seg", "clip-to-seg-without-local"),
    ("ablation:clip-to-seg", "clip-to-seg", "clip-to-seg-without-latent"),
    ("ablation:chimera-seg", "chimera-seg", "chimera-seg-conv-head"),
    ("ablation:chimera-seg", "chimera-seg", "chimera-seg-blocks-0"),
    ("ablation:chimera-seg", "chimera-seg", "chimera-seg-without-sgd"),
    ("ablation:chimera-seg", "chimera-seg", "chimera-seg-without-sam"),
)


def printed(*options: str, besides: Sequence[str] = ()) -> str:
    """What `tables` prints of the reference records, and of those in other folders besides."""
    command = [sys.executable, "harness.py", "tables", "--from", "results/reference", *besides, *options]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout


def pretraining() -> str:
    """What `compare` prints of the two bodies that `results/pretraining` has runs of."""
    rows = [f"clip-to-seg [body_weights={name}]" for name in ("published", "without-unseen")]
    command = [sys.executable, "harness.py", "compare", *rows, "--from", "results/pretraining"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout


@cache
def verdicts() -> str:
    """A sentence for each of PAIRS, by table, from the very families that `compare` and `tables` use."""
    found = select(Selection(roots=(REFERENCE,)))
    lines = [line for content in gather(found.records, {}) for line in _verdicts_of(content, reader(found.confusion))]
    return "\n".join([explanation(), *lines]) + "\n"


def _verdicts_of(content: Content, read: Counted) -> Iterator[str]:
    """Of one recipe: the pairs that it has rows of."""
    for group, part in parts_of(content).items():
        variants = by_variant(part.records, names_of(content))
        rows = {runs[0].result.train.method: name for name, runs in variants.items()}
        assert len(rows) == len(variants), "a method has several rows: which of them a sentence is of would not be said"
        pairs = [(rows[a], rows[b]) for of, a, b in PAIRS if of == group and {a, b} <= rows.keys()]
        if not pairs:
            continue
        family = family_of(part, variants, read)
        tested = next(iter(family.verdicts.values())).family
        title = "The comparison" if group == COMPARISON else f"Ablations of `{group.partition(':')[2]}`"
        yield from ("", f"{title}{trained_by(content)} ({tested} tested pair{'s' * (tested != 1)}):", "")
        yield from (f"* {sentence(family, a, b)}" for a, b in pairs)


def five_columns() -> str:
    """The first main table without its recipes, and one line on its marks."""
    lines = printed("--show", "main", "--notes", "none").splitlines()
    tables = [list(run) for is_row, run in groupby(lines, key=lambda line: line.startswith("|")) if is_row]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in tables[0]]
    kept = [at for at, header in enumerate(rows[0]) if header != "recipe"]
    table = "\n".join(f"| {' | '.join(row[at] for at in kept)} |" for row in [rows[0], *rows[2:]])
    rule = f"|{'|'.join('---' if at == 0 else '---:' for at in kept)}|"
    first, rest = table.split("\n", 1)
    marks = (
        "Mean over folds, in percent; ±: half the 95 % interval; bold: not separated from the best row,\n"
        "Holm-corrected over all pairs of rows. With three seeds even large differences may not be separated."
    )
    if len(tables) > 1:
        marks += "\nThe long recipe; `make run` trains by the short one, whose table stands in docs/evidence.md."
    if any(STALE in row[0] for row in rows):
        marks += f"\n{STALE}: made by older code than this, and not yet made anew."
    return f"{first}\n{rule}\n{rest}\n\n{marks}\n"


BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"table": five_columns},
    "docs/evidence.md": {
        "table": lambda: printed("--show", "main"),
        "verdicts": verdicts,
        "pretraining": pretraining,
        "calibrated": lambda: printed("--show", "calibrated", besides=["results/tuning/records"]),
    },
    "docs/tuning.md": {"trials": lambda: f"{as_markdown(pd.read_csv(TRIALS))}\n"},
    "results/reference/README.md": {"table": printed},
}


def block(page: str, name: str) -> str:
    """What stands between a page's marks now."""
    return page.split(f"<!-- {name}:begin -->\n\n")[1].split(f"\n<!-- {name}:end -->")[0]


def main() -> None:
    """Write every block, and the pages that are made as a whole."""
    for page, text_of in WRITTEN.items():
        (PROJECT / page).write_text(text_of(), encoding="utf-8")
    for page, blocks in BLOCKS.items():
        path = PROJECT / page
        text = path.read_text(encoding="utf-8")
        for name, made in blocks.items():
            text = text.replace(block(text, name), made())
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
