"""From a spec to a method and its data: its CLIP, its training vocabulary, its initial weights, its training items."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.catalogue import BUILTIN, SHAPES_CLIP, benchmark
from benchmarks.data.reader import Reader
from benchmarks.labels import evaluation_table, training_table
from benchmarks.protocol import EvalSide, TrainSide
from benchmarks.scoring.decision import Decision
from benchmarks.spec import ClipId, EvalSpec, TrainSpec
from benchmarks.training.batches import TrainSet
from benchmarks.values import derive_seed
from methods.clip import Clip, load_clip
from methods.clip_file import CONFIG, config_beside, config_sha256
from methods.custom import file_of
from methods.method import Method, Vocabulary
from methods.registry import build_method, entry
from results.launch.plan.body_weights import with_files, without_weights
from results.launch.plan.settings import config_of
from splits.errors import UserError


def vocabulary_of(side: TrainSide | EvalSide, names: tuple[str, ...]) -> Vocabulary:
    """A vocabulary of some of a side's classes."""
    texts = dict(zip(side.classes, side.queries.texts, strict=True))
    seen = set(side.seen)
    return Vocabulary(
        names=names,
        seen=tuple(name in seen for name in names),
        texts=tuple(texts[name] for name in names),
        templates=side.queries.templates,
    )


def scored_vocabulary(scored: EvalSpec) -> Vocabulary:
    """All classes of a scoring. Where weights are scored elsewhere, those that they were trained on count as seen:
    a method's shift is about its training, not about the fold.
    """
    vocabulary = vocabulary_of(scored.side, scored.side.classes)
    if scored.labelled is None:
        return vocabulary
    known = tuple(name in set(scored.labelled) for name in vocabulary.names)
    return Vocabulary(vocabulary.names, known, vocabulary.texts, vocabulary.templates)


def names_vocabulary(scored: EvalSpec) -> Vocabulary:
    """Every word for every class of a scoring, in the order of the classes, as a vocabulary of its own."""
    classes, words = scored_vocabulary(scored), scored.side.queries.names
    of = [(name, seen, word) for name, seen, ws in zip(classes.names, classes.seen, words, strict=True) for word in ws]
    return Vocabulary(
        names=tuple(f"{name}: {word}" for name, _, word in of),
        seen=tuple(seen for _, seen, _ in of),
        texts=tuple(word for _, _, word in of),
        templates=classes.templates,
    )


def asked_of(scored: EvalSpec, method: str) -> tuple[Vocabulary, Decision]:
    """What a method is asked in a scoring, and how its answers become classes.

    Raises UserError where probabilities are to be made of scores that are no cosines.
    """
    side, cosines = scored.side, entry(method).cosines
    if side.softmax is not None and not cosines:
        raise UserError(
            f"{method}: {scored.benchmark} says background by probabilities of cosines, and its scores are none; score "
            "it on a benchmark without background (voc20, pc59)"
        )
    if not side.queries.synonyms:
        return scored_vocabulary(scored), Decision(softmax=side.softmax, per_cosine=cosines or 1.0)
    owners = tuple(index for index, words in enumerate(side.queries.names) for _ in words)
    return names_vocabulary(scored), Decision(owners, side.softmax, cosines or 1.0)


def check_texts(clip: Clip | None, vocabulary: Vocabulary) -> None:
    """Raises UserError where this CLIP's own tokenizer makes one prompt of two classes."""
    if clip is None:
        return
    rows = clip.text_prototypes(vocabulary.texts, vocabulary.templates).cpu()
    first: dict[bytes, int] = {}
    for index, row in enumerate(rows):
        if (other := first.setdefault(row.numpy().tobytes(), index)) != index:
            alike = " and ".join(repr(vocabulary.texts[place]) for place in (other, index))
            raise UserError(
                f"CLIP reads the class names {alike} alike, so that one of them would never be found; name them "
                "differently"
            )


def training_vocabulary(side: TrainSide) -> Vocabulary:
    """What training may name. In the inductive setting no unseen name is in it, and nothing else reaches the method."""
    if side.setting == "inductive":
        return vocabulary_of(side, tuple(name for name in side.classes if name in set(side.seen)))
    vocabulary = vocabulary_of(side, side.classes)
    if side.setting == "fully-supervised":
        return Vocabulary(vocabulary.names, (True,) * len(vocabulary), vocabulary.texts, vocabulary.templates)
    return vocabulary


def build(spec: TrainSpec, clip: Clip | None, *, finished: bool = False) -> Method:
    """The method of a spec as training begins, on the CPU; what is random in it follows from the seed.

    finished: its trained state is loaded next, so that the weights that its body began with are not needed.
    """
    torch.manual_seed(derive_seed("init", spec.seed))
    config = without_weights(config_of(spec)) if finished else with_files(spec, config_of(spec))
    method = build_method(spec.method, clip=clip, vocabulary=training_vocabulary(spec.side), config=config)
    if not isinstance(method, Method):
        at = f"{file.path}: " if (file := file_of(spec.method)) else ""
        raise UserError(f"{at}the builder returned {type(method).__name__}; expected a methods.method.Method")
    return method


def train_set(spec: TrainSpec, reader: Reader) -> TrainSet:
    """The training items of a spec, off a reader of its training images: labels as its fold and setting leave them."""
    split, side = benchmark(spec.benchmark).split, spec.side
    fold = split.fold(spec.fold)
    return TrainSet(
        reader,
        training_table(split, fold, setting=side.setting, border=side.border),
        spec.recipe.augmentation,
        full_table=evaluation_table(split, fold),
        crop_decision=side.crop_decision,
        seed=spec.seed,
    )


def clip_of(clip_id: ClipId | None, file: Path | None = None, *, text_cache: Path | None = None) -> Clip | None:
    """The CLIP of a spec; `file` is where it lies if it is a local one. Raises UserError where it cannot be had.

    text_cache: a folder that keeps its class embeddings from run to run.
    """
    if clip_id is None:
        return None
    try:
        if clip_id.pretrained == BUILTIN:
            clip = load_clip(
                clip_id.model,
                str(SHAPES_CLIP / "weights.safetensors"),
                config_file=SHAPES_CLIP / "tiny-shapes.json",
                best_readout="plain",  # as `clip`'s recipe on shapes-5i reads it
            )
        else:
            beside = _config_of(clip_id, file)
            clip = load_clip(clip_id.model, str(file or clip_id.pretrained), beside=beside, text_cache=text_cache)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    if clip_id.sha256 and clip.weights_sha256 != clip_id.sha256:
        raise UserError(
            f"CLIP {clip_id.model}/{clip_id.pretrained}: its weights have sha256 {clip.weights_sha256}, the spec says "
            f"{clip_id.sha256}; give the file of the spec"
        )
    return clip


def _config_of(clip_id: ClipId, file: Path | None) -> Path | None:
    """The config beside a CLIP's file that belongs to its identity; raises UserError where it is not that any more."""
    if file is None or not clip_id.config_sha256:
        return None
    if config_sha256(file) != clip_id.config_sha256:
        raise UserError(f"{file.with_name(CONFIG)}: is not there, or not the one that the run was planned with")
    return config_beside(file)


def loaded_body_sha256(method: Method) -> str:
    """Of the file that a method's body was given its weights from; empty where there is none."""
    from methods.bodies import Body
    from methods.bodies.dino import Dino

    hashes = [module.weights_sha256 for module in method.modules() if isinstance(module, Body | Dino)]
    return next(filter(None, hashes), "")
