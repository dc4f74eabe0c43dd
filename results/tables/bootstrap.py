"""Draws of images with replacement, and the scores of each draw: one draw for all methods and seeds of an image list.

Runs of one list share their draws, so the error that images cause is common to two methods as far as it is in truth.
What is needed of a run is a weighted mean, over folds and seeds, of its scores in every draw: all means that anybody
asks for are gathered in one pass over the runs, which are read one after the other and let go: thousands of them need
not fit into memory. Chunks of draws are independent of one another and are shared among threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.choices import AbsentRule
from benchmarks.data.parallel import cores
from benchmarks.scoring.metrics import harmonic, iou
from results.tables.dense_draws import Dense, Few, dense, is_exact
from results.tables.statistics import METRICS, Counts, Floats, Head, ious, means

DRAWS = 20_000
SEED = 20240  # of the draws: the same interval on every call
ROOM = 1 << 22  # weights made at once
LACKING = 0.05  # of the draws may have no class of a kind (our choice)
KEPT = 1 << 25  # weights of one list that stay in memory from call to call, a byte each
BLOCK = 1 << 22  # bytes of counts in memory at once
THREADS = 8  # at most: more wait for memory


def scores(counts: Counts) -> dict[str, float]:
    """METRICS of all images, each once; NaN where undefined."""
    per_class = ious(counts, np.ones((1, len(counts.hit))))
    return {metric: float(value[0]) for metric, value in means(per_class, counts.seen).items()}


Weights = Mapping[int, float]  # which run (a place in a list of runs) -> its weight in a mean


def mean_draws(runs: Sequence[Counts], wanted: Sequence[Weights], draws: int = DRAWS) -> list[NDArray[np.float32]]:
    """`streamed_draws` of runs that are in memory."""
    return streamed_draws([run.head for run in runs], lambda place: runs[place], wanted, draws)


def streamed_draws(
    heads: Sequence[Head], read: Callable[[int], Counts], wanted: Sequence[Weights], draws: int = DRAWS
) -> list[NDArray[np.float32]]:
    """`(len(METRICS), draws)` for each wanted mean: the weighted sum over its runs of every draw's METRICS.

    read: the counts of a run, by its place among the heads; each is asked for once. Runs with equal `images` share
    draws. NaN in a draw in which a metric of one of the runs is undefined.
    """
    found = [np.zeros((len(METRICS), draws), dtype=np.float32) for _ in wanted]
    uses = _uses(heads, wanted)
    for listed, size in sorted({(heads[place].images, heads[place].size) for place, _ in uses}):
        here = [(p, use) for p, use in uses if (heads[p].images, heads[p].size) == (listed, size)]
        for block, truths in _blocks(here, read):
            _add_draws(found, block, truths, chunks(listed, size, draws))
    return found


@dataclass(frozen=True)
class _Held:
    """One run in hand, and its weight in each mean."""

    counts: Any  # `Few`, or a sparse matrix
    truth: bytes  # which truth is its own
    head: Head
    use: Mapping[int, float]


def _blocks(
    uses: Sequence[tuple[int, Mapping[int, float]]], read: Callable[[int], Counts]
) -> Iterator[tuple[list[_Held], dict[bytes, Any]]]:
    """The runs, so many at once as fit into BLOCK, with the truths that they have."""
    block: list[_Held] = []
    truths: dict[bytes, Any] = {}  # runs of one list have the same truth
    held = 0
    for place, use in uses:
        run = read(place)
        counts = Few.of(run) if is_exact(run) else _packed(run)
        block.append(_Held(counts, _truth_of(run, truths), run.head, use))
        held += counts.nbytes if isinstance(counts, Few) else counts.data.nbytes + counts.indices.nbytes
        if held > BLOCK:
            yield block, truths
            block, truths, held = [], {}, 0
    if block:
        yield block, truths


def _add_draws(
    found: Sequence[NDArray[np.float32]],
    block: Sequence[_Held],
    truths: Mapping[bytes, Any],
    parts: Iterable[tuple[int, NDArray[np.float32]]],
) -> None:
    """Add the weighted draws of a block's runs to the means; each chunk of draws is one thread's.

    So products of matrices have one thread each: BLAS's own would wait for one another by spinning.
    """
    together = _together(block)
    packed = cache(lambda place: _one_packed(block[place].counts))

    def add(part: tuple[int, NDArray[np.float32]]) -> None:
        start, weights = part
        at = slice(start, start + weights.shape[1])
        labelled = {key: truth @ weights for key, truth in truths.items()}
        dense = {
            place: drawn
            for key, (places, runs) in together.items()
            if (labelled[key] > 0).all()  # else a class may be undefined
            for place, drawn in zip(places, runs.scores(weights, labelled[key]), strict=True)
        }
        for place, run in enumerate(block):
            drawn = dense.get(place)
            if drawn is None:
                ious_ = _iou(packed(place) @ weights, labelled[run.truth], run.head.rule)
                drawn = _scores(ious_, np.array(run.head.seen))
            for which, weight in run.use.items():
                found[which][:, at] += np.float32(weight) * drawn

    with threadpool_limits(1, user_api="blas"):
        for group in _grouped(parts, _threads()):
            list(_pool().map(add, group))


def _together(block: Sequence[_Held]) -> dict[bytes, tuple[list[int], Dense]]:
    """Of each truth the runs that are drawn at once, by their places in the block, and as they are drawn."""
    exact: dict[bytes, list[int]] = {}
    for place, run in enumerate(block):
        if isinstance(run.counts, Few):
            exact.setdefault(run.truth, []).append(place)
    found = {}
    for key, places in exact.items():
        seen = [np.array(block[place].head.seen) for place in places]
        runs = dense([block[place].counts for place in places], seen)
        if runs is not None:
            found[key] = (places, runs)
    return found


def _one_packed(counts: Any) -> Any:
    return _sparse(np.concatenate([counts.hit, counts.wrong], axis=1)) if isinstance(counts, Few) else counts


def _grouped(parts: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of so many: chunks of draws that do not stay in memory are not all made at once."""
    group: list[Any] = []
    for part in parts:
        group.append(part)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_threads())


