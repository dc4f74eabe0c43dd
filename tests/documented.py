"""The commands that pages show, and how they are made small enough to be run by a test.

As printed, but: four images and four iterations (`--limit 4`), fold 0 and one seed, in this process, on the CPU; the
built-in CLIP in place of one that has to be downloaded; of all methods two on photos, and COCO's edition of 2017;
names of files and keys as the test has them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import harness

PROJECT = Path(__file__).resolve().parent.parent
LIMITED = ("run", "eval", "status", "picture", "sensitivity", "score", "check-determinism")
IN_FOLDS = ("run", "eval", "status", "picture", "sensitivity")
MAKING = ("run", "eval", "sensitivity")
NEEDS = {  # a word of a command -> what is not at hand where tests run
    "voc.pth": "a released checkpoint",
    "FILE.pth": "a released checkpoint",
    "context-49-10": "PASCAL-Context",
    "--protocol training-free --benchmarks": "PASCAL-Context",
    "--show sets": "records of the training-free protocol",
}


def fenced(text: str) -> Iterator[str]:
    """Lines of code blocks, those that end in a backslash joined with the next."""
    inside, start = False, ""
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif inside and line.endswith("\\"):
            start += line[:-1] + " "
        elif inside:
            yield start + line
            start = ""


def commands(text: str) -> list[str]:
    """The calls of the harness that a page shows in its code blocks, without comments."""
    lines = (line.partition("  #")[0].partition(" > ")[0].strip() for line in fenced(text))
    return [" ".join(line.split()) for line in lines if line.startswith("python harness.py ")]


def lacking(command: str) -> str:
    """What a command needs that is not at hand; empty where it can be run."""
    return next((reason for word, reason in NEEDS.items() if word in command), "")


def small(command: str, names: Mapping[str, str]) -> list[str]:
    """The words of a command, made small. names: words to put in place of others."""
    words = shlex.split(command)[2:]
    if words[0] not in harness.COMMANDS:
        words.insert(0, "run")
    for old, new in names.items():
        words = [word.replace(old, new) for word in words]
    name = words[0]
    if name == "sensitivity" and "--from" in words:
        return words  # stored records alone
    words = _without(words, "--seeds", "--jobs", "--clip", "--n", "--limit")
    if name in MAKING and "--data-root" in words and "all" in words:
        at = words.index("all")
        words[at : at + 1] = ["zegclip", "clip"]
    words = [word for word in words if word != "--download"]
    if name in LIMITED and "--limit" not in words:
        words += ["--limit", "4"]
    if name in IN_FOLDS and not {"--folds", "--run", "--weights"} & {*words}:
        words += ["--folds", "0"]
    if name in MAKING and "--cluster" not in words and "--ranks" not in words:
        words += ["--cluster", "debug"]
    if name in MAKING and "--cluster" in words and "slurm" in words and "--dry-run" not in words:
        words += ["--dry-run"]
    if name in (*MAKING, "predict") and "--device" not in words and "slurm" not in words:
        words += ["--device", "cpu"]
    if name == "sensitivity":
        words += ["--n", "1"]
    if name == "predict":
        words += [] if "--force" in words else ["--force"]
        words += ["--limit", "4"]
    if name in ("picture", "report") and "--out" not in words:
        words += ["--out", "figures" if name == "picture" else "report.html"]
    if "--data-root" in words and name in (*MAKING, "prepare", "predict", "score"):
        words += ["--subset"]
    if "coco-20i" in words:
        words += ["--year", "2017"]
    if words[:2] == ["data", "prepare"]:
        words += ["--subset"]
    return words


def _without(words: Sequence[str], *options: str) -> list[str]:
    """The words without these options and their values."""
    kept, dropping = [], False
    for word in words:
        dropping = word in options or (dropping and not word.startswith("-"))
        if not dropping:
            kept.append(word)
    return kept
