"""Everything that is computed, on a pretended second device: what mixes devices raises, the numbers are the CPU's.

How often a GPU would make the CPU wait is counted, for each training step and each scored image, and held to a bound.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from lightning_fabric import Fabric  # noqa: E402
from lightning_fabric.accelerators import CPUAccelerator  # noqa: E402
from lightning_fabric.plugins.environments import LightningEnvironment  # noqa: E402
from lightning_fabric.strategies import SingleDeviceStrategy  # noqa: E402
from torch import nn  # noqa: E402
from torch._decomp import decompositions  # noqa: E402

from benchmarks.protocol import Inference, Softmax  # noqa: E402
from benchmarks.scoring.decision import Decision  # noqa: E402
from benchmarks.scoring.episodic import evaluate_items  # noqa: E402
from benchmarks.scoring.evaluate import evaluate  # noqa: E402
from benchmarks.scoring.predict import predicted  # noqa: E402
from benchmarks.spec import Recipe  # noqa: E402
from benchmarks.training import acceleration  # noqa: E402
from benchmarks.training.augmentation import Augmentation  # noqa: E402
from benchmarks.training.checkpoint import Checkpoints  # noqa: E402
from benchmarks.training.train import Stopped, train  # noqa: E402
from methods.check_subject import SEEN, UNSEEN, labels_of, words  # noqa: E402
from methods.method import Images, Method, Vocabulary  # noqa: E402
from methods.registry import METHODS  # noqa: E402
from results.launch.run.doctor.agreement import subject  # noqa: E402
from splits.loader import load_split  # noqa: E402
from tests.benchmarks.scoring.readers import Blocks  # noqa: E402
from tests.pretended_device import DEVICE, Remote, pretended  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*CUDA is not available"),
    pytest.mark.usefixtures("fast_kernels"),
]

# Waits of a scored image, at most, whatever the windows; and once, for the texts, the tables and the matrices.
WAITS_PER_IMAGE, WAITS_ONCE = 0, 30


def two_steps(name: str, device: str) -> dict[str, torch.Tensor]:
    """Losses and gradients of a second training step, and scores of classes of which two were never seen."""
    of = subject(name)
    method = of.build().to(device)
    for progress in (0.5, 0.75):
        torch.manual_seed(3)
        method.zero_grad()
        losses = method.train().losses(of.pictures().to(device), labels_of(of.masks()).to(device), progress=progress)
        if losses:
            torch.stack(tuple(losses.values())).sum().backward()
    gradients = {n: p.grad for n, p in method.named_parameters() if p.grad is not None}
    with torch.inference_mode():
        scores = method.eval().scores(of.pictures().to(device), words(SEEN + UNSEEN))
    assert all(value.device == torch.device(device) for value in (*losses.values(), *gradients.values(), scores))
    return {name: value.cpu() for name, value in {**losses, **gradients, "scores": scores}.items()}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_and_scores_there(name: str) -> None:
    """Fails when a method makes a tensor on the CPU, reads one through NumPy, or computes something else there."""
    expected = two_steps(name, "cpu")
    with pretended():
        found = two_steps(name, str(DEVICE))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


INFERENCE = {
    "whole": Inference(short_side=32),
    "windows": Inference(short_side=32, window=32, stride=20),
    "flips": Inference(short_side=32, window=32, stride=20, flips=True),
}
OTHERS = ("clip-to-seg", "chimera-seg", "clip")


def evaluated(name: str, how: str, background: float | None, count: int, device: str) -> tuple[list[np.ndarray], int]:
    """The arrays of an evaluation, and the waits in it."""
    table = np.full(256, 252, dtype=np.uint8)
    table[:6], table[255] = (0, 1, 2, 3, 4, 5 if background is not None else 255), 255
    with pretended() as waits:
        method = subject(name).build().to(device)
        waits.clear()
        found = evaluate(
            method,
            Blocks(count),
            words(SEEN + UNSEEN),
            INFERENCE[how],
            table,
            background_below=background,
            device=device,
        )
        image = Blocks(1).read(0).image
        counted = waits.total()
        drawn = predicted(method, image, words(SEEN + UNSEEN), INFERENCE[how], (40, 56), device=device)
    assert found.boundary is not None
    arrays = [found.matrices, found.per_image, found.boundary, np.array(found.ignored_pixels), drawn]
    return arrays, counted


@pytest.mark.parametrize(
    ("name", "how", "background"),
    [*itertools.product(["zegclip"], INFERENCE, (None, 0.4)), *((name, "flips", 0.4) for name in OTHERS)],
)
def test_evaluation_there_is_the_cpus(name: str, how: str, background: float | None) -> None:
    """Fails when a matrix, an image's pairs, the boundaries or a drawn map differ, or scoring waits more often."""
    expected, _ = evaluated(name, how, background, 5, "cpu")
    found, waits = evaluated(name, how, background, 5, str(DEVICE))
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    _, fewer = evaluated(name, how, background, 2, str(DEVICE))
    assert waits - fewer <= 3 * WAITS_PER_IMAGE + 1  # a size that comes up for the first time
    assert fewer <= 2 * WAITS_PER_IMAGE + WAITS_ONCE