def _threads() -> int:
    """As many as this process may use."""
    return min(cores(), THREADS)


def class_draws(run: Counts, draws: int = DRAWS) -> NDArray[np.float32]:
    """`(C, draws)` IoU of each class in every draw; NaN where it is undefined."""
    found, packed = np.empty((run.hit.shape[1], draws), dtype=np.float32), _packed(run)
    truth = _sparse(run.truth)
    for start, weights in chunks(run.images, len(run.hit), draws):
        found[:, start : start + weights.shape[1]] = _iou(packed @ weights, truth @ weights, run.rule)
    return found


def chunks(listed: str, size: int, draws: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The first draw's number and `(size, n)` float32, how often each of n draws has each image; for all draws."""
    kept = _kept(listed, size, draws) if size * draws <= KEPT else _drawn(listed, size, draws)
    return ((start, weights.astype(np.float32)) for start, weights in kept)


@lru_cache(maxsize=1)
def _kept(listed: str, size: int, draws: int) -> list[tuple[int, NDArray[Any]]]:
    return [
        (start, weights.astype(np.min_scalar_type(weights.max()))) for start, weights in _drawn(listed, size, draws)
    ]


def _drawn(listed: str, size: int, draws: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    step = max(1, min(1000, ROOM // max(size, 1)))
    words = np.frombuffer(hashlib.sha256(listed.encode()).digest()[:8], dtype=np.uint32)
    for start in range(0, draws, step):
        count = min(step, draws - start)
        rng = np.random.default_rng([SEED, size, start, *map(int, words)])
        chosen = rng.integers(0, size, (size, count), dtype=np.int32)
        chosen = chosen * np.int64(count) + np.arange(count)
        yield start, np.bincount(chosen.ravel(), minlength=size * count).reshape(size, count)


def _uses(heads: Sequence[Head], wanted: Sequence[Weights]) -> list[tuple[int, dict[int, float]]]:
    """Each run once with its weight in each mean; runs that counted the same (seeds of what is not trained) as one.

    Equal counts are one run only where the same classes are seen: folds may be counted alike and averaged otherwise.
    """
    first: dict[Head, int] = {}
    uses: dict[int, dict[int, float]] = {}
    for which, weights in enumerate(wanted):
        for place, weight in weights.items():
            head = heads[place]
            at = first.setdefault(head, place) if head.name else place
            use = uses.setdefault(at, {})
            use[which] = use.get(which, 0.0) + weight
    return sorted(uses.items())


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


def spread(draws: Floats | NDArray[np.float32], images: int) -> tuple[float, float]:
    """Standard error from draws of one value, undefined ones left out, and the Monte Carlo standard error of it.

    The second: sd(s) = s / 2 * sqrt((kurtosis - 1) / draws), to first order. NaN of one image, whose draws are all
    alike, and where more than a share of LACKING of the draws is undefined: the others are no fair sample.
    """
    known = draws[~np.isnan(draws)].astype(np.float64)
    if len(known) < 2 or images < 2 or len(known) < (1 - LACKING) * len(draws):
        return float("nan"), float("nan")
    error = float(known.std(ddof=1))
    if error == 0:
        return 0.0, 0.0
    square = ((known - known.mean()) / error) ** 2
    kurtosis = float((square * square).mean())
    return error, error / 2 * float(np.sqrt(max(kurtosis - 1, 0.0) / len(known)))
