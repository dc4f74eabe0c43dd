"""The training loop: resumes bit for bit, follows mmcv's schedule, ends clearly."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from lightning_fabric import Fabric  # noqa: E402
from lightning_fabric.plugins import Precision  # noqa: E402
from lightning_fabric.plugins.environments import LightningEnvironment  # noqa: E402
from torch import nn  # noqa: E402

from benchmarks.training.augmentation import Augmentation  # noqa: E402
from benchmarks.training.checkpoint import Checkpoints  # noqa: E402
from benchmarks.training.ranks import Ranks  # noqa: E402
from benchmarks.training.train import Stopped, _Loop, learning_rate, train  # noqa: E402
from benchmarks.values import derive_seed  # noqa: E402
from methods.method import Images, Method, Vocabulary  # noqa: E402
from methods.training_free.floors import Constant  # noqa: E402
from splits.errors import UserError  # noqa: E402

SCHEDULE = json.loads((Path(__file__).resolve().parents[2] / "golden/training/lr_schedule.json").read_text())


class Small(Method):
    """Dropout, BatchNorm buffers, a frozen layer, a parameter that never gets a gradient, two groups."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.frozen = nn.Conv2d(3, 4, 1).requires_grad_(False)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.4)
        self.head = nn.Conv2d(4, 3, 3, padding=1)
        self.idle = nn.Parameter(torch.ones(2))
        self.register_buffer("bank", torch.zeros(3))
        self.seen_progress: list[float] = []

    def losses(self, images: Images, labels: torch.Tensor, *, progress: float) -> dict[str, torch.Tensor]:
        assert self.training
        self.seen_progress.append(progress)
        x = images.normalised((127.0,) * 3, (60.0,) * 3)
        x = x + 0.05 * torch.randn_like(x)
        logits = self.head(self.drop(self.norm(self.frozen(x))))
        self.bank.mul_(0.9).add_(0.1 * logits.detach().mean(dim=(0, 2, 3)))
        out = {"ce": nn.functional.cross_entropy(logits, labels.long() % 3)}
        if progress >= 0.5:
            out["late"] = 0.1 * logits.square().mean()
        return out

    def parameter_groups(self) -> list[dict]:
        return [
            {"params": [*self.norm.parameters(), self.idle], "lr_scale": 0.1},
            {"params": self.head.parameters()},
        ]


def built(seed: int) -> Small:
    """Frozen as `Small()`, everything else drawn from another seed."""
    method = Small(seed)
    method.frozen.load_state_dict(Small().frozen.state_dict())
    return method


def stream(start: int):
    """Batches that depend on the step alone."""
    step = start
    while True:
        generator = torch.Generator().manual_seed(step)
        pixels = torch.randint(0, 256, (2, 3, 5, 6), generator=generator, dtype=torch.uint8)
        yield Images(pixels), torch.randint(0, 3, (2, 5, 6), generator=generator, dtype=torch.uint8)
        step += 1


def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1, plugins=[LightningEnvironment()])


def store(folder: Path) -> Checkpoints:
    folder.mkdir(parents=True, exist_ok=True)
    return Checkpoints(folder, "spec", lambda path, content: path.write_bytes(content) and None)


def run(
    folder: Path, recipe, *, method: Method | None = None, stop_at: int | None = None, seed: int = 5, batches=stream
):
    """Train (until the step `stop_at`); the method and what training returned."""
    method = method or Small()
    reached: list[int] = []
    asked = lambda: stop_at is not None and bool(reached) and reached[-1] >= stop_at  # noqa: E731
    result = train(
        method,
        batches,
        recipe,
        seed=seed,
        fabric=fabric(),
        checkpoints=store(folder),
        watch=lambda progress: reached.append(progress.step),
        stop=asked,
    )
    return method, result, reached


def equal(one: Method, other: Method) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# -- the schedule


