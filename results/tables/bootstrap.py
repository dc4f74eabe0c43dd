"""Draws of images with replacement, and the scores of each draw: one draw for all methods and seeds of an image list.

Runs of one list share their draws, so the error that images cause is common to two methods as far as it is in truth.
What is needed of a run is a weighted mean, over folds and seeds, of its scores in every draw: all means that anybody
asks for are gathered in one pass over the draws, chunk by chunk, whatever the number of images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.choices import AbsentRule
from benchmarks.scoring.metrics import harmonic, iou
from results.tables.statistics import METRICS, Counts, Floats, ious, means

DRAWS = 20_000
SEED = 20240  # of the draws: the same interval on every call
ROOM = 1 << 22  # weights made at once
KEPT = 1 << 25  # weights of one list that stay in memory from call to call


def scores(counts: Counts) -> dict[str, float]:
    """METRICS of all images, each once; NaN where undefined."""
    per_class = ious(counts, np.ones((1, len(counts.hit))))
    return {metric: float(value[0]) for metric, value in means(per_class, counts.seen).items()}


Weights = Mapping[int, float]  # which run (a place in a list of runs) -> its weight in a mean


def mean_draws(runs: Sequence[Counts], wanted: Sequence[Weights], draws: int = DRAWS) -> list[NDArray[np.float32]]:
    """`(len(METRICS), draws)` for each wanted mean: the weighted sum over its runs of every draw's METRICS.

    Runs with equal `images` share draws. NaN in a draw in which a metric of one of the runs is undefined.
    """
    found = [np.zeros((len(METRICS), draws), dtype=np.float32) for _ in wanted]
    uses = _uses(runs, wanted)
    for listed, size in sorted({(run.images, len(run.hit)) for run in runs}):
        here = [(run, use) for run, use in uses if (run.images, len(run.hit)) == (listed, size)]
        truths: dict[bytes, Any] = {}  # runs of one list have the same truth
        packed = [(_packed(run), _truth_of(run, truths), run, use) for run, use in here]
        for start, weights in chunks(listed, size, draws):
            place = slice(start, start + weights.shape[1])
            labelled = {key: truth @ weights for key, truth in truths.items()}
            for counts, key, run, use in packed:
                drawn = _scores(_iou(counts @ weights, labelled[key], run.rule), run.seen)
                for which, weight in use.items():
                    found[which][:, place] += np.float32(weight) * drawn
    return found


def class_draws(run: Counts, draws: int = DRAWS) -> NDArray[np.float32]:
    """`(C, draws)` IoU of each class in every draw; NaN where it is undefined."""
    found, packed = np.empty((run.hit.shape[1], draws), dtype=np.float32), _packed(run)
    truth = _sparse(run.truth)
    for start, weights in chunks(run.images, len(run.hit), draws):
        found[:, start : start + weights.shape[1]] = _iou(packed @ weights, truth @ weights, run.rule)
    return found


def chunks(listed: str, size: int, draws: int) -> Iterable[tuple[int, NDArray[np.float32]]]:
    """The first draw's number and `(size, n)` float32, how often each of n draws has each image; for all draws."""
    return _kept(listed, size, draws) if size * draws <= KEPT else _drawn(listed, size, draws)


@lru_cache(maxsize=1)
def _kept(listed: str, size: int, draws: int) -> list[tuple[int, NDArray[np.float32]]]:
    return list(_drawn(listed, size, draws))


def _drawn(listed: str, size: int, draws: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    step = max(1, min(1000, ROOM // max(size, 1)))
    words = np.frombuffer(hashlib.sha256(listed.encode()).digest()[:8], dtype=np.uint32)
    for start in range(0, draws, step):
        count = min(step, draws - start)
        rng = np.random.default_rng([SEED, size, start, *map(int, words)])
        chosen = rng.integers(0, size, (size, count), dtype=np.int32)
        chosen = chosen * np.int64(count) + np.arange(count)
        yield start, np.bincount(chosen.ravel(), minlength=size * count).reshape(size, count).astype(np.float32)


def _uses(runs: Sequence[Counts], wanted: Sequence[Weights]) -> list[tuple[Counts, dict[int, float]]]:
    """Each run once with its weight in each mean; runs that counted the same (seeds of what is not trained) as one."""
    first: dict[str, int] = {}
    uses: dict[int, dict[int, float]] = {}
    for which, weights in enumerate(wanted):
        for place, weight in weights.items():
            name = runs[place].name
            at = first.setdefault(name, place) if name else place
            use = uses.setdefault(at, {})
            use[which] = use.get(which, 0.0) + weight
    return [(runs[place], use) for place, use in sorted(uses.items())]


def _packed(run: Counts) -> Any:
    """`(2 C, N)` sparse: the pixels of each image that are right, and those wrongly given to a class."""
    return _sparse(np.concatenate([run.hit, run.predicted - run.hit], axis=1))


def _truth_of(run: Counts, known: dict[bytes, Any]) -> bytes:
    """The key of this run's truth `(C, N)` among those known, where it is put if it is new."""
    key = hashlib.sha256(run.truth.tobytes()).digest()
    if key not in known:
        known[key] = _sparse(run.truth)
    return key


def _sparse(counts: NDArray[Any]) -> Any:
    return sparse.csr_matrix(counts.T.astype(np.float32))


def _iou(sums: NDArray[Any], truth: NDArray[Any], rule: AbsentRule) -> NDArray[Any]:
    """`(C, n)` from `(2 C, n)` sums of hits and false alarms, and `(C, n)` sums of the truth."""
    hit, wrong = np.split(sums, 2)
    return iou(hit, truth, hit + wrong, rule)


def _scores(per_class: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`(len(METRICS), n)`."""
    s, u = _mean(per_class[seen]), _mean(per_class[~seen])
    return np.stack([s, u, harmonic(s, u)]).astype(np.float32)


def _mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over classes of what is defined; NaN where nothing is."""
    mean = values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan, dtype=np.float32)
    if not np.isnan(mean).any():
        return mean
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, np.float32(0)).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def spread(draws: Floats | NDArray[np.float32]) -> tuple[float, float]:
    """Standard error from draws of one value, undefined ones left out, and the Monte Carlo standard error of it.

    The second: sd(s) = s / 2 * sqrt((kurtosis - 1) / draws), to first order.
    """
    known = draws[~np.isnan(draws)].astype(np.float64)
    if len(known) < 2:
        return float("nan"), float("nan")
    error = float(known.std(ddof=1))
    if error == 0:
        return 0.0, 0.0
    kurtosis = float((((known - known.mean()) / error) ** 4).mean())
    return error, error / 2 * float(np.sqrt(max(kurtosis - 1, 0.0) / len(known)))
