"""Latent class mining: what may be on unlabelled positions, from a frozen CLIP's dense tokens.

After CLIP-to-Seg (ICLR 2025 submission, eq. 1 and the text around it): means of sliding windows of several sizes are
the seeds, K-Means over the unlabelled positions moves them, clusters with similar centres are merged. Window sizes,
iterations, threshold and what becomes of small clusters stand in a supplement that could not be read for this project:
all of them are our reading, and fields of
`methods.distillation.distillation_config`.

Everything runs on the device for all images of a step at once, in fixed shapes, and gives the same result for an image
whatever its neighbours in the batch are (up to rounding). Sums go through matrix products, never through atomic adds.
Each batched step states the plain loop over one image that it replaces; `tests/methods/test_mining.py` holds those
loops, written out, against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.method import FIRST_CODE, UNLABELLED
from methods.precision import wide

Metric = Literal["cosine", "euclidean"]
NOWHERE = -1  # a grid position in no latent class


@dataclass(frozen=True)
class MiningRule:
    """The constants of the mining; `methods.distillation.distillation_config` says whose they are."""

    windows: tuple[float, ...]  # sides of the windows as shares of the grid's shorter side
    window_unlabelled: float  # a window with a smaller share of minable positions is no seed
    cell_unlabelled: float  # a grid cell with a smaller share of unlabelled pixels is not minable
    metric: Metric
    iterations: int  # of K-Means
    merge_above: float  # cosine of centres above which clusters are one
    smallest: float  # clusters of a smaller share of the grid's positions are dropped (at least one position)
    most: int  # latent classes kept in an image, the largest


@dataclass(frozen=True)
class Mined:
    """Latent classes of a batch, the largest of an image first."""

    grid: Tensor  # (B, h, w) int64: latent class of each position, NOWHERE where there is none
    sizes: Tensor  # (B, K) int64: positions of each latent class; 0 where an image has fewer than K
    centres: Tensor  # (B, K, d): mean token of each, unit norm under the cosine metric; zero where there is none


@torch.no_grad()
def mine(dense: Tensor, labels: Tensor, rule: MiningRule) -> Mined:
    """Latent classes of tokens `(B, d, h, w)` under labels `(B, H, W)` uint8 with the codes of `methods.method`.

    A position is minable where enough of its cell is unlabelled (255); seen classes, borders and padding never are.
    """
    with torch.autocast(dense.device.type, enabled=False):  # products in half precision would tie
        return _mined(wide(dense), labels, rule)


def _mined(dense: Tensor, labels: Tensor, rule: MiningRule) -> Mined:
    h, w = dense.shape[-2:]
    tokens = dense.flatten(2).transpose(1, 2)  # (B, N, d)
    if rule.metric == "cosine":
        tokens = F.normalize(tokens, dim=-1)
    free = minable(labels, (h, w), rule.cell_unlabelled).flatten(1)  # (B, N)
    tokens = tokens * free[..., None]
    centres, alive = seeds(tokens, free, (h, w), rule)
    clusters, centres = k_means(tokens, free, centres, alive, iterations=rule.iterations, metric=rule.metric)
    merged = merge(clusters, centres, rule.merge_above)
    latent, sizes = largest(merged, centres.shape[1], smallest=max(1, round(rule.smallest * h * w)), most=rule.most)
    means = _means(tokens, latent, rule.most)[0]
    return Mined(latent.unflatten(1, (h, w)), sizes, F.normalize(means, dim=-1) if rule.metric == "cosine" else means)


def minable(labels: Tensor, grid: tuple[int, int], share: float) -> Tensor:
    """`(B, h, w)` bool: cells of which at least `share` (and something) is unlabelled.

    for each cell: minable[cell] = its share of unlabelled pixels is above 0 and at least `share`
    """
    unlabelled = F.adaptive_avg_pool2d((labels == UNLABELLED)[:, None].float(), grid)[:, 0]
    return (unlabelled >= share - 1e-6) & (unlabelled > 0)  # a mean in float32 may miss its value by its last bits


def pseudo_mask(labels: Tensor, mined: Mined, classes: int) -> Tensor:
    """`(B, H, W)` uint8: seen labels as they are, unlabelled pixels `classes + k` where latent class k was mined.

    What was not mined stays unlabelled, void stays void. Raises ValueError where classes do not fit below the codes.

    for each unlabelled pixel: k = grid[the cell it is in]; where k is not NOWHERE: mask[pixel] = classes + k
    """
    if classes + mined.sizes.shape[1] > FIRST_CODE:
        raise ValueError(
            f"{classes} classes and {mined.sizes.shape[1]} latent ones do not fit below the code {FIRST_CODE}; "
            f"mine at most {FIRST_CODE - classes}"
        )
    grid = mined.grid[:, None].double()  # nearest takes no integers on every device
    latent = F.interpolate(grid, labels.shape[-2:], mode="nearest-exact")[:, 0].long()
    found = (labels == UNLABELLED) & (latent != NOWHERE)
    return torch.where(found, (classes + latent).clamp(min=0), labels.long()).to(labels.dtype)


def window_boxes(grid: tuple[int, int], sides: tuple[float, ...]) -> list[tuple[int, int, int]]:
    """`(top, left, side)` of every window: stride side/2 rounded up at halves, the last one ending at the grid's end.

    Sides are shares of the grid's shorter side, at least one position; equal ones count once.
    """
    shorter = min(grid)
    lengths = sorted({min(max(1, int(share * shorter + 0.5)), shorter) for share in sides})
    boxes = []
    for o in lengths:
        tops, lefts = (sorted({*((k * o + 1) // 2 for k in range(2 * n)), n - o}) for n in grid)
        boxes += [(i, j, o) for i in tops if i <= grid[0] - o for j in lefts if j <= grid[1] - o]
    return boxes


def seeds(tokens: Tensor, free: Tensor, grid: tuple[int, int], rule: MiningRule) -> tuple[Tensor, Tensor]:
    """Window means `(B, S, d)` of tokens `(B, N, d)` that are zero where not minable, and which count, `(B, S)` bool.

    for each window (top, left, side): mean = sum of its tokens / side^2 (the whole area, as eq. 1 has it)
        counts = its share of minable positions is above 0 and at least `window_unlabelled`
    """
    boxes = torch.tensor(window_boxes(grid, rule.windows), device=tokens.device)  # (S, 3)
    tops, lefts, sides = boxes[:, :1], boxes[:, 1:2], boxes[:, 2:]
    rows = torch.arange(grid[0], device=tokens.device)
    columns = torch.arange(grid[1], device=tokens.device)
    in_rows, in_columns = (rows >= tops) & (rows < tops + sides), (columns >= lefts) & (columns < lefts + sides)
    inside = (in_rows[:, :, None] & in_columns[:, None, :]).flatten(1).to(tokens) / sides**2  # (S, N)
    unlabelled = free.to(tokens) @ inside.T  # (B, S)
    return inside @ tokens, (unlabelled >= rule.window_unlabelled - 1e-6) & (unlabelled > 0)


def k_means(
    tokens: Tensor, free: Tensor, centres: Tensor, alive: Tensor, *, iterations: int, metric: Metric
) -> tuple[Tensor, Tensor]:
    """The cluster `(B, N)` of each minable position (else NOWHERE) and the centres `(B, S, d)`, after so many updates.

    Lloyd's algorithm; ties go to the lower index. Seeds that are not `alive` attract nothing; where an image has none
    that is, its positions are in no cluster.

    repeat `iterations` times:
        for each minable position: cluster[position] = its nearest live centre
        for each cluster that has positions: centre[cluster] = their mean
    for each minable position: cluster[position] = its nearest live centre
    """
    for _ in range(iterations):
        clusters = _nearest(tokens, free, centres, alive, metric)
        means, counts = _means(tokens, clusters, centres.shape[1])
        centres = torch.where(counts[..., None] > 0, means, centres)
    return _nearest(tokens, free, centres, alive, metric), centres


def merge(clusters: Tensor, centres: Tensor, above: float) -> Tensor:
    """Clusters `(B, N)` with those of similar centres made one: each takes the index of its leader.

    for each cluster that has positions, the largest first (ties: lower index), unless it is taken: it leads
        for each later cluster that is not taken: taken by this leader where the cosine of centres is above `above`
    """
    count = centres.shape[1]
    sizes = _one_hot(clusters, count, centres.dtype).sum(1)  # (B, S)
    order = sizes.argsort(dim=1, descending=True, stable=True)  # (B, S)
    unit = F.normalize(centres, dim=-1).gather(1, order[..., None].expand_as(centres))
    alike = (unit @ unit.transpose(1, 2) > above).tril(-1)  # (B, S, S): to those before it in order
    leads = _first_come_leaders(alike, sizes.gather(1, order) > 0)
    chosen = (alike & leads[:, None]).to(torch.uint8).argmax(2)  # the first leader that takes it
    rank = torch.arange(count, device=centres.device)
    leader = order.gather(1, torch.where(leads, rank, chosen))  # (B, S), by rank
    table = torch.empty_like(leader).scatter(1, order, leader)  # by cluster
    return torch.where(clusters == NOWHERE, NOWHERE, table.gather(1, clusters.clamp(min=0)))


def largest(clusters: Tensor, count: int, *, smallest: int, most: int) -> tuple[Tensor, Tensor]:
    """Clusters `(B, N)` renumbered by size, the largest 0; and the sizes `(B, most)`.

    for place, cluster of the clusters of at least `smallest` positions, the largest first (ties: lower index):
        its positions become `place` where place < most; all other positions become NOWHERE
    """
    sizes = _one_hot(clusters, count, torch.float32).sum(1).long()  # (B, S)
    kept, order = torch.where(sizes >= smallest, sizes, 0).sort(dim=1, descending=True, stable=True)
    kept, order = F.pad(kept, (0, most))[:, :most], order[:, :most]
    places = torch.full_like(sizes, NOWHERE)
    rank = torch.arange(order.shape[1], device=sizes.device).expand_as(order)
    places = places.scatter(1, order, torch.where(kept[:, : order.shape[1]] > 0, rank, NOWHERE))
    return torch.where(clusters == NOWHERE, NOWHERE, places.gather(1, clusters.clamp(min=0))), kept


def _first_come_leaders(alike: Tensor, real: Tensor) -> Tensor:
    """`(B, S)` bool: which of the clusters, in order, lead. alike: `(B, S, S)`, [later, earlier]; real: `(B, S)`.

    for each real cluster in order: it leads unless it is alike to an earlier one that leads

    That loop has S steps; here each round settles many clusters. A cluster alike to an earlier leader is taken. A
    cluster that is alike to no earlier unsettled one leads.
    """
    leads, taken = torch.zeros_like(real), ~real
    while not bool((leads | taken).all()):
        taken = taken | (alike & leads[:, None]).any(2)
        unsettled = ~(leads | taken)
        leads = leads | (unsettled & ~(alike & unsettled[:, None]).any(2))
    return leads


def _nearest(tokens: Tensor, free: Tensor, centres: Tensor, alive: Tensor, metric: Metric) -> Tensor:
    """`(B, N)` int64: the nearest live centre of each minable position, else NOWHERE."""
    if metric == "cosine":
        near = tokens @ F.normalize(centres, dim=-1).transpose(1, 2)  # (B, N, S)
    else:
        near = 2 * tokens @ centres.transpose(1, 2) - centres.square().sum(-1)[:, None]
    near = near.masked_fill(~alive[:, None], -torch.inf)
    return torch.where(free & alive.any(1, keepdim=True), near.argmax(2), NOWHERE)


def _means(tokens: Tensor, clusters: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Means `(B, S, d)` of the tokens of each cluster and their counts `(B, S)`; zero where there are none."""
    members = _one_hot(clusters, count, tokens.dtype)
    counts = members.sum(1)
    return members.transpose(1, 2) @ tokens / counts.clamp(min=1)[..., None], counts


def _one_hot(clusters: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """`(B, N, S)`; a position in no cluster has a row of zeros."""
    return (clusters[..., None] == torch.arange(count, device=clusters.device)).to(dtype)
