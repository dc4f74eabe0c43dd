"""The training loop: short, ours, and the same for every method. Fabric drives device, precision and ranks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.spec import Recipe
from benchmarks.training import acceleration, accumulate
from benchmarks.training.checkpoint import Checkpoints
from benchmarks.training.fabric import Fabric
from benchmarks.training.ranks import ALONE, Ranks
from benchmarks.values import derive_seed
from methods.method import Images, Method
from methods.precision import float32_products
from methods.returned import grouped_parameters, named_losses, place_of
from splits.errors import Diverged

CHECKPOINTS_PER_RUN = 10
POINTS_PER_RUN = 100
WARMUP_STEPS = 5  # left out of the rate
SECONDS = "seconds"  # of a checkpoint: all else in it must repeat bit for bit
WATCHED = "watched "  # before the names of figures that are no losses

Batches = Callable[[int], Iterator[tuple[Images, Tensor]]]  # from a step on
Figures = dict[str, Tensor]
Pending = list[tuple[tuple[str, ...], Tensor]]  # names and values of the losses of each step
Curve = list[tuple[int, dict[str, float]]]  # (step, mean of each loss over its steps since the last point)


class Stopped(Exception):
    """The run was stopped; a checkpoint of the step reached is on disk."""


@dataclass
class Progress:
    """Where the loop is, after every step."""

    step: int
    iterations: int
    images_per_second: float | None
    curve: Curve


@dataclass
class Trained:
    """What a finished training leaves besides the weights in the method."""

    curve: Curve = field(default_factory=list)
    seconds: float = 0.0  # over all attempts, as far as their checkpoints tell
    images_per_second: float | None = None
    warnings: list[str] = field(default_factory=list)
    members: tuple[str, ...] = ()  # machine and device of each rank, where there were several


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up and poly decay to `min_lr`: mmcv's PolyLrUpdaterHook, or mmengine's LinearLR and PolyLR.

    From `restart_at` on, the same over the iterations that are left.
    """
    length = recipe.iterations
    if recipe.restart_at is not None and step >= recipe.restart_at:
        step, length = step - recipe.restart_at, length - recipe.restart_at
    warm = recipe.warmup_iterations
    if recipe.decay == "overlaid":
        rate = _poly(recipe, step / length)
        return rate * (1 - (1 - step / warm) * (1 - recipe.warmup_ratio)) if step < warm else rate
    if step < warm:
        return recipe.lr * (recipe.warmup_ratio + (1 - recipe.warmup_ratio) * min(1.0, step / max(1, warm - 1)))
    return _poly(recipe, (step - warm) / max(1, length - warm - 1))


def _poly(recipe: Recipe, done: float) -> float:
    """The rate when this share of the decay is done."""
    return (recipe.lr - recipe.min_lr) * (1 - done) ** recipe.poly_power + recipe.min_lr


