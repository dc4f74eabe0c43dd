"""Latent class mining against slow, plain versions of it, and what must hold of it whatever the tokens are."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from methods.method import UNLABELLED, UNSEEN_EXTENT, VOID
from methods.mining import (
    NOWHERE,
    Mined,
    MiningRule,
    k_means,
    largest,
    merge,
    minable,
    mine,
    pseudo_mask,
    seeds,
    window_boxes,
)

PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "voc-mini" / "VOCdevkit" / "VOC2012"
RULE = MiningRule(
    windows=(1 / 8, 1 / 4, 1 / 2),
    window_unlabelled=0.5,
    cell_unlabelled=0.5,
    metric="cosine",
    iterations=10,
    merge_above=0.9,
    smallest=1 / 64,
    most=8,
)


def rule(**changes):
    return MiningRule(**(RULE.__dict__ | changes))


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def slow_windows(h, w, sides):
    """Every window as `(top, left, side)`, by plain counting."""
    short, found = min(h, w), []
    for o in sorted({min(max(1, int(np.floor(s * short + 0.5))), short) for s in sides}):
        starts = []
        for length in (h, w):
            at = [int(np.floor(k * o / 2 + 0.5)) for k in range(2 * length)]
            starts.append(sorted({i for i in at if i + o <= length} | {length - o}))
        found += [(i, j, o) for i in starts[0] for j in starts[1]]
    return found


def slow_merge(clusters, centres, above):
    """Greedy, one cluster after the other."""
    sizes = [(clusters == k).sum() for k in range(len(centres))]
    order = sorted((k for k in range(len(centres)) if sizes[k]), key=lambda k: (-sizes[k], k))
    unit_centres, used, out = unit(centres), set(), clusters.copy()
    for leader in order:
        if leader in used:
            continue
        used.add(leader)
        for other in order:
            if other not in used and unit_centres[leader] @ unit_centres[other] > above:
                used.add(other)
                out[clusters == other] = leader
    return out


def slow_mine(dense, labels, r):
    """One image by loops: `(h, w)` latent classes. dense: `(d, h, w)` float64; labels whole cells `(H, W)`."""
    d, h, w = dense.shape
    cell_h, cell_w = labels.shape[0] // h, labels.shape[1] // w
    x = dense.reshape(d, -1).T
    x = unit(x) if r.metric == "cosine" else x
    share = (labels == UNLABELLED).reshape(h, cell_h, w, cell_w).mean((1, 3))
    free = ((share >= r.cell_unlabelled) & (share > 0)).ravel()
    centres = []
    for i, j, o in slow_windows(h, w, r.windows):
        inside = np.zeros((h, w), bool)
        inside[i : i + o, j : j + o] = True
        members = inside.ravel() & free
        if members.sum() and members.sum() / o**2 >= r.window_unlabelled:
            centres.append(x[members].sum(0) / o**2)
    out = np.full(h * w, NOWHERE)
    if not centres or not free.any():
        return out.reshape(h, w)
    centres = np.array(centres)

    def assign():
        clusters, directions = np.full(h * w, NOWHERE), unit(centres)
        for p in np.flatnonzero(free):
            near = directions @ x[p] if r.metric == "cosine" else -((centres - x[p]) ** 2).sum(1)
            clusters[p] = near.argmax()
        return clusters

    for _ in range(r.iterations):
        clusters = assign()
        for k in range(len(centres)):
            if (clusters == k).any():
                centres[k] = x[clusters == k].mean(0)
    clusters = slow_merge(assign(), centres, r.merge_above)
    sizes = {k: (clusters == k).sum() for k in range(len(centres))}
    smallest = max(1, round(r.smallest * h * w))
    kept = sorted((k for k in sizes if sizes[k] >= smallest), key=lambda k: (-sizes[k], k))[: r.most]
    for place, k in enumerate(kept):
        out[clusters == k] = place
    return out.reshape(h, w)


def scene(seed, *, images=2, d=12, h=8, w=8, cell=4, parts=5, noise=0.35):
    """Tokens around a few directions laid out in blocks, and labels: seen, unlabelled, void and unseen-extent cells."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, parts, (images, -(-h // 2), -(-w // 2))).repeat(2, 1).repeat(2, 2)[:, :h, :w]
    dense = rng.normal(size=(parts, d))[blocks] + noise * rng.normal(size=(images, h, w, d))
    codes = rng.choice([0, 1, UNLABELLED, UNLABELLED, UNLABELLED, VOID, UNSEEN_EXTENT], (images, h * 2, w * 2))
    labels = codes.repeat(cell // 2, 1).repeat(cell // 2, 2).astype(np.uint8)
    return torch.from_numpy(dense).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("h", "w"), [(8, 8), (6, 10), (1, 1), (16, 16)])
