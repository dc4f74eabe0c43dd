"""Micro-batches: cut equally, weighted by what losses are averaged over, resumed bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from lightning_fabric import Fabric  # noqa: E402
from lightning_fabric.plugins.environments import LightningEnvironment  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from benchmarks.training.accumulate import parts, weights_of  # noqa: E402
from benchmarks.training.checkpoint import Checkpoints  # noqa: E402
from benchmarks.training.ranks import ALONE  # noqa: E402
from benchmarks.training.train import Stopped, Trained, train  # noqa: E402
from methods import losses  # noqa: E402
from methods.method import FIRST_CODE, UNLABELLED, VOID, Images, Method  # noqa: E402


def drawn(seed: int = 0, count: int = 4) -> Tensor:
    """Labels `(count, 6, 7)` uint8 of classes 0..3 and codes, the first image wholly unlabelled."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.tensor([0, 1, 2, 3, VOID, UNLABELLED], dtype=torch.uint8)
    labels = kinds[torch.randint(0, 6, (count, 6, 7), generator=generator)]
    labels[0] = UNLABELLED
    return labels


def test_parts_are_the_batch() -> None:
    """Fails when an image is lost, doubled, or goes with another's labels or size."""
    images = Images(
        torch.arange(6).to(torch.uint8)[:, None, None, None].expand(6, 3, 2, 2), torch.arange(12).view(6, 2)
    )
    labels = torch.arange(6)[:, None, None].expand(6, 2, 2)
    cut = parts(images, labels, 3)
    assert [len(part) for part, _ in cut] == [2, 2, 2]
    assert torch.equal(torch.cat([part.pixels for part, _ in cut]), images.pixels)
    assert torch.equal(torch.cat([part.sizes for part, _ in cut]), images.sizes)
    assert torch.equal(torch.cat([own for _, own in cut]), labels)
    assert [part.sizes for part, _ in parts(Images(images.pixels), labels, 2)] == [None, None]
    with pytest.raises(ValueError, match="6 cannot be cut into 4"):
        parts(images, labels, 4)


@pytest.mark.parametrize("labels", [drawn(), drawn(1), torch.full((4, 6, 7), VOID, dtype=torch.uint8)])
def test_weights_undo_what_methods_divide_by(labels: Tensor) -> None:
    """Fails when the counts are others than those that the methods' own losses are divided by, the floor of 1 too."""
    cut = list(labels.split(1))
    weights = weights_of(cut, ["masks", "pixels"], ALONE)
    assert weights["images"] == [0.25] * 4
    masks = [losses.mask_count(losses.class_areas(part, 5)) for part in (*cut, labels)]
    pixels = [losses.labelled(part).sum().clamp(min=1) for part in (*cut, labels)]
    assert weights["masks"] == pytest.approx([float(part / masks[-1]) for part in masks[:-1]], rel=1e-6)
    assert weights["pixels"] == pytest.approx([float(part / pixels[-1]) for part in pixels[:-1]], rel=1e-6)


class Noisy(Method):
    """Dropout, BatchNorm, a loss over images, one over labelled pixels, one that some micro-batches have not."""

    OVER = {"pixels": "pixels"}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Conv2d(3, 4, 1)
        self.draws: list[float] = []

    def losses(self, images: Images, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        self.draws.append(float(torch.rand(())))
        logits = self.head(self.drop(self.norm(images.normalised((127.0,) * 3, (60.0,) * 3))))
        self.watched = {"mean": logits.mean()}
        out = {"images": logits.square().mean(), "pixels": losses.exclusive_loss(logits, labels)}
        return out | ({"some": logits.abs().mean()} if (labels < FIRST_CODE).any() else {})


def stream(start: int) -> Iterator[tuple[Images, Tensor]]:
    for step in range(start, 1000):
        generator = torch.Generator().manual_seed(step)
        yield Images(torch.randint(0, 256, (4, 3, 6, 7), generator=generator, dtype=torch.uint8)), drawn(step)


def run(folder: Path, recipe, *, stop_at: int | None = None, method: Method | None = None) -> tuple[Method, Trained]:
    """Train (until the step `stop_at`); the method and what training returned."""
    method, reached = method or Noisy(), [0]
    folder.mkdir(exist_ok=True)
    result = train(
        method,
        stream,
        recipe,
        seed=3,
        fabric=Fabric(accelerator="cpu", devices=1, plugins=[LightningEnvironment()]),
        checkpoints=Checkpoints(folder, "spec", lambda path, content: path.write_bytes(content) and None),
        watch=lambda progress: reached.append(progress.step),
        stop=lambda: reached[-1] == stop_at,
        over=Noisy.OVER,
    )
    return method, result


@pytest.mark.parametrize("accumulate", [2, 4])
def test_resumed_bit_for_bit(make_recipe, tmp_path: Path, accumulate: int) -> None:
    """Fails when a break between two steps changes weights, statistics, draws or the curve of accumulated steps."""
    recipe = make_recipe(iterations=9, batch=4, accumulate=accumulate)
    through, result = run(tmp_path / "through", recipe)
    for stop_at in (1, 4, 8):
        with pytest.raises(Stopped):
            run(tmp_path / "broken", recipe, stop_at=stop_at)
    resumed, last = run(tmp_path / "broken", recipe)
    assert len(through.draws) == 9 * accumulate == len(set(through.draws))  # each micro-batch draws for itself
    assert resumed.draws == through.draws[-accumulate:]
    assert last.curve == result.curve
    one, other = through.state_dict(), resumed.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_figures_are_those_of_the_batch(make_recipe, tmp_path: Path) -> None:
    """Fails when the curve tells of one micro-batch alone, or a loss that one of them has not is told as if all had."""

    class Plain(Noisy):
        def losses(self, images, labels, *, progress):
            mean = images.pixels.float().mean()
            self.watched = {"mean": mean}
            return {"images": mean + 0 * self.head.bias.sum(), **({"some": mean} if self._labelled(labels) else {})}

        def _labelled(self, labels: Tensor) -> bool:
            return bool((labels < FIRST_CODE).any())

    _, result = run(tmp_path, make_recipe(iterations=1, batch=4, accumulate=4), method=Plain())
    images, _ = next(stream(0))
    means = images.pixels.double().mean((1, 2, 3))
    figures = {"images": means.mean(), "watched mean": means.mean(), "some": means[1:].sum() / 4}  # the first has none
    assert result.curve == [(1, pytest.approx({name: float(value) for name, value in figures.items()}, rel=1e-6))]
