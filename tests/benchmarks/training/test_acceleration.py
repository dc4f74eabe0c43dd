"""What a GPU gets that a CPU does not: that the device alone decides, and that each choice computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from lightning_fabric import Fabric  # noqa: E402
from lightning_fabric.plugins.environments import LightningEnvironment  # noqa: E402
from torch import nn  # noqa: E402

from benchmarks.training import acceleration  # noqa: E402
from benchmarks.training.augmentation import Augmentation  # noqa: E402
from benchmarks.training.batches import TrainSet, batches  # noqa: E402
from benchmarks.training.checkpoint import Checkpoints  # noqa: E402
from benchmarks.training.train import train  # noqa: E402
from methods.check_subject import SEEN, labels_of, small_clip, words  # noqa: E402
from methods.method import Images, Method  # noqa: E402
from methods.registry import build_method, config_class  # noqa: E402

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Net(Method):
    """Convolutions, a norm, dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(8, 4, 3, padding=1)
        )

    def losses(self, images: Images, labels: torch.Tensor, *, progress: float) -> dict[str, torch.Tensor]:
        logits = self.net(images.normalised((127.0,) * 3, (60.0,) * 3))
        return {"ce": (1 + progress) * nn.functional.cross_entropy(logits, labels.long())}


def stream(start: int):
    """Batches of the step alone."""
    while True:
        generator = torch.Generator().manual_seed(start)
        pixels = torch.randint(0, 256, (2, 3, 16, 16), generator=generator, dtype=torch.uint8)
        yield Images(pixels), torch.randint(0, 4, (2, 16, 16), generator=generator, dtype=torch.uint8)
        start += 1


def trained(folder: Path, recipe, *, method: Method | None = None, source: Any = stream, device: str = "cpu"):
    """The method after its training, and the losses of every step."""
    method = method or Net()
    folder.mkdir(parents=True)
    done = train(
        method,
        source,
        recipe,
        seed=1,
        fabric=Fabric(accelerator=device, devices=1, precision=recipe.precision, plugins=[LightningEnvironment()]),
        checkpoints=Checkpoints(folder, "spec", lambda path, content: path.write_bytes(content) and None),
    )
    return method, [losses for _, losses in done.curve]


class Told:
    """In a tensor's or a method's place: notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def to(self, *args: Any, **kwargs: Any) -> Told:
        self.asked.append((*args, *kwargs.items()))
        return self


def test_a_cpu_gets_the_optimiser_of_always(make_recipe) -> None:
    """Fails when something else than before steps on a CPU: its numbers are in stored records."""
    groups = [{"params": [nn.Parameter(torch.ones(2))]}]
    ours = acceleration.adamw(groups, make_recipe(), CPU)
    plain = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.999), weight_decay=0.01)
    assert ours.defaults == plain.defaults
    assert acceleration.adamw(groups, make_recipe(), CUDA).defaults["fused"] is True


def test_fused_steps_as_plain(make_recipe) -> None:
    """Fails when the fused kernel is given other constants than the plain one (torch has it for the CPU too)."""
    found = []
    for device in (CPU, CUDA):  # of the choice alone: the parameters are on the CPU
        torch.manual_seed(0)
        parameter = nn.Parameter(torch.randn(50))
        recipe = make_recipe(lr=0.05, weight_decay=0.2, betas=(0.8, 0.95))
        optimiser = acceleration.adamw([{"params": [parameter]}], recipe, device)
        for step in range(10):
            parameter.grad = torch.sin(parameter.detach() * (step + 1))
            optimiser.step()
        found.append(parameter.detach())
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_layout_is_changed_on_a_gpu_in_half_precision_alone(make_recipe, precision: str) -> None:
    """Fails when a CPU's convolutions get another layout, or a GPU's in half precision do not."""
    recipe = make_recipe(precision=precision)
    for device in (CPU, CUDA):
        told = Told()
        assert acceleration.placed(told, device, recipe) is told  # type: ignore[arg-type,comparison-overlap]
        changed = [("memory_format", torch.channels_last)] in [list(asked) for asked in told.asked]
        assert changed == (device is CUDA and precision != "32-true")
        assert (device,) in told.asked


def test_layout_changes_nothing_but_rounding(make_recipe, tmp_path: Path) -> None:
    """Fails when a method in channels_last learns something else, or its state has other names or shapes.

    Dropout, which draws in the order of memory, is off.
    """
    plain, last = Net(), Net().to(memory_format=torch.channels_last)
    plain.net[3].p = last.net[3].p = 0.0
    _, losses = trained(tmp_path / "a", make_recipe(iterations=4), method=plain)
    _, others = trained(tmp_path / "b", make_recipe(iterations=4), method=last)
    assert last.net[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert [pytest.approx(step, rel=1e-4) for step in losses] == others
    assert {n: v.shape for n, v in plain.trained_state().items()} == {
        n: v.shape for n, v in last.trained_state().items()
    }


def test_a_batch_on_the_cpu_is_not_copied() -> None:
    """Fails when a batch that is where it belongs is copied, or its sizes are lost."""
    images, labels = Images(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.tensor([[3, 4]])), torch.zeros(1, 4, 4)
    moved, told = acceleration.moved(images, labels, CPU)
    assert moved.pixels is images.pixels
    assert moved.sizes is images.sizes
    assert told is labels


def test_nobody_waits_for_a_copy_to_a_gpu() -> None:
    """Fails when one of a batch's tensors is copied to a GPU with a wait, or left where it is."""
    pixels, sizes, labels = Told(), Told(), Told()
    acceleration.moved(Images(pixels, sizes), labels, CUDA)  # type: ignore[arg-type]
    for told in (pixels, sizes, labels):
        assert told.asked == [(CUDA, ("non_blocking", True))]