@pytest.mark.parametrize("softmax", [None, Softmax(scale=40.0, threshold=0.3)])
def test_names_of_classes_and_probabilities_wait_for_nothing(softmax: Softmax | None) -> None:
    """Fails when what decides between the names of classes is copied there for each image, or decides otherwise."""
    decision = Decision((0, 0, 1, 2, 2), softmax, 100.0)
    table = np.full(256, 255, dtype=np.uint8)
    table[:5] = decision.owners
    found, counted = [], []
    for device, count in (("cpu", 4), (str(DEVICE), 1), (str(DEVICE), 4), (str(DEVICE), 2)):  # 1: fills what is kept
        with pretended() as waits:
            method = subject("clip").build().to(device)
            waits.clear()
            asked = (Blocks(count), words(SEEN + UNSEEN), INFERENCE["whole"], table)
            found.append(evaluate(method, *asked, decision=decision, swept=False, device=device))
            counted.append(waits.total())
    assert np.array_equal(found[2].matrices, found[0].matrices)
    assert np.array_equal(found[2].per_image, found[0].per_image)
    assert counted[2] - counted[3] <= 2 * WAITS_PER_IMAGE + 1  # a size that comes up for the first time


def test_scores_are_resized_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a GPU's maps of scores go torch's slow way where algorithms are deterministic, as in every run."""
    slow: list[object] = []
    monkeypatch.setattr(decompositions, "_upsample_linear_vec", lambda x, *_: slow.append(x) or x)
    torch.use_deterministic_algorithms(True, warn_only=True)
    table = np.minimum(np.arange(256), 252).astype(np.uint8)
    with pretended():
        method = Planted("nothing").to("cuda")
        evaluate(method, Blocks(1, (0, 1)), words(SEEN), INFERENCE["flips"], table, device="cuda")
        assert not slow
        nn.functional.interpolate(torch.ones(1, 1, 2, 2, device="cuda"), (3, 3), mode="bilinear")
    assert len(slow) == 1  # which is torch's way today


def test_episodic_items_there_are_the_cpus() -> None:
    """Fails when an item's class is looked up on the wrong device, or its areas are others."""
    split = load_split("pascal-5i")
    unseen = split.folds[0].unseen
    ids = (*(split.ids[split.classes.index(name)] for name in unseen), 0, 255)
    reader = Blocks(4, tuple(ids))
    asked = Vocabulary(unseen, (False,) * len(unseen), unseen, ("a {}",))
    items = list(itertools.islice(zip(itertools.cycle(reader.ids), unseen, strict=False), 5))
    found = []
    for device in ("cpu", str(DEVICE)):
        with pretended():
            method = subject("clip").build().to(device)
            found.append(evaluate_items(method, reader, split, items, asked, INFERENCE["windows"], device=device))
    cpu, there = found
    assert np.array_equal(there.matrices, cpu.matrices)
    assert np.array_equal(there.per_image, cpu.per_image)
    assert there.ignored_pixels == cpu.ignored_pixels > 0