def train(
    method: Method,
    batches: Batches,
    recipe: Recipe,
    *,
    seed: int,
    fabric: Fabric,
    checkpoints: Checkpoints,
    watch: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    ranks: Ranks = ALONE,
    over: Mapping[str, str] | None = None,
) -> Trained:
    """Train from the newest checkpoint, or from the start. Raises Stopped after saving, UserError at a loss of NaN.

    ranks: where several processes train together, each calls this with its own share of the batches. The first alone
    reads and writes checkpoints; `stop` on one of them stops all after the same step. over: what losses are
    averaged over that are no mean over images, by name (`accumulate`); of use where gradients are added up.
    """
    if recipe.iterations == 0:
        return Trained()
    with float32_products(tf32=recipe.tf32):
        loop = _Loop(method, recipe, seed, fabric, checkpoints, ranks, over or {})
        loop.resume()
        clock = _Clock(recipe.batch, loop.seconds)
        source = batches(loop.step)
        every = max(1, recipe.iterations // CHECKPOINTS_PER_RUN)
        while loop.step < recipe.iterations:
            loop.advance(*next(source))
            clock.tick()
            watch(Progress(loop.step, recipe.iterations, clock.rate(), loop.curve))
            if loop.step < recipe.iterations:
                stopping = ranks.any(stop())
                if stopping or loop.step % every == 0:
                    loop.seconds = clock.seconds()
                    loop.save()
                if stopping:
                    raise Stopped(f"stopped at step {loop.step} of {recipe.iterations}")
        return Trained(loop.curve, clock.seconds(), clock.rate(), loop.warnings)


class _Loop:
    """The state of a training: the method, its optimiser, the step, the loss curve."""

    def __init__(
        self,
        method: Method,
        recipe: Recipe,
        seed: int,
        fabric: Fabric,
        checkpoints: Checkpoints,
        ranks: Ranks,
        over: Mapping[str, str],
    ):
        self.method, self.recipe, self.seed, self.over = method, recipe, seed, over
        self.fabric, self.checkpoints, self.ranks = fabric, checkpoints, ranks
        self.step = 0
        self.seconds = 0.0  # of all attempts, when it was last saved
        self.curve: Curve = []
        self.warnings: list[str] = []
        self._pending: Pending = []
        self._point_every = max(1, recipe.iterations // POINTS_PER_RUN)
        groups = grouped_parameters(method)
        self._scales = [group.pop("lr_scale", 1.0) for group in groups]
        self.optimizer = acceleration.adamw(groups, recipe, fabric.device) if groups else None
        if recipe.compiled:
            acceleration.compile_losses(method)
        if self.optimizer is None:
            self._wrapped: Any = fabric.setup_module(method)
        else:
            self._wrapped, self.optimizer = fabric.setup(method, self.optimizer)
        self._wrapped.mark_forward_method("losses")  # else gradients of ranks are not synchronised

    def advance(self, images: Images, labels: Tensor) -> None:
        """One step."""
        for group, scale in zip(self.optimizer.param_groups if self.optimizer else [], self._scales, strict=False):
            group["lr"] = learning_rate(self.recipe, self.step) * scale
        if self.optimizer is not None and self.step == self.recipe.restart_at:
            self.optimizer.state.clear()
        # dropout and the like draw from a stream of their own per step, so that a resumed run needs no stored state
        torch.manual_seed(derive_seed("step", self.seed, self.step, self.ranks.rank))
        self.method.train()
        if self.optimizer is not None:
            self.optimizer.zero_grad(set_to_none=True)
        shown = self._learn(images, labels) if self.recipe.accumulate == 1 else self._learn_in_parts(images, labels)
        if self.optimizer is not None and any(not name.startswith(WATCHED) for name in shown):
            self.optimizer.step()
        if shown:
            self._pending.append((tuple(shown), torch.stack(tuple(shown.values()))))
        self.step += 1
        if self.step % self._point_every == 0 or self.step == self.recipe.iterations:
            self._add_point()

    def _learn(self, images: Images, labels: Tensor, weights: Mapping[str, float] | None = None) -> Figures:
        """The losses of some images, their gradients added to those that are there; and what the method watches.

        weights: of each loss in the gradient, by what it is averaged over; None: all of them count as they are.
        """
        images, labels = acceleration.moved(images, labels, self.fabric.device)
        with self.fabric.autocast():  # Fabric enters it by itself only where a method is wrapped for several ranks
            losses = self._wrapped.losses(images, labels, progress=self.step / self.recipe.iterations)
        losses = named_losses(self.method, losses, trained=self.optimizer is not None)
        if weights is not None:
            losses = {n: v * weights[self.over.get(n, "images")] for n, v in losses.items()}
        if losses and self.optimizer is not None:
            self.fabric.backward(torch.stack(tuple(losses.values())).sum())
        watched = {f"{WATCHED}{name}": value for name, value in self.method.watched.items()}
        if weights is not None:
            watched = {name: value * weights["images"] for name, value in watched.items()}
        return {name: value.detach().float() for name, value in (losses | watched).items()}

    def _learn_in_parts(self, images: Images, labels: Tensor) -> Figures:
        """`_learn` for each micro-batch, ranks left alone until the last; the figures are those of the batch."""
        parts = accumulate.parts(images, labels, self.recipe.accumulate)
        weights = accumulate.weights_of([part for _, part in parts], self.over.values(), self.ranks)
        total: Figures = {}
        for number, part in enumerate(parts):
            own = {name: every[number] for name, every in weights.items()}
            with self.fabric.no_backward_sync(self._wrapped, enabled=number < len(parts) - 1):
                figures = self._learn(*part, own)
            total |= {name: total[name] + value if name in total else value for name, value in figures.items()}
        return total

    def save(self) -> None:
        """Write a checkpoint of this step, unless the losses say that it would be worthless."""
        pending = self._of_all_ranks()
        self._means(pending)
        if not self.ranks.first:
            return
        state = {
            "trained": self.method.trained_state(),
            "optimizer": self.optimizer.state_dict() if self.optimizer else {},
            "curve": self.curve,
            "pending": pending[0],
            SECONDS: self.seconds,
        }
        others = {"pending of others": pending[1:], "precision": self.fabric.strategy.precision.state_dict()}
        self.checkpoints.save(self.step, state | {name: value for name, value in others.items() if value})

    def resume(self) -> None:
        """Go on from the newest checkpoint that can be trusted, if there is one."""
        state, self.warnings = self.ranks.from_first(self.checkpoints.latest)
        if state is None:
            return
        self.method.load_trained_state(state["trained"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        if scale := state.get("precision"):  # what 16-mixed multiplies losses by
            self.fabric.strategy.precision.load_state_dict(scale)
        self.step, self.seconds = state["step"], state.get(SECONDS, 0.0)
        self.curve = [(step, dict(losses)) for step, losses in state["curve"]]
        pending = [state["pending"], *state.get("pending of others", [])][self.ranks.rank]
        self._pending = [(tuple(names), values.to(self.fabric.device)) for names, values in pending]

    def _add_point(self) -> None:
        self.ranks.any(False)  # a rank that is gone is noticed here: a GPU's copy would wait for its gradients
        if losses := self._means(self._of_all_ranks()):
            self.curve.append((self.step, losses))
        self._pending = []

    def _of_all_ranks(self) -> list[Pending]:
        """The losses since the last point, of each rank, on the CPU."""
        if not self._pending:
            return self.ranks.gather([])
        together = torch.cat([values for _, values in self._pending]).cpu()  # one copy from the device, not hundreds
        parts = together.split([len(values) for _, values in self._pending])
        return self.ranks.gather([(names, part.clone()) for (names, _), part in zip(self._pending, parts, strict=True)])

    def _means(self, pending: list[Pending]) -> dict[str, float]:
        """The mean of each loss over ranks and the steps since the last point that had it; raises Diverged for NaN."""
        values: dict[str, list[float]] = {}
        for names, of_step in (entry for of_rank in pending for entry in of_rank):
            for name, value in zip(names, of_step.double().tolist(), strict=True):
                values.setdefault(name, []).append(value)
        means = {name: sum(v) / len(v) for name, v in values.items()}
        if wrong := [name for name, value in means.items() if not math.isfinite(value)]:
            at = place_of(self.method, "losses")
            raise Diverged(
                f"{at}the loss {', '.join(wrong)} is not finite by step {self.step}; lower the learning rate "
                f"(now {self.recipe.lr}), or use 32-true precision (now {self.recipe.precision})"
            )
        return means


class _Clock:
    """Wall time and the rate without warm-up."""

    def __init__(self, batch: int, before: float = 0.0):
        self._before = before  # seconds of earlier attempts
        self._batch, self._start, self._ticks = batch, time.perf_counter(), 0
        self._warm: float | None = None

    def tick(self) -> None:
        self._ticks += 1
        if self._ticks == WARMUP_STEPS:
            self._warm = time.perf_counter()

    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._start

    def rate(self) -> float | None:
        if self._warm is None or self._ticks <= WARMUP_STEPS:
            return None
        return (self._ticks - WARMUP_STEPS) * self._batch / (time.perf_counter() - self._warm)