# -- torch.compile


def test_compiling_is_another_run(make_recipe) -> None:
    """Fails when a compiled run has the key of a plain one, or the key of plain ones has changed by the field."""
    assert "compiled" not in make_recipe().essence()
    assert make_recipe(compiled=True).digest() != make_recipe().digest()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_learns_the_same(make_recipe, tmp_path: Path, monkeypatch, backend: str) -> None:
    """Fails when the compiled losses are others than the plain ones, or the field does nothing.

    These backends trace as the real one does and then run torch's own kernels, so that dropout draws the same numbers.
    """
    compiled: list[Any] = []
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **kwargs: compiled.append(kwargs) or real(f, **kwargs))
    monkeypatch.setattr(acceleration, "BACKEND", backend)
    method, losses = trained(tmp_path / "a", make_recipe(iterations=4))
    assert not compiled
    other, others = trained(tmp_path / "b", make_recipe(iterations=4, compiled=True))
    assert compiled == [{"backend": backend}]
    assert [pytest.approx(step, rel=1e-5) for step in losses] == others
    for name, value in method.trained_state().items():
        torch.testing.assert_close(other.trained_state()[name], value, rtol=1e-4, atol=1e-5)


def noise(start: int):
    """Noise and blocks of labels for ZegCLIP."""
    while True:
        generator = torch.Generator().manual_seed(start)
        pixels = torch.randint(0, 256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8)
        ids = torch.randint(0, 5, (2, 4, 4), generator=generator)
        yield Images(pixels), labels_of(ids.repeat_interleave(16, 1).repeat_interleave(16, 2))
        start += 1


def zegclip() -> Method:
    """A small one, the same each time."""
    torch.manual_seed(0)
    config = config_class("zegclip")(prompt_tokens=3, decoder_heads=2)
    return build_method("zegclip", clip=small_clip(), vocabulary=words(SEEN), config=config)


def test_zegclip_compiles(make_recipe, tmp_path: Path, monkeypatch) -> None:
    """Fails when ZegCLIP's losses cannot be traced, or differ once they are."""
    monkeypatch.setattr(acceleration, "BACKEND", "aot_eager")
    _, losses = trained(tmp_path / "a", make_recipe(iterations=3), method=zegclip(), source=noise)
    _, others = trained(tmp_path / "b", make_recipe(iterations=3, compiled=True), method=zegclip(), source=noise)
    assert [pytest.approx(step, rel=1e-4) for step in losses] == others


# -- on a GPU; none was there when this was written


@needs_gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_gpu_learns_as_a_cpu(make_recipe, tmp_path: Path, precision: str) -> None:
    """Fails when fused steps, copies ahead or the layout make a GPU learn something else."""
    method, device = Net(), torch.device("cuda", 0)
    method.net[3].p = 0.0  # the devices draw dropout differently
    plain = Net()
    plain.net[3].p = 0.0
    _, losses = trained(tmp_path / "a", make_recipe(iterations=5), method=plain)
    recipe = make_recipe(iterations=5, precision=precision)
    acceleration.placed(method, device, recipe)
    _, others = trained(tmp_path / "b", recipe, method=method, device="cuda")
    tolerance = 1e-3 if precision == "32-true" else 0.05
    assert [pytest.approx(step, rel=tolerance) for step in losses] == others


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_for_a_gpu_are_pinned(random_reader, workers: int) -> None:
    """Fails when a batch lies in memory that a GPU cannot copy from by itself; without one, when there is no batch."""
    gpu, table = torch.cuda.is_available(), np.arange(256, dtype=np.uint8)
    items = TrainSet(random_reader(4, 8, 8), table, Augmentation(), full_table=table, crop_decision="masked", seed=0)
    images, labels = next(batches(items, 4, seed=0, batch=2, start=0, workers=workers, pinned=gpu))
    assert images.pixels.is_pinned() == labels.is_pinned() == gpu


@needs_gpu
def test_a_gpu_compiles(make_recipe, tmp_path: Path) -> None:
    """Fails when the real compiler makes other losses on a GPU than torch's own kernels."""
    plain, other = Net(), Net()
    plain.net[3].p = other.net[3].p = 0.0
    _, losses = trained(tmp_path / "a", make_recipe(iterations=3), method=plain, device="cuda")
    _, others = trained(tmp_path / "b", make_recipe(iterations=3, compiled=True), method=other, device="cuda")
    assert [pytest.approx(step, rel=1e-3) for step in losses] == others