@pytest.mark.parametrize("total", SCHEDULE["lr"])
def test_learning_rate_is_mmcvs(make_recipe, total: str) -> None:
    """Fails when warm-up or decay is off by one step or another formula."""
    config = SCHEDULE["lr_config"]
    recipe = make_recipe(
        iterations=int(total),
        lr=SCHEDULE["base_lr"],
        poly_power=config["power"],
        min_lr=config["min_lr"],
        warmup_iterations=config["warmup_iters"],
        warmup_ratio=config["warmup_ratio"],
    )
    assert len(SCHEDULE["lr"][total]) > 10
    for step, rate in SCHEDULE["lr"][total].items():
        assert learning_rate(recipe, int(step)) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(("total", "warm", "power", "least"), [(20, 5, 1.0, 0.0), (31, 2, 0.9, 0.01), (9, 7, 2.0, 0.1)])
def test_learning_rate_is_mmengines(make_recipe, total: int, warm: int, power: float, least: float) -> None:
    """Fails when decay after warm-up is another than LinearLR and PolyLR in a row, as mmsegmentation 1.x sets them."""
    scheduler = pytest.importorskip("mmengine.optim")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedulers = [
        scheduler.LinearLR(optimizer, start_factor=1e-6, by_epoch=False, begin=0, end=warm),
        scheduler.PolyLR(optimizer, eta_min=least, power=power, begin=warm, end=total, by_epoch=False),
    ]
    recipe = make_recipe(
        iterations=total, lr=0.3, poly_power=power, min_lr=least, warmup_iterations=warm, decay="after-warmup"
    )
    for step in range(total):
        assert learning_rate(recipe, step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15), step
        optimizer.step()
        for each in schedulers:
            each.step()


def test_learning_rate_without_warmup(make_recipe) -> None:
    """Fails when a recipe without warm-up divides by zero or does not start at its rate."""
    recipe = make_recipe(iterations=4, lr=0.5, min_lr=0.1, poly_power=1.0)
    assert [learning_rate(recipe, s) for s in range(4)] == pytest.approx([0.5, 0.4, 0.3, 0.2])


def test_a_restart_is_a_fresh_schedule(make_recipe) -> None:
    """Fails when the second part of a training does not start with warm-up and full rate of its own."""
    recipe = make_recipe(iterations=30, restart_at=10, lr=0.5, min_lr=0.1, warmup_iterations=4)
    first = make_recipe(iterations=30, lr=0.5, min_lr=0.1, warmup_iterations=4)
    second = make_recipe(iterations=20, lr=0.5, min_lr=0.1, warmup_iterations=4)
    rates = [learning_rate(first, s) for s in range(10)] + [learning_rate(second, s) for s in range(20)]
    assert [learning_rate(recipe, s) for s in range(30)] == rates


@pytest.mark.parametrize("breaks", [[], [4], [8], [9], [13], [5, 9, 20]])
def test_a_restart_forgets_the_optimiser(make_recipe, tmp_path: Path, breaks: list[int]) -> None:
    """Fails when moments outlive a restart, weights do not, or a break at, before or after it changes anything."""
    recipe = make_recipe(iterations=21, restart_at=9, warmup_iterations=3)
    reference = Small()
    optimizers = [
        torch.optim.AdamW(
            [{"params": [*reference.norm.parameters(), reference.idle]}, {"params": reference.head.parameters()}],
            weight_decay=0.01,
        )
        for _ in range(2)
    ]
    source = stream(0)
    for step in range(21):
        optimizer = optimizers[step >= 9]
        for group, scale in zip(optimizer.param_groups, (0.1, 1.0), strict=True):
            group["lr"] = learning_rate(recipe, step) * scale
        torch.manual_seed(derive_seed("step", 5, step, 0))
        losses = reference.train().losses(*next(source), progress=step / 21)
        optimizer.zero_grad()
        torch.stack(tuple(losses.values())).sum().backward()
        optimizer.step()
    for stop_at in breaks:
        with pytest.raises(Stopped):
            run(tmp_path, recipe, stop_at=stop_at)
    assert equal(run(tmp_path, recipe)[0], reference)


