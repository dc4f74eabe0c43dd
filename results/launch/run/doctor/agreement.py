"""Does a device compute what the CPU computes? Losses, gradients and scores of every method, float32 and bf16."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from methods.check_subject import SEEN, UNSEEN, Subject, labels_of, small_clip, words
from methods.precision import float32_products
from methods.registry import METHODS, build_method, config_class, entry
from results.launch.run.doctor.sections import Bench, Row, words_of

# Relative distances (of losses: of each; of gradients and scores: of all together) that rounding may leave. Sums on a
# GPU have another order: float32 has 24 bits, of which a network of this depth keeps some 13; bf16 has 8, and keeps
# the first 3 or so.
WITHIN = {
    "float32": {"losses": 1e-4, "gradients": 2e-3, "scores": 1e-4},
    "bf16": {"losses": 0.1, "gradients": 0.4, "scores": 0.1},
}
# What mines regions by rounded features chooses others: its losses are over other regions then.
MINING = {"losses": 0.4, "gradients": 0.9}
Outcome = dict[str, dict[str, Tensor]]  # losses, gradients, scores


class DrawnOnCpu(TorchDispatchMode):
    """Within, what is random is drawn on the CPU, so that devices have the same dropout."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation."""
        kwargs = kwargs or {}
        tags = getattr(func, "tags", ())
        if torch.Tag.nondeterministic_seeded not in tags or "attention" in func.__name__:
            return func(*args, **kwargs)
        device = next((x.device for x in _flat(args) if isinstance(x, Tensor)), kwargs.get("device"))
        if device is None or torch.device(device).type == "cpu":
            return func(*args, **kwargs)
        here = {**kwargs, **({"device": torch.device("cpu")} if kwargs.get("device") is not None else {})}
        drawn = func(*tree_map(_to_cpu, args), **here)
        if func.__name__.split(".")[0].endswith("_"):  # in place
            return args[0].copy_(drawn)
        return tree_map(lambda x: x.to(device) if isinstance(x, Tensor) else x, drawn)


def _to_cpu(value: Any) -> Any:
    return value.cpu() if isinstance(value, Tensor) else value


def _flat(args: Any) -> list[Any]:
    return [x for arg in args for x in (arg if isinstance(arg, list | tuple) else [arg])]


def agreement(bench: Bench, methods: tuple[str, ...] = ()) -> tuple[str, list[Row]]:
    """A row for each method and precision: the three distances, and `wrong` where one is too far."""
    rows = []
    for name in methods or tuple(METHODS):
        expected = outcome(name, torch.device("cpu"), bf16=False)
        for precision in WITHIN:
            row: Row = {"method": name, "precision": precision}
            within = WITHIN[precision] | (MINING if precision == "bf16" and mines(name) else {})
            try:
                found = outcome(name, bench.device, bf16=precision == "bf16")
                apart = {part: _distance(found[part], expected[part]) for part in within}
                row |= {part: value if math.isfinite(value) else None for part, value in apart.items()}  # for JSON
                row["wrong"] = ", ".join(part for part, most in within.items() if not apart[part] <= most)
            except Exception as error:
                row["wrong"] = words_of(error)
            rows.append(row)
    tolerances = "; ".join(
        f"{precision}: {', '.join(f'{part} {most:g}' for part, most in within.items())}"
        for precision, within in WITHIN.items()
    )
    mining = ", ".join(f"{part} {most:g}" for part, most in MINING.items())
    return (
        f"relative distance to the CPU's float32, at most: {tolerances}; of what mines regions in bf16: {mining}",
        rows,
    )


def mines(name: str) -> bool:
    """Does a method choose regions by its features?"""
    return entry(name).config.startswith("methods.distillation.")


def subject(name: str) -> Subject:
    """A method of the registry on a small CLIP of random weights, its body small."""
    known, config = entry(name), config_class(name)
    clip = None if known.needs == "nothing" else small_clip()
    small = "body" in config.model_fields and config.model_fields["body"].default != "clip"
    fields = known.fixed | ({"body": "small"} if small else {})
    if "decoder_dropout" in config.model_fields and mines(name):
        fields |= {"decoder_dropout": 0.0}  # attention's own, which some GPUs draw inside its kernel
    return Subject(lambda: build_method(name, clip=clip, vocabulary=words(SEEN), config=config(**fields)))


def outcome(name: str, device: torch.device, *, bf16: bool) -> Outcome:
    """What a method makes of two pictures: in a training step, and asked about classes of which two are new."""
    of = subject(name)
    method, images = of.build().to(device), of.pictures().to(device)
    labels = labels_of(of.masks()).to(device)
    torch.manual_seed(3)
    with DrawnOnCpu(), float32_products():
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            losses = method.train().losses(images, labels, progress=0.5)
        if losses:
            torch.stack(tuple(losses.values())).sum().backward()
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            scores = method.eval().scores(images, words(SEEN + UNSEEN))
    gradients = {n: p.grad.float().cpu() for n, p in method.named_parameters() if p.grad is not None}
    return {
        "losses": {n: v.detach().float().cpu() for n, v in losses.items()},
        "gradients": gradients,
        "scores": {"scores": scores.float().cpu()},
    }


def _distance(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Relative, of all values together; infinite where names differ or a value is no number."""
    if found.keys() != expected.keys():
        return float("inf")
    if not expected:
        return 0.0
    ours, theirs = (torch.cat([of[n].flatten().double() for n in sorted(of)]) for of in (found, expected))
    if not ours.isfinite().all():
        return float("inf")
    return float((ours - theirs).norm() / theirs.norm().clamp_min(1e-12))
