"""`check`: does a method keep what the harness takes for granted? On a small random CLIP and noise, in seconds.

Run it on a custom method before its first training: what fails here would fail late, or give a number that means
nothing. Each check says what was seen and what was expected.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any, Final

import torch
from torch import Tensor

from methods.check_places import place_of_error, place_of_method
from methods.check_subject import BACKGROUND, SEEN, STEPS, UNSEEN, Subject, labels_of, small_clip, words
from methods.clip import Clip
from methods.config import MethodConfig
from methods.custom import blamed
from methods.method import UNLABELLED, VOID, Images, Method, Vocabulary
from methods.registry import LISTED_BY, METHODS, build_method, config_class, entry
from splits.errors import UserError
from splits.near import suggestion


class Failed(UserError):
    """A method breaks what the harness takes for granted.

    problems: one line for each, `check: what was seen`, after `file:line: ` of the method where that is known.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def check(
    method: str | type[Method] | Callable[..., Method],
    *,
    clip: Clip | None = None,
    config: MethodConfig | Mapping[str, Any] | None = None,
    trained: bool = True,
) -> tuple[str, ...]:
    """The names of the checks, all of them passed. Raises Failed with a line for each that is not.

    method: a name of the registry, or a class or builder called with `clip`, `vocabulary` and `config`. clip: another
    than the small random one. config: settings; of a registered method those off their defaults. trained: has a class
    or builder anything to learn?
    """
    subject = _subject(method, clip or small_clip(), config, trained)
    failures = []
    for name, test in CHECKS.items():
        try:
            found = [(place_of_method(subject.cls(), ABOUT[name]), words) for words in test(subject)]
        except Exception as error:
            place = place_of_error(error, subject.files())
            told = None if place else blamed(error)
            found = [(place, told or f"{type(error).__name__}: {' '.join(str(error).split())}")]
        failures += [f"{place}: {name}: {words}" if place else f"{name}: {words}" for place, words in found]
    if failures:
        raise Failed(failures)
    return tuple(CHECKS)


def _subject(method: Any, clip: Clip, config: Any, trained: bool) -> Subject:
    if not isinstance(method, str):
        return Subject(lambda: method(clip=clip, vocabulary=words(SEEN), config=config), trained, _file_of(method))
    if method not in METHODS:
        raise UserError(f"no method is called {method!r}; {suggestion(method, METHODS, listed_by=LISTED_BY)}")
    known, name = entry(method), method
    if not isinstance(config, MethodConfig):
        config = config_class(name)(**{**known.fixed, **(config or {})})
    given = None if known.needs == "nothing" else clip
    file = _file_of(sys.modules.get(known.builder.partition(":")[0]))
    return Subject(lambda: build_method(name, clip=given, vocabulary=words(SEEN), config=config), known.trained, file)


def _file_of(value: Any) -> str:
    """The file that a class, a function or a module is written in; empty where it is not known."""
    module = sys.modules.get(getattr(value, "__module__", ""), value)
    return getattr(module, "__file__", None) or ""


def _shapes(subject: Subject) -> Iterator[str]:
    """Scores for any names and sizes; `activate` is pointwise."""
    method, vocabulary = subject.build().eval(), words((*UNSEEN, *SEEN))
    for size in ((64, 64), (40, 57)):
        with torch.inference_mode():
            scores = method.scores(subject.pictures(*size), vocabulary)
        if scores.ndim != 4 or scores.shape[:2] != (2, len(vocabulary)):
            yield f"scores of 2 pictures and 5 classes are {tuple(scores.shape)}, expected (2, 5, h, w)"
            return
        if not scores.is_floating_point() or not scores.isfinite().all():
            yield "scores are not all finite floating-point numbers"
            return
    seen = vocabulary.seen_mask()
    whole = method.activate(scores, seen)
    if whole.shape != scores.shape:
        yield f"activate makes {tuple(whole.shape)} of {tuple(scores.shape)}; expected the same shape"
    elif not _close(method.activate(scores[:, 1:3, :1], seen[1:3]), whole[:, 1:3, :1]):
        yield "activate is not pointwise: a part of the classes or positions gets other values alone than among all"


