"""Memory over a long training and a long evaluation: what is resident late must be what was resident early.

python -m tests.torture.memory            steps 200 and 2,000
python -m tests.torture.memory --short    steps 20 and 120
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.torture.trials import Row, ended, forked, script, timed, warm

GROWTH = 0.02
METHOD = "zegclip"
LARGER = 4


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def training(early: int, late: int) -> Row:
    """RSS after `late` steps against that after `early` ones."""
    with timed(Row(f"memory in training: resident after {late:,} steps within 2 % of that after {early:,}")) as row:
        row.add(_measured(row, lambda folder, marks: _train(folder, late, marks), early, late))
    return row


def evaluation(early: int, late: int) -> Row:
    """The same over scored images."""
    with timed(Row(f"memory in evaluation: resident after {late:,} images within 2 % of that after {early:,}")) as row:
        row.add(_measured(row, lambda folder, marks: _score(folder, late, marks), early, late))
    return row


def big_image(classes: int = 64) -> Row:
    """The most memory that an image of 20 megapixels takes: all its classes at full size at once would be more."""
    at_once = classes * 20_000_000 * 4
    with timed(Row(f"memory for an image of 20 megapixels and {classes} classes below that of all its scores")) as row:
        with tempfile.TemporaryDirectory(prefix="zss-memory-") as name:
            told = Path(name, "peak")
            code = ended(forked(lambda: told.write_text(str(_score_big(classes))) * 0, Path(name, "log.txt")), 3600)
            if code != 0:
                row.add(f"ended with {code}: {Path(name, 'log.txt').read_text()[-500:]}")
                return row
            peak = int(told.read_text())
        row.note = f"{peak / 2**30:.1f} GiB of {at_once / 2**30:.1f} GiB"
        row.add("" if peak < at_once else f"took {peak / 2**30:.1f} GiB")
    return row


def _score_big(classes: int) -> int:
    """Bytes that scoring took at its peak; its answer must be right too."""
    import torch

    from benchmarks.protocol import Inference
    from benchmarks.scoring.evaluate import best_classes
    from methods.method import Method, Vocabulary

    class Second(Method):
        """Class 1 everywhere."""

        def scores(self, images, vocabulary):
            one = torch.nn.functional.one_hot(torch.tensor(1), len(vocabulary)).float()
            return one[None, :, None, None].expand(-1, -1, 4, 5)

        def activate(self, scores, seen):
            return scores

    names = tuple(f"c{i}" for i in range(classes))
    vocabulary = Vocabulary(names, (True,) * classes, names, ("a {}",))
    image, before = np.zeros((4000, 5000, 3), np.uint8), resident()
    seen, _ = best_classes(Second(), image, vocabulary, Inference(short_side=64), (4000, 5000))
    assert seen is not None
    assert bool((seen[1] == 1).all())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


Marks = Callable[[int], None]


def _measured(row: Row, work: Callable[[Path, Marks], None], early: int, late: int) -> str:
    with tempfile.TemporaryDirectory(prefix="zss-memory-") as name:
        folder = Path(name)

        def mark(step: int) -> None:
            if step in (early, late):
                (folder / str(step)).write_text(str(resident()))

        code = ended(forked(lambda: work(folder, mark), folder / "log.txt"), seconds=3 * 3600)
        if code != 0:
            return f"ended with {code}: {(folder / 'log.txt').read_text()[-500:]}"
        if missing := [step for step in (early, late) if not (folder / str(step)).exists()]:
            return f"never came to {missing}: {(folder / 'log.txt').read_text()[-500:]}"
        before, after = (int((folder / str(step)).read_text()) for step in (early, late))
    growth = after / before - 1
    row.note = f"{before / 2**20:.0f} MiB, then {100 * growth:+.2f} %"
    return "" if growth <= GROWTH else f"grew by {100 * growth:.1f} %"


def _train(folder: Path, steps: int, mark: Marks) -> None:
    from benchmarks.training import train as module
    from results.launch.plan.request import Request
    from results.launch.plan.runs import plan
    from results.launch.run import training as launched
    from results.launch.run.job import Job
    from results.launch.run.worker import run_job

    class Enough(Exception):
        """Scoring is not what is measured here."""

    def watching(*arguments, watch, **options):
        def both(progress) -> None:
            watch(progress)
            mark(progress.step)

        module.train(*arguments, watch=both, **options)
        raise Enough

    launched.train = watching  # type: ignore[assignment]
    small = ("recipe.batch=1", f"recipe.iterations={steps}")
    (run,) = plan(Request(methods=(METHOD,), benchmarks=("shapes-5i",), folds=(0,), overrides=small))
    _keep_few_scenes()
    run_job(Job(run, folder / "runs"))


def _score(folder: Path, images: int, mark: Marks) -> None:
    from benchmarks.catalogue import Data, benchmark
    from benchmarks.data.limited import Limited
    from benchmarks.labels import evaluation_table
    from benchmarks.scoring.evaluate import evaluate
    from results.launch.run.build import build, clip_of, vocabulary_of
    from tests.torture.trials import job_of

    job = job_of("clip", folder / "runs")
    bench, side = benchmark("shapes-5i"), job.run.evaluation.side
    reader = _Again(Limited(Data().open(bench, "val"), 10), images)
    evaluate(
        build(job.run.train, clip_of(job.run.train.clip, None)),
        reader,
        vocabulary_of(side, side.classes),
        side.inference,
        evaluation_table(bench.split, bench.split.fold(0)),
        watch=lambda done, total: mark(done),
    )


class _Again:
    """The pictures of a reader over and over, as the built-in world keeps every picture that it drew; and enlarged.

    Pixels are noted before they are counted (`counts.PENDING`): pictures so small would take 1,600 images
    to touch all of those 16 MiB for the first time.
    """

    def __init__(self, reader, count: int):
        self.reader, self.count = reader, count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int):
        small = self.reader.read(index % len(self.reader))
        image, mask = (np.repeat(np.repeat(part, LARGER, 0), LARGER, 1) for part in (small.image, small.mask))
        return replace(small, image=image, mask=mask)


def _keep_few_scenes() -> None:
    """The built-in world keeps what it drew, by design; it shall not pass for growth."""
    from benchmarks.data.shapes import ShapesReader

    read = ShapesReader.read
    ShapesReader.read = lambda self, index: read(self, index % 10)  # type: ignore[method-assign]


def main(short: bool) -> Iterator[Row]:
    """All of it."""
    warm()
    early, late = (20, 120) if short else (200, 2000)
    yield training(early, late)
    yield evaluation(early, late)
    if not short:
        yield big_image()


if __name__ == "__main__":
    sys.exit(script(main, __doc__))