@pytest.mark.parametrize(
    ("limit", "length", "restart"), [(None, 30, 10), (30, 30, 10), (99, 30, 10), (6, 6, 2), (1, 1, 1)]
)
def test_shortened(make_recipe, limit: int | None, length: int, restart: int) -> None:
    """Fails when a trial run is longer than asked, or loses its restart."""
    short = make_recipe(iterations=30, restart_at=10).shortened(limit)
    assert (short.iterations, short.restart_at) == (length, restart)
    assert all(math.isfinite(learning_rate(short, s)) for s in range(length))
    assert make_recipe(iterations=30).shortened(3).restart_at is None


def test_rates_reach_the_groups(make_recipe, tmp_path: Path, monkeypatch) -> None:
    """Fails when `lr_scale` is lost, the optimiser is a step behind the schedule, or decay or betas are lost."""
    used = []
    original = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        used.append([(g["lr"], g["weight_decay"], g["betas"]) for g in self.param_groups])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    recipe = make_recipe(iterations=6, lr=0.01, warmup_iterations=3, weight_decay=0.3, betas=(0.8, 0.95))
    run(tmp_path, recipe)
    rates = [learning_rate(recipe, s) for s in range(6)]
    assert used == [[(r * 0.1, 0.3, (0.8, 0.95)), (r * 1.0, 0.3, (0.8, 0.95))] for r in rates]


def test_equal_to_a_plain_loop(make_recipe, tmp_path: Path) -> None:
    """Fails when the loop does anything else than: set the rate, draw, add the losses up, step."""

    class Plain(Small):
        def losses(self, images, labels, *, progress):
            logits = self.head(self.norm(self.frozen(images.normalised((127.0,) * 3, (60.0,) * 3))))
            return {
                "a": 2 * nn.functional.cross_entropy(logits, labels.long()),
                "b": logits.abs().mean(),
            }

    recipe = make_recipe(iterations=8, warmup_iterations=2)
    method, result, _ = run(tmp_path, recipe, method=Plain())
    reference = Plain().train()
    optimizer = torch.optim.AdamW(
        [{"params": [*reference.norm.parameters(), reference.idle]}, {"params": reference.head.parameters()}],
        lr=1.0,
        weight_decay=0.01,
    )
    source, curve = stream(0), []
    for step in range(8):
        for group, scale in zip(optimizer.param_groups, (0.1, 1.0), strict=True):
            group["lr"] = learning_rate(recipe, step) * scale
        losses = reference.losses(*next(source), progress=step / 8)
        optimizer.zero_grad()
        (losses["a"] + losses["b"]).backward()
        optimizer.step()
        curve.append((step + 1, {name: float(value.detach().double()) for name, value in losses.items()}))
    assert equal(method, reference)
    assert result.curve == curve


# -- resuming


@pytest.fixture(scope="module")
def through(tmp_path_factory, make_recipe):
    """One run of 23 steps without a break."""
    return run(tmp_path_factory.mktemp("through"), make_recipe(iterations=23))