def batches(start: int):
    """Batches of the step alone, on the CPU, as a loader gives them."""
    of = subject("zegclip")
    for step in itertools.count(start):
        generator = torch.Generator().manual_seed(step)
        pixels = torch.randint(0, 256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8)
        yield Images(pixels), labels_of(of.masks()).roll(step, 0)


class Anywhere(CPUAccelerator):
    """The CPU's accelerator, which would refuse a device that is none."""

    def setup_device(self, device: torch.device) -> None:
        """Nothing to set up."""


def trained(folder: Path, name: str, device: str, *, stops: tuple[int, ...] = ()) -> tuple[Method, list]:
    """A method after its training on a device, stopped and gone on with after some steps; and its loss curve."""
    strategy = SingleDeviceStrategy(torch.device(device), accelerator=Anywhere())
    fabric = Fabric(strategy=strategy, precision="32-true", plugins=[LightningEnvironment()])
    recipe = Recipe(name="test", iterations=6, batch=2, augmentation=Augmentation(), lr=1e-3)
    checkpoints = Checkpoints(folder, "spec", lambda path, content: path.write_bytes(content) and None)
    folder.mkdir(parents=True)
    for stop in (*stops, None):
        method = subject(name).build().to(device)
        passed: list[int] = []

        def asked(stop=stop, passed=passed) -> bool:
            passed.append(1)
            return stop is not None and len(passed) == stop

        try:
            done = train(method, batches, recipe, seed=1, fabric=fabric, checkpoints=checkpoints, stop=asked)
        except Stopped:
            continue
    return method, done.curve