def _vocabulary(subject: Subject) -> Iterator[str]:
    """A class is scored by its words: not by its place nor, where `vocabulary_chunkable`, by the other classes."""
    method, pictures = subject.build().eval(), subject.pictures()
    names = (*SEEN, *UNSEEN)
    with torch.inference_mode():
        scores = method.scores(pictures, words(names))
        turned = method.scores(pictures, words(names[::-1])).flip(1)
        fewer = method.scores(pictures, words(names[1:3]))
    if not _close(scores, turned):
        yield "scores depend on the order of the classes"
    if method.vocabulary_chunkable and not _close(scores[:, 1:3], fewer):
        yield "scores of a class depend on the other classes: set `vocabulary_chunkable = False`"


def _batches(subject: Subject) -> Iterator[str]:
    """A picture is scored alone as among others."""
    method, pictures = subject.build().eval(), subject.pictures(count=3)
    with torch.inference_mode():
        scores = method.scores(pictures, words(SEEN))
        alone = method.scores(Images(pictures.pixels[1:2]), words(SEEN))
    if not _close(scores[1:2], alone):
        yield "scores of a picture depend on the others in its batch"


def _losses(subject: Subject) -> Iterator[str]:
    """Named finite scalars, also where nothing is labelled; what trains is in `parameter_groups`, once."""
    method, pictures = subject.build().train(), subject.pictures()
    labelled = labels_of(subject.masks())
    kinds = {"labelled": labelled, "unlabelled": labelled * 0 + UNLABELLED, "void": labelled * 0 + VOID}
    for kind, labels in kinds.items():
        for name, value in method.losses(pictures, labels, progress=0.0).items():
            if not isinstance(value, Tensor) or value.ndim != 0 or not value.isfinite():
                yield f"loss {name} of {kind} pixels is {value!r}, expected a finite scalar tensor"
    grouped = [p for group in method.parameter_groups() for p in group["params"]]
    ours = [p for p in method.parameters() if p.requires_grad]
    if len({id(p) for p in grouped}) != len(grouped) or {id(p) for p in grouped} != {id(p) for p in ours}:
        yield f"parameter_groups holds {len(grouped)} parameters, expected the {len(ours)} that train, each once"
    if not subject.trained:
        return
    losses = method.losses(pictures, labels_of(subject.masks()), progress=0.0)
    if not any(value.requires_grad for value in losses.values()):
        yield "no loss has a gradient; of a method without training say `trained=False` in its MethodEntry"


def _padding(subject: Subject) -> Iterator[str]:
    """What is written into the padding of a picture changes no loss."""
    sizes, labels = torch.tensor([[40, 64], [64, 48]]), labels_of(subject.masks())
    labels[0, 40:], labels[1, :, 48:] = VOID, VOID
    found = []
    for value in (0, 255):
        pixels = subject.pictures().pixels.clone()
        pixels[0, :, 40:], pixels[1, :, :, 48:] = value, value
        torch.manual_seed(5)
        found.append(subject.build().train().losses(Images(pixels, sizes), labels, progress=0.0))
    if not _same(*found):
        yield "losses depend on the bytes in the padding: use `images.normalised`, or mask by `images.valid()`"


def _leakage(subject: Subject) -> Iterator[str]:
    """Nothing about unseen classes reaches training."""
    masks = subject.masks()
    exchanged, hidden = masks.clone(), masks.clone()
    for new, old in enumerate((len(SEEN) + 1, len(SEEN)), len(SEEN)):
        exchanged[masks == old] = new
        hidden[masks == old] = BACKGROUND
    base = _trained(subject, masks)
    if not _same_training(base, _trained(subject, exchanged)):
        yield "exchanging two unseen classes in the masks changes training"
    if not _same_training(base, _trained(subject, hidden)):
        yield "replacing unseen objects by background in the masks changes training"
    if not _same_training(base, _trained(subject, masks, between=words((*SEEN, *UNSEEN)))):
        yield "scoring unseen classes during training changes it: `scores` must leave no trace"
    if named := [name for name in UNSEEN if name in _reachable(base[0])]:
        yield f"after training the method holds the unseen names {', '.join(named)}"