@settings(max_examples=14, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(breaks=st.lists(st.integers(1, 22), min_size=1, max_size=3, unique=True).map(sorted))
def test_resume_is_bit_exact(through, make_recipe, tmp_path_factory, breaks: list[int]) -> None:
    """Fails when anything is lost at a break: optimiser state, buffers, dropout's stream, batches, the loss curve."""
    folder, recipe = tmp_path_factory.mktemp("broken"), make_recipe(iterations=23)
    for stop_at in breaks:
        with pytest.raises(Stopped, match=f"step {stop_at} of 23"):
            # built with the run's own frozen weights; what is trained must come from the checkpoint after a break
            run(folder, recipe, method=built(0 if stop_at == breaks[0] else stop_at), stop_at=stop_at)
        assert (folder / f"checkpoint-{stop_at}.pt").exists()
    method, result, reached = run(folder, recipe, method=built(99))
    assert reached == list(range(breaks[-1] + 1, 24))
    assert equal(method, through[0])
    assert result.curve == through[1].curve


@pytest.mark.parametrize("breaks", [[k] for k in range(1, 23)] + [[3, 4, 11], [1, 2, 22]])
def test_resume_gives_the_same_weights(through, make_recipe, tmp_path: Path, breaks: list[int]) -> None:
    """Fails when a run broken at any step ends with other weights or another loss curve than an unbroken one."""
    recipe = make_recipe(iterations=23)
    for stop_at in breaks:
        with pytest.raises(Stopped):
            run(tmp_path, recipe, stop_at=stop_at)
        torch.manual_seed(stop_at)  # whatever the next process drew before
    method, result, _ = run(tmp_path, recipe)
    assert equal(method, through[0])
    assert result.curve == through[1].curve


def test_resume_from_the_previous_checkpoint(through, make_recipe, tmp_path: Path) -> None:
    """Fails when a damaged newest checkpoint costs exactness, or goes untold."""
    recipe = make_recipe(iterations=23)
    with pytest.raises(Stopped):
        run(tmp_path, recipe, stop_at=15)
    newest = tmp_path / "checkpoint-15.pt"
    newest.write_bytes(newest.read_bytes()[:-9])
    method, result, reached = run(tmp_path, recipe)
    assert reached[0] == 15  # step 14 was the checkpoint before
    assert equal(method, through[0])
    assert result.curve == through[1].curve
    assert len(result.warnings) == 1
    assert "checkpoint-15.pt is damaged" in result.warnings[0]


def test_curve_points_between_checkpoints(make_recipe, tmp_path: Path) -> None:
    """Fails when the losses since the last point are forgotten at a break (points every 3 steps here)."""
    recipe = make_recipe(iterations=300)
    whole = run(tmp_path / "a", recipe, method=Small())[1].curve
    with pytest.raises(Stopped):
        run(tmp_path / "b", recipe, stop_at=151)
    assert run(tmp_path / "b", recipe)[1].curve == whole
    assert [step for step, _ in whole] == list(range(3, 301, 3))
    assert set(whole[49][1]) == {"ce"}
    assert set(whole[50][1]) == {"ce", "late"}  # a loss that sets in on the way has its own mean


def test_losses_that_come_and_go_keep_their_names(make_recipe, tmp_path: Path) -> None:
    """Fails when means mix losses of different names within one point of the curve."""

    class Alternating(Small):
        def losses(self, images, labels, *, progress):
            step = len(self.seen_progress)
            self.seen_progress.append(progress)
            value = self.head.weight.sum() * 0 + step
            return {"even": value} if step % 2 == 0 else {"odd": value, "more": value * 10}

    curve = run(tmp_path, make_recipe(iterations=400), method=Alternating())[1].curve
    assert curve[0] == (4, {"even": 1.0, "odd": 2.0, "more": 20.0})


class Watched(Small):
    """Says a figure that is no loss."""

    def losses(self, images: Images, labels: torch.Tensor, *, progress: float) -> dict[str, torch.Tensor]:
        self.watched = {"share": torch.tensor(5.0, requires_grad=True) * 2}
        return super().losses(images, labels, progress=progress)


def test_what_is_watched_is_shown_and_not_learned_from(make_recipe, tmp_path: Path) -> None:
    """Fails if a figure a method watches is missing from the curve, or is added to its losses."""
    plain, watched = Small(), Watched()
    recipe = make_recipe(iterations=3)
    checkpoints = [Checkpoints(tmp_path / n, "0", lambda path, data: None) for n in "ab"]
    first = train(plain, stream, recipe, seed=1, fabric=fabric(), checkpoints=checkpoints[0])
    second = train(watched, stream, recipe, seed=1, fabric=fabric(), checkpoints=checkpoints[1])
    assert [losses["watched share"] for _, losses in second.curve] == [10.0] * len(second.curve)
    assert [{"ce": p[1]["ce"]} for p in first.curve] == [{"ce": p[1]["ce"]} for p in second.curve]
    assert torch.equal(plain.head.weight, watched.head.weight)


def test_seeds_and_only_seeds_change_training(through, make_recipe, tmp_path: Path) -> None:
    """Fails when dropout ignores the run's seed, or the global random state leaks in."""
    recipe = make_recipe(iterations=23)
    torch.manual_seed(1234)
    assert equal(run(tmp_path / "same", recipe)[0], through[0])
    assert not equal(run(tmp_path / "other", recipe, seed=6)[0], through[0])


def test_progress_runs_from_zero_to_one(through) -> None:
    """Fails when a method is told another share of the training than what is done."""
    assert through[0].seen_progress == [step / 23 for step in range(23)]


# -- ends


class Scaling(Precision):
    """Keeps a number from step to step, as fp16's scale of losses is kept."""

    steps = 0

    def optimizer_step(self, optimizer, **kwargs):
        self.steps += 1
        return super().optimizer_step(optimizer, **kwargs)

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state_dict):
        self.steps = state_dict["steps"]