def test_equals_the_slow_version(metric, h, w):
    """Fails if seeds, updates, merging, order or dropping differ from one position after the other."""
    for seed in range(4 if h < 16 else 2):
        dense, labels = scene(seed, h=h, w=w)
        r = rule(metric=metric, merge_above=(0.5, 0.8, 0.9, 0.97)[seed], smallest=(1 / 64, 1 / 16)[seed % 2])
        fast = mine(dense, labels, r).grid.numpy()
        for one, tokens, label in zip(fast, dense.numpy(), labels.numpy(), strict=True):
            np.testing.assert_array_equal(one, slow_mine(tokens, label, r))


def photos():
    """Photos of the shared sample and their masks as labels: ids from 12 on and background unlabelled, borders void."""
    cv2 = pytest.importorskip("cv2")
    files = sorted((PHOTOS / "SegmentationClass").glob("*.png"))[:4]
    if not files:
        pytest.skip(f"no photos at {PHOTOS}")
    from PIL import Image

    for file in files:
        mask = np.array(Image.open(file))
        labels = np.where(mask == 255, VOID, np.where((mask == 0) | (mask > 11), UNLABELLED, mask - 1)).astype(np.uint8)
        image = cv2.imread(str(PHOTOS / "JPEGImages" / f"{file.stem}.jpg"))[..., ::-1]
        yield cv2.resize(image, (256, 256)), cv2.resize(labels, (256, 256), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("grid", [8, 32])
def test_equals_the_slow_version_on_photos(make_clip, grid):
    """Fails if real pictures, real masks, borders and 32 x 32 grids come out otherwise than one by one."""
    clip = make_clip(vision={"image_size": 32, "patch_size": 8})
    r = rule(merge_above=0.9, iterations=3)
    for image, labels in photos():
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double()
        with torch.no_grad():  # the random tower's tokens, and the colours, so that there is something to find
            tokens = clip.vit()(F.interpolate(pixels.float() / 64 - 2, (8 * grid, 8 * grid))).dense.double()
        dense = torch.cat([tokens, F.adaptive_avg_pool2d(pixels, grid) - 110], dim=1)
        fast = mine(dense, torch.from_numpy(labels)[None], r).grid[0]
        np.testing.assert_array_equal(fast.numpy(), slow_mine(dense[0].numpy(), labels, r))


@pytest.mark.parametrize("seed", range(5))
def test_k_means_is_scikit_learns(seed):
    """Fails if Lloyd's algorithm in Euclidean mode, from the same centres, ends elsewhere than scikit-learn's."""
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4, 7))[rng.integers(0, 4, 200)] + 0.3 * rng.normal(size=(200, 7))
    start = x[rng.choice(200, 6, replace=False)]
    theirs = cluster.KMeans(6, init=start, n_init=1, max_iter=10, tol=0, algorithm="lloyd").fit(x)
    everything = torch.ones(1, 200, dtype=torch.bool)
    ours, centres = k_means(
        torch.from_numpy(x)[None],
        everything,
        torch.from_numpy(start)[None],
        torch.ones(1, 6, dtype=torch.bool),
        iterations=10,
        metric="euclidean",
    )
    np.testing.assert_array_equal(ours[0].numpy(), theirs.labels_)
    np.testing.assert_allclose(centres[0].numpy(), theirs.cluster_centers_, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_merging_is_greedy_from_the_largest(seed):
    """Fails if a cluster is used twice, chains are followed further than the leader, or the order is another."""
    rng = np.random.default_rng(seed)
    clusters = rng.integers(-1, 12, (3, 60))
    centres = rng.normal(size=(3, 12, 3))
    for above in (-1.0, 0.0, 0.5, 0.9, 1.0):
        fast = merge(torch.from_numpy(clusters), torch.from_numpy(centres), above).numpy()
        for one, c, z in zip(fast, clusters, centres, strict=True):
            np.testing.assert_array_equal(one, slow_merge(c, z, above))


@pytest.mark.parametrize(("h", "w"), [(8, 8), (5, 9), (1, 3)])
def test_seeds_are_window_means(h, w):
    """Fails if a window has another mean, is divided by its minable positions alone, or counts below its share."""
    rng = np.random.default_rng(0)
    free = rng.random((2, h, w)) < 0.5
    tokens = rng.normal(size=(2, h, w, 3)) * free[..., None]
    r = rule(window_unlabelled=0.4)
    flat = torch.from_numpy(tokens.reshape(2, -1, 3)), torch.from_numpy(free.reshape(2, -1))
    means, counts = seeds(*flat, (h, w), r)
    for image in range(2):
        for s, (i, j, o) in enumerate(window_boxes((h, w), r.windows)):
            mean, share = np.zeros(3), 0.0
            for y in range(i, i + o):
                for x in range(j, j + o):
                    mean += tokens[image, y, x] / o**2
                    share += free[image, y, x] / o**2
            np.testing.assert_allclose(means[image, s].numpy(), mean, atol=1e-12)
            assert bool(counts[image, s]) == (share > 0 and share >= 0.4 - 1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_are_kept_in_order(seed):
    """Fails if classes are numbered in another order, or a small one or one too many is kept."""
    clusters = np.random.default_rng(seed).integers(-1, 7, (3, 40))
    smallest, most = 1 + seed, 4
    kept, sizes = largest(torch.from_numpy(clusters), 7, smallest=smallest, most=most)
    for image, one in enumerate(clusters):
        order = sorted(range(7), key=lambda k: (-(one == k).sum(), k))
        chosen = [k for k in order if (one == k).sum() >= smallest][:most]
        expected = [chosen.index(k) if k in chosen else NOWHERE for k in one]
        assert kept[image].tolist() == expected
        assert sizes[image].tolist() == [(one == k).sum() for k in chosen] + [0] * (most - len(chosen))


@pytest.mark.parametrize(("size", "grid"), [((12, 12), (4, 4)), ((13, 30), (4, 7)), ((5, 5), (8, 8))])
def test_pseudo_masks_pixel_by_pixel(size, grid):
    """Fails if a pixel gets the latent class of another cell than the one its middle is in, or keeps no label."""
    rng = np.random.default_rng(0)
    latent = rng.integers(-1, 3, (2, *grid))
    labels = rng.choice([0, 1, VOID, UNSEEN_EXTENT, UNLABELLED], (2, *size)).astype(np.uint8)
    mined = Mined(torch.from_numpy(latent), torch.ones(2, 3, dtype=torch.int64), torch.zeros(2, 3, 1))
    mask = pseudo_mask(torch.from_numpy(labels), mined, 2).numpy()
    for b, y, x in np.ndindex(labels.shape):
        k = latent[b, int((y + 0.5) * grid[0] / size[0]), int((x + 0.5) * grid[1] / size[1])]
        mined_here = labels[b, y, x] == UNLABELLED and k != NOWHERE
        assert mask[b, y, x] == (2 + k if mined_here else labels[b, y, x])


def test_a_chain_is_not_one_cluster():
    """Fails if merging followed chains: 0 and 20 and 40 degrees are not all one at 30 degrees apart."""
    angles = torch.deg2rad(torch.tensor([[0.0, 20.0, 40.0]]))
    centres = torch.stack([angles.cos(), angles.sin()], dim=-1)
    clusters = torch.tensor([[0, 0, 0, 1, 1, 2]])
    assert merge(clusters, centres, float(np.cos(np.deg2rad(30)))).tolist() == [[0, 0, 0, 0, 0, 2]]


@pytest.mark.parametrize(("h", "w", "sides"), [(8, 8, RULE.windows), (32, 32, RULE.windows), (5, 9, (0.5, 0.6, 1.0))])
def test_windows_scale_with_the_grid(h, w, sides):
    """Fails if window sides are not 1, 2, 4 on 8 x 8 and 4, 8, 16 on 32 x 32, or the last ones are missed."""
    boxes = window_boxes((h, w), sides)
    assert sorted(boxes) == sorted(slow_windows(h, w, sides))
    expected = {(8, 8): {1, 2, 4}, (32, 32): {4, 8, 16}, (5, 9): {3, 5}}[h, w]
    assert {o for _, _, o in boxes} == expected
    for o in expected:
        assert max(i for i, _, side in boxes if side == o) == h - o
        assert max(j for _, j, side in boxes if side == o) == w - o


@pytest.mark.parametrize(
    ("labels", "latent"), [(0, 0), (VOID, 0), (UNSEEN_EXTENT, 0), (UNLABELLED, 1)], ids=["seen", "void", "253", "free"]
)
def test_uniform_labels(labels, latent):
    """Fails if seen, void or padding is mined, or a picture without any label is not; equal tokens are one class."""
    mined = mine(torch.ones(2, 5, 8, 8), torch.full((2, 32, 32), labels, dtype=torch.uint8), RULE)
    assert (mined.sizes > 0).sum(1).tolist() == [latent, latent]
    assert bool((mined.grid == (0 if latent else NOWHERE)).all())
    mask = pseudo_mask(torch.full((2, 32, 32), labels, dtype=torch.uint8), mined, 3)
    assert mask.unique().tolist() == [3 if latent else labels]
    assert mined.centres.isfinite().all()


def test_one_free_position():
    """Fails if a single unlabelled token is lost, or spreads: on 8 x 8 the smallest class is one position."""
    labels = torch.zeros(1, 64, 64, dtype=torch.uint8)
    labels[:, 8:16, 24:32] = UNLABELLED
    mined = mine(torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), labels, RULE)
    assert mined.sizes.tolist() == [[1, 0, 0, 0, 0, 0, 0, 0]]
    assert (mined.grid[0] == 0).nonzero().tolist() == [[1, 3]]
    assert (pseudo_mask(labels, mined, 5) == 5).nonzero()[:, 1:].float().mean(0).tolist() == [11.5, 27.5]


def test_small_clusters_and_those_after_the_cap_stay_unlabelled():
    """Fails if what was dropped gets a class: it must be learned from nowhere."""
    clusters = torch.tensor([[0, 0, 0, 1, 1, 2, 3, 3, NOWHERE]])
    kept, sizes = largest(clusters, 4, smallest=2, most=2)
    assert kept.tolist() == [[0, 0, 0, 1, 1, NOWHERE, NOWHERE, NOWHERE, NOWHERE]]
    assert sizes.tolist() == [[3, 2]]
    assert largest(clusters, 4, smallest=1, most=6)[1].tolist() == [[3, 2, 2, 1, 0, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_only_unlabelled_pixels_become_latent(seed):
    """Fails if a seen, void or unseen-extent pixel changes, or a latent id is not from the classes' count on."""
    dense, labels = scene(seed, images=4)
    mask = pseudo_mask(labels, mine(dense, labels, RULE), 10)
    free = labels == UNLABELLED
    assert torch.equal(mask[~free], labels[~free])
    assert set(mask[free].unique().tolist()) <= {UNLABELLED, *range(10, 18)}
    assert (mask[free] != UNLABELLED).any()


def test_seen_ids_do_not_matter():
    """Fails if mining looks at which seen class stands where: relabelling them must change nothing."""
    dense, labels = scene(0)
    other = torch.where(labels == 0, 7, torch.where(labels == 1, 0, labels.long())).to(torch.uint8)
    first, second = mine(dense, labels, RULE), mine(dense, other, RULE)
    assert torch.equal(first.grid, second.grid)
    assert torch.equal(first.centres, second.centres)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_images_do_not_matter_to_one_another(metric):
    """Fails if a batch of n is not n single calls, or if permuting images does not permute results."""
    dense, labels = scene(3, images=5)
    labels[2] = 0  # one image without anything to mine
    whole = mine(dense, labels, rule(metric=metric))
    for i in range(5):
        single = mine(dense[i : i + 1], labels[i : i + 1], rule(metric=metric))
        assert torch.equal(single.grid[0], whole.grid[i])
        assert torch.allclose(single.centres[0], whole.centres[i], atol=1e-12, rtol=0)
    order = torch.tensor([3, 0, 4, 2, 1])
    assert torch.equal(mine(dense[order], labels[order], rule(metric=metric)).grid, whole.grid[order])


def test_same_input_same_result_and_no_gradient():
    """Fails if mining is random, or its result hangs on a graph."""
    dense, labels = scene(5)
    first = mine(dense.requires_grad_(), labels, RULE)
    assert torch.equal(first.grid, mine(dense, labels, RULE).grid)
    assert not first.centres.requires_grad


def test_half_precision_does_not_round_products():
    """Fails if autocast reaches the similarities: rounded ones tie, and clusters change."""
    dense, labels = scene(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = mine(dense.float(), labels, RULE)
    assert torch.equal(within.grid, mine(dense.float(), labels, RULE).grid)


def test_cells_count_by_their_unlabelled_share():
    """Fails if a cell is minable below the share, or if a share of zero makes seen cells minable."""
    labels = torch.zeros(1, 4, 8, dtype=torch.uint8)
    labels[0, 0, :4] = UNLABELLED  # a quarter of the left cell
    assert minable(labels, (1, 2), 0.25).tolist() == [[[True, False]]]
    assert minable(labels, (1, 2), 0.3).tolist() == [[[False, False]]]
    assert minable(labels, (1, 2), 0.0).tolist() == [[[True, False]]]


def test_classes_must_fit_into_labels():
    """Fails if latent ids could run into the codes for unlabelled and void."""
    mined = mine(*scene(0), RULE)
    with pytest.raises(ValueError, match="250 classes and 8 latent ones do not fit below the code 253"):
        pseudo_mask(scene(0)[1], mined, 250)