def _resume(subject: Subject) -> Iterator[str]:
    """Stopping, and going on from what a checkpoint holds, gives the same bits as going through."""
    through = _trained(subject, subject.masks())
    first = subject.build()
    optimiser = _optimiser(first)
    subject.train(first, subject.masks(), range(STEPS // 2), optimiser)
    stored = BytesIO()
    torch.save({"method": first.trained_state(), "optimiser": optimiser and optimiser.state_dict()}, stored)
    stored.seek(0)
    state = torch.load(stored, weights_only=True)
    second = subject.build(seed=7)
    second.load_trained_state(state["method"])
    again = _optimiser(second)
    if again is not None:
        again.load_state_dict(state["optimiser"])
    subject.train(second, subject.masks(), range(STEPS // 2, STEPS), again)
    if not _same(through[0].trained_state(), second.trained_state()):
        yield "training that stopped and went on ends elsewhere: what it needs belongs into parameters or buffers"


def _weights(subject: Subject) -> Iterator[str]:
    """Building follows from the seed, and `trained_state` holds all that training changed."""
    if not _same(subject.build(3).trained_state(), subject.build(3).trained_state()):
        yield "two builds with one seed differ: draw from torch's generators alone"
    method, _ = _trained(subject, subject.masks())
    fresh = subject.build(seed=7)
    fresh.load_trained_state(method.trained_state())
    vocabulary, pictures = words((*SEEN, *UNSEEN)), subject.pictures()
    with torch.inference_mode():
        scores = [m.eval().scores(pictures, vocabulary) for m in (method, fresh)]
    if not torch.equal(*scores):
        yield "weights stored and loaded give other scores: what training changes belongs into parameters or buffers"


CHECKS: Final[dict[str, Callable[[Subject], Iterator[str]]]] = {
    "shapes": _shapes,
    "vocabulary": _vocabulary,
    "batches": _batches,
    "losses": _losses,
    "padding": _padding,
    "leakage": _leakage,
    "resume": _resume,
    "weights": _weights,
}
ABOUT: Final = {  # the function of the method that each check is about
    **{"shapes": "scores", "vocabulary": "scores", "batches": "scores", "losses": "losses", "padding": "losses"},
    **{"leakage": "losses", "resume": "losses", "weights": "__init__"},
}


def _close(one: Tensor, other: Tensor) -> bool:
    """Equal but for sums in another order."""
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def _optimiser(method: Method) -> torch.optim.Optimizer | None:
    groups = [{"params": group["params"]} for group in method.parameter_groups()]
    return torch.optim.AdamW(groups, lr=1e-3) if groups else None


def _trained(subject: Subject, masks: Tensor, between: Vocabulary | None = None) -> tuple[Method, list[Any]]:
    """A method after a few steps, with its losses; `between`: the classes that it scores between the steps."""
    method = subject.build()
    optimiser, losses = _optimiser(method), []
    for step in range(STEPS):
        if between is not None:
            with torch.no_grad():
                method.eval().scores(subject.pictures(), between)
        losses += subject.train(method, masks, range(step, step + 1), optimiser)
    return method, losses


def _same_training(one: tuple[Method, list[Any]], other: tuple[Method, list[Any]]) -> bool:
    steps = zip(one[1], other[1], strict=True)
    return all(_same(a, b) for a, b in steps) and _same(one[0].trained_state(), other[0].trained_state())


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _reachable(root: Any) -> set[str]:
    """Every text that can be reached through attributes and containers, the text cache of the CLIP left out."""
    found, seen, waiting = set(), set(), [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, Clip | Tensor | type):
            continue
        seen.add(id(value))
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
        elif hasattr(value, "__dict__"):
            waiting += vars(value).values()
    return found
