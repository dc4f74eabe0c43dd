"""Episodic-binary evaluation, the few-shot literature's: a pixel is one given class or `others`.

Items are pairs of an image and one unseen class in it, from HSNet's lists. The class is *given*, so these numbers never
stand beside generalised ones. As HSNet's `common/logger.py` has it, intersections and unions are summed over the items
of each class; mIoU averages the foreground IoU over the fold's unseen classes, FB-IoU sums areas over all classes and
averages background and foreground. The word that stands for everything else is LSeg's "others".
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.choices import Precision
from benchmarks.data.reader import Reader, Watch
from benchmarks.labels import apply, table_of
from benchmarks.protocol import Inference
from benchmarks.scoring.ahead import Truth, at_short_side, in_order, sent
from benchmarks.scoring.evaluate import Evaluation, best_classes
from benchmarks.scoring.nan_watch import NanWatch
from benchmarks.scoring.tally import MOST_IMAGES, PairCounts
from methods.label_codes import IGNORED
from methods.method import Method, Vocabulary
from splits.errors import UserError
from splits.loader import Split
from splits.pairs import Pair

OTHERS = "others"
HSNET_ITEMS = 1000  # its Pascal test goes round the list until it has had so many


def chosen(pairs: Sequence[Pair], reader: Reader, *, hsnet: bool, limit: int | None) -> tuple[Pair, ...]:
    """The items to score, in order: those whose image is there; `hsnet`: the first 1,000 of them, going round.

    Raises UserError where no listed image is there.
    """
    there = set(reader.ids)
    items = [pair for pair in pairs if pair[0] in there]
    if not items:
        raise UserError(f"none of the {len(pairs)} listed items has its image among the {len(reader)} that are there")
    if hsnet:
        items = [items[i % len(items)] for i in range(HSNET_ITEMS)]
    return tuple(items[:limit])


def item_table(split: Split, class_: str) -> np.ndarray:
    """uint8, by mask id: 1 for the class, 0 for everything else, 255 for what counts nowhere."""
    entries = dict.fromkeys(split.legal_ids, 0) | {split.ids[split.classes.index(class_)]: 1}
    return table_of(split, entries if split.ignore_id is None else entries | {split.ignore_id: IGNORED})


@torch.inference_mode()
def evaluate_items(
    method: Method,
    reader: Reader,
    split: Split,
    items: Sequence[Pair],
    unseen: Vocabulary,
    inference: Inference,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    watch: Watch = lambda done, total: None,
) -> Evaluation:
    """Score a method on items, each against its one class of `unseen` (the fold's unseen classes, in order).

    The matrix is `(1, 2K, 2K)`: others and class k have rows 2k and 2k + 1, and no pixel lies outside their blocks. No
    class is seen here, so no shift applies: the sweep has the shift 0 alone.
    """
    method.eval()
    device = torch.device(device)
    index_of = {id_: index for index, id_ in enumerate(reader.ids)}
    pairs, nans, ignored = PairCounts(2 * len(unseen), device), NanWatch(method), 0

    def read(number: int) -> tuple[NDArray[np.uint8], Truth]:
        id_, class_ = items[number]
        sample = reader.read(index_of[id_])
        truth = Truth.of(apply(item_table(split, class_), sample.mask), 2)
        return at_short_side(sample.image, inference), truth

    start, warm = time.perf_counter(), 0.0
    for done, (image, truth) in enumerate(in_order(read, len(items), device)):
        k = unseen.names.index(items[done][1])
        two = Vocabulary((OTHERS, unseen.names[k]), (False, False), (OTHERS, unseen.texts[k]), unseen.templates)
        _, best = best_classes(method, image, two, inference, truth.size, device, nans, precision=precision)
        assert best is not None
        codes = sent(truth.planes[0], device)
        there = torch.where(codes < truth.first_code, codes.long() + 2 * k, 2 * len(unseen))
        pairs.begin()
        pairs.add(there.flatten(), best[1].flatten() + 2 * k, torch.zeros_like(codes).flatten())
        ignored += truth.ignored
        if done % MOST_IMAGES == 0:
            nans.check()
        warm = warm or time.perf_counter()
        watch(done + 1, len(items))
    nans.check()
    counts = pairs.rows()
    matrix = np.zeros((2 * len(unseen), 2 * len(unseen)), dtype=np.int64)
    np.add.at(matrix, (counts[:, 1], counts[:, 2]), counts[:, 3])
    end = time.perf_counter()
    rate = (len(items) - 1) / (end - warm) if len(items) > 1 else None
    return Evaluation(np.zeros(1), 0, matrix[None], counts, len(items), ignored, end - start, rate)