@pytest.mark.parametrize("name", ["zegclip", "clip-to-seg", "chimera-seg"])
def test_training_goes_on_from_checkpoints_there(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when an optimiser's or a bank's state comes back on the CPU, is lost, or a checkpoint needs the device."""
    with pretended():
        straight, curve = trained(tmp_path / "a", name, str(DEVICE))
        broken, again = trained(tmp_path / "b", name, str(DEVICE), stops=(2, 2))
        states = [{n: v.cpu() for n, v in m.trained_state().items()} for m in (straight, broken)]
    assert again == curve
    assert all(torch.equal(states[1][n], value) for n, value in states[0].items())
    adamw = acceleration.adamw
    monkeypatch.setattr(acceleration, "adamw", lambda groups, recipe, _: adamw(groups, recipe, DEVICE))  # fused
    _, cpu = trained(tmp_path / "c", name, "cpu")
    assert curve == cpu
    found, _ = Checkpoints(tmp_path / "a", "spec", lambda *_: None).latest()
    assert found is not None
    assert all(type(value) is torch.Tensor for value in found["trained"].values())


# The test of the test: what must raise, wait, or pass
MIXED = {
    "sum": lambda here, there: there + here,
    "product": lambda here, there: here @ there,
    "in a list": lambda here, there: torch.cat([there, here]),
    "a number in a list": lambda here, there: torch.stack([there.sum(), here.sum()]),
    "index from there": lambda here, there: here[there.long()],
    "written in place": lambda here, there: here.add_(there.sum()),
    "masked write": lambda here, there: there.__setitem__(there > 0, here),
    "choice": lambda here, there: torch.where(there > 0, there, here),
    "layer": lambda here, there: nn.Linear(4, 2)(there),
    "loss weights": lambda here, there: nn.functional.cross_entropy(there[None], torch.ones_like(there)[None], here),
    "NumPy": lambda here, there: there.numpy(),
    "array": lambda here, there: np.asarray(there),
    "made by name": lambda here, there: torch.ones(4, device="cuda") + here,
}
ALLOWED = {
    "number": lambda here, there: there * here.sum(),
    "copy": lambda here, there: here.copy_(there),
    "slice": lambda here, there: there.__setitem__(slice(0, 2), here[:2]),
    "index from here": lambda here, there: there[here.long()],
    "moved": lambda here, there: there.cpu() + here,
}
WAITING = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "bool": lambda x: bool(x[0] > 0),
    "any": lambda x: x.new_ones(3).any() and 1,
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "there": lambda x: torch.ones(2).to("cuda"),
    "made of numbers": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
    "bincount": lambda x: x.long().bincount(),
    "masked index": lambda x: x[x > 0],
    "masked write": lambda x: x.index_put((x > 0,), x.new_tensor(1.0)),
    "counted repeat": lambda x: x.repeat_interleave(x.long()),
    "list index": lambda x: x[[0, 2]],
    "equal": lambda x: torch.equal(x, x),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixing_devices_raises(name: str) -> None:
    """Fails when the pretended device lets pass what CUDA refuses."""
    with pretended():
        here, there = torch.arange(4.0), torch.arange(4.0).to("cuda")
        with pytest.raises((RuntimeError, TypeError), match=r"same device|to numpy"):
            MIXED[name](here, there)


@pytest.mark.parametrize("name", ALLOWED)
def test_what_cuda_allows_passes(name: str) -> None:
    """Fails when the pretended device refuses what CUDA does."""
    with pretended():
        ALLOWED[name](torch.arange(4.0), torch.arange(4.0).to("cuda"))


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", WAITING)
def test_a_wait_is_seen(name: str, inference: bool) -> None:
    """Fails when one of the ways in which a CPU waits for a GPU is overlooked, or counted several times."""
    with pretended() as waits, torch.inference_mode(inference):
        x = torch.arange(1.0, 5.0).to("cuda")
        waits.clear()
        WAITING[name](x)
    assert waits.total() == 1


def test_a_wait_of_the_gradient_is_seen() -> None:
    """Fails when only the forward pass is watched: the gradient of a masked read writes by that mask."""
    with pretended() as waits:
        x = torch.arange(1.0, 5.0).to("cuda").requires_grad_()
        picked = x[x > 2].sum()
        waits.clear()
        picked.backward()
    assert [what for what, _ in waits] == ["index_put by a mask"]


def test_plain_work_waits_for_nothing() -> None:
    """Fails when what a GPU does by itself counts as a wait, or what it makes is said to be on the CPU."""
    with pretended() as waits:
        x = torch.randn(4, 6).to("cuda").requires_grad_()
        waits.clear()
        y = torch.where(x > 0, x, 0) @ torch.ones(6, 3, device="cuda")
        y = torch.cat([y, y.softmax(-1).gather(1, y.argmax(1, keepdim=True))], dim=1)
        zeros = torch.zeros(4, 1, dtype=torch.long, device=y.device)
        y.scatter_add(1, zeros, y[:, :1]).masked_fill(y > 3, 0).sum().backward()
        x.repeat_interleave(2, 0)
        torch.ones(3).to("cuda", non_blocking=True)
        nn.functional.one_hot(zeros, 3)
    assert not waits
    assert isinstance(x.grad, Remote)


class Planted(Method):
    """Computes on its device, but for what a test plants."""

    def __init__(self, planted: str):
        super().__init__()
        self.planted = planted
        self.weight = nn.Parameter(torch.ones(2))

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        red = images.pixels[:, :1].float() * self.weight[0]
        if self.planted == "CPU tensor":
            red = red + torch.ones(red.shape[-1])
        if self.planted == "read":
            red = red / max(1.0, float(red.max()))
        return red * torch.arange(len(vocabulary), device=red.device)[:, None, None]


def test_what_is_planted_is_found() -> None:
    """Fails when an evaluation passes with a tensor of the CPU in it, or a read of one number goes uncounted."""
    table, counted = np.minimum(np.arange(256), 252).astype(np.uint8), {}
    for planted in ("nothing", "nothing", "read", "CPU tensor"):  # the first fills what is kept on a device
        with pretended() as waits:
            method = Planted(planted).to("cuda")
            waits.clear()
            arguments = (method, Blocks(3, (0, 1)), words(SEEN), INFERENCE["whole"], table)
            if planted == "CPU tensor":
                with pytest.raises(RuntimeError, match="same device"):
                    evaluate(*arguments, device="cuda")
            else:
                evaluate(*arguments, device="cuda")
                counted[planted] = waits.total()
    assert counted["read"] == counted["nothing"] + 3