def test_the_scale_of_losses_goes_on_too(make_recipe, tmp_path: Path, monkeypatch) -> None:
    """Fails when a training in 16-mixed goes on from the first scale of its losses."""
    plugins = [Scaling(), Scaling()]
    made = (Fabric(accelerator="cpu", devices=1, plugins=[LightningEnvironment(), plugin]) for plugin in plugins)
    monkeypatch.setitem(globals(), "fabric", lambda: next(made))
    with pytest.raises(Stopped):
        run(tmp_path, make_recipe(iterations=6), stop_at=4)
    run(tmp_path, make_recipe(iterations=6))
    assert [plugin.steps for plugin in plugins] == [4, 6]


@pytest.mark.parametrize(("precision", "half"), [("32-true", None), ("bf16-mixed", torch.bfloat16)])
def test_losses_are_computed_in_the_precision_of_the_recipe(
    make_recipe, tmp_path, monkeypatch, precision, half
) -> None:
    """Fails when a record says bf16 and the training was float32, or the other way round."""
    seen = []

    class Asking(Small):
        def losses(self, images: Images, labels: torch.Tensor, *, progress: float) -> dict[str, torch.Tensor]:
            inside = torch.is_autocast_enabled("cpu")
            seen.append((inside, self.head(torch.ones(1, 4, 3, 3)).dtype))
            return super().losses(images, labels, progress=progress)

    made = Fabric(accelerator="cpu", devices=1, precision=precision, plugins=[LightningEnvironment()])
    monkeypatch.setitem(globals(), "fabric", lambda: made)
    run(tmp_path, make_recipe(iterations=2, precision=precision), method=Asking())
    assert seen == [(half is not None, half or torch.float32)] * 2


def test_a_lost_rank_is_noticed_before_the_device_is_waited_for() -> None:
    """Fails when losses are copied from a device that waits for the gradients of a rank that is gone."""

    class Gone(Ranks):
        def any(self, flag: bool) -> bool:
            raise RuntimeError("Connection closed by peer")

    loop = object.__new__(_Loop)
    loop.ranks, loop._pending = Gone(0, 2), [(("loss",), None)]
    with pytest.raises(RuntimeError, match="closed by peer"):
        loop._add_point()


def test_stop_after_the_last_step_is_no_stop(make_recipe, tmp_path: Path) -> None:
    """Fails when a finished training is told as interrupted."""
    _, result, reached = run(tmp_path, make_recipe(iterations=5), stop_at=5)
    assert reached == [1, 2, 3, 4, 5]
    assert len(result.curve) == 5


def test_checkpoints_on_the_way(make_recipe, tmp_path: Path) -> None:
    """Fails when a run killed without a word has lost more than a tenth of its work."""

    class Killed(Exception):
        pass

    def watch(progress) -> None:
        if progress.step == 98:
            raise Killed

    with pytest.raises(Killed):
        train(
            Small(),
            stream,
            make_recipe(iterations=100),
            seed=5,
            fabric=fabric(),
            checkpoints=store(tmp_path),
            watch=watch,
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-80.pt", "checkpoint-90.pt"]


class Exploding(Small):
    """NaN from a step on."""

    def __init__(self, first: int, value: float = math.nan) -> None:
        super().__init__()
        self.first, self.value = first, value

    def losses(self, images, labels, *, progress):
        out = super().losses(images, labels, progress=progress)
        return out | {"bad": out["ce"] * (self.value if len(self.seen_progress) > self.first else 1.0)}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_is_one_clear_line(make_recipe, tmp_path: Path, value: float) -> None:
    """Fails when a diverged run goes on to a table, or does not say what to change."""
    with pytest.raises(UserError) as raised:
        run(tmp_path, make_recipe(iterations=40), method=Exploding(7, value))
    message = str(raised.value)
    assert "\n" not in message
    for part in ("bad", "not finite by step 8", "learning rate (now 0.01)", "32-true"):
        assert part in message


def test_nan_never_reaches_a_checkpoint(make_recipe, tmp_path: Path) -> None:
    """Fails when a stop between two points of the curve stores weights that are already broken."""
    recipe = make_recipe(iterations=1000)  # points every 10 steps
    with pytest.raises(UserError, match="not finite by step 5"):
        run(tmp_path, recipe, method=Exploding(3), stop_at=5)
    assert list(tmp_path.iterdir()) == []


def test_no_iterations(make_recipe, tmp_path: Path) -> None:
    """Fails when a training-free method is wrapped, saved or asked for batches."""

    def none(start: int):
        raise AssertionError("no batch is needed")

    method, result, _ = run(tmp_path, make_recipe(iterations=0), batches=none)
    assert equal(method, Small())
    assert (result.curve, result.seconds) == ([], 0.0)
    assert list(tmp_path.iterdir()) == []


def vocabulary() -> Vocabulary:
    return Vocabulary(("a", "b", "c"), (True,) * 3, ("a", "b", "c"), ("{}",))


@pytest.mark.parametrize("stop_at", [1, 10, 13, 29])
def test_a_method_that_counts(make_recipe, tmp_path: Path, stop_at: int) -> None:
    """Fails when a method without parameters cannot be trained, or counts a batch twice or never over a break."""
    recipe, expected = make_recipe(iterations=30), torch.zeros(3, dtype=torch.int64)
    source = stream(0)
    for _ in range(30):
        expected += torch.bincount(next(source)[1].flatten().long(), minlength=3)
    with pytest.raises(Stopped):
        run(tmp_path, recipe, method=Constant(vocabulary=vocabulary()), stop_at=stop_at)
    method, result, _ = run(tmp_path, recipe, method=Constant(vocabulary=vocabulary()))
    assert torch.equal(method.counts, expected)
    assert result.curve == []


def test_losses_of_a_method_without_parameters(make_recipe, tmp_path: Path) -> None:
    """Fails when a loss that nothing can lower ends in a backward pass."""

    class Watching(Method):
        def losses(self, images, labels, *, progress):
            return {"mean": images.pixels.float().mean()}

    _, result, _ = run(tmp_path, make_recipe(iterations=4), method=Watching())
    assert len(result.curve) == 4


def test_frozen_weights_stay(through) -> None:
    """Fails when what is frozen is trained, decayed or stored."""
    assert torch.equal(through[0].frozen.weight, Small().frozen.weight)
    assert torch.equal(through[0].idle, torch.ones(2))  # no gradient ever, so no step and no decay
    assert not torch.equal(through[0].head.weight, Small().head.weight)
    assert "frozen.weight" not in through[0].trained_state()


def test_recipe_of_the_fixture_augments_nothing(make_recipe) -> None:
    """Fails when the recipe of these tests is not the plain one they assume."""
    assert make_recipe().augmentation == Augmentation()
