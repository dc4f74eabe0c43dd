"""The `predict` command: what finished weights say about a person's own pictures, or about a benchmark's images."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks.catalogue import benchmark
from benchmarks.data.photos import Photo, photos
from benchmarks.overlap import labelled
from benchmarks.protocol import BACKGROUND, Inference
from benchmarks.scoring.predict import predicted
from benchmarks.templates import templates
from benchmarks.values import canonical_json
from methods.method import Vocabulary
from results.launch.commands.parse import SIZES, clip_asked, data_asked, given
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import default_scale, methods_named, plan
from results.launch.plan.transfer import transferred
from results.launch.plan.weight_cards import run_folder
from results.launch.run import finished_weights as finished
from results.launch.run.build import asked_vocabulary
from results.launch.run.devices import device_asked
from results.launch.run.finished_weights import Finished
from results.report.overlays import ContactSheet, index_png, overlay
from results.store.files import write_atomically
from splits.errors import UserError
from splits.hashing import file_sha256

MADE = INDEX, OVERLAYS, SHEET, CLASSES = "index", "overlays", "sheet.png", "classes.json"


@dataclass(frozen=True)
class Question:
    """What is asked of which pictures."""

    vocabulary: Vocabulary
    inference: Inference
    pictures: Iterator[Photo]
    about: str  # the pictures, for people


def main(options: argparse.Namespace) -> int:
    """Ask, write, and say where."""
    _check(options)
    source = _finished(options)
    question = _question(options, source)
    _make_room(options.out, force=options.force)
    count = _write(options, source, question)
    seen = [n for n, flag in zip(question.vocabulary.names, question.vocabulary.seen, strict=True) if flag]
    print(f"{source.spec.method}: {count} {question.about}, asked about {', '.join(question.vocabulary.names)}")
    print(f"labelled in its training: {', '.join(seen) or 'none of them'}")
    print(f"{options.out}: {', '.join(name for name in MADE if (options.out / name).exists())}")
    return 0


def _check(options: argparse.Namespace) -> None:
    if (options.images is None) == (options.benchmarks is None):
        raise UserError("say which pictures: either --images DIR or --benchmark B --fold K")
    if options.run and (options.weights or options.methods):
        raise UserError("--run names the weights already; leave --weights and --methods out")
    if not (options.run or options.weights or options.methods):
        raise UserError("say which weights: --run KEY, --weights FILE, or --methods clip, which trains nothing")
    if options.benchmarks and options.classes:
        raise UserError("--classes belongs to --images; a benchmark has its own")
    if options.weights and not options.weights.is_file():
        raise UserError(f"--weights {options.weights}: there is no such file")


def _finished(options: argparse.Namespace) -> Finished:
    clip, clip_file = clip_asked(options.clip)
    if options.run:
        return finished.of_run(run_folder(options.run, options.runs), clip_file)
    if options.weights and not options.methods:
        return finished.of_card(options.weights, clip_file)
    weights = file_sha256(options.weights) if options.weights else ""
    run = _planned(options, methods_named(options.methods), clip, fold=0, weights=weights)
    return finished.of_plan(run, options.runs, clip_file, options.weights)


def _planned(options: argparse.Namespace, methods: tuple[str, ...], clip: Any, *, fold: int, weights: str = "") -> Run:
    """The one run that the options name; of this fold, where they name none."""
    if len(methods) != 1:
        raise UserError(f"--methods: one method can be asked at once, got {', '.join(methods)}")
    request = Request(
        methods=methods,
        benchmarks=tuple(options.benchmarks or ["shapes-5i" if clip is None else "pascal-5i"]),
        folds=tuple(options.folds or [fold]),
        clip=clip,
        scale=options.scale,
        part=options.part,
        templates=options.templates,
        inference=given(options, SIZES),
        weights=weights,
        data=data_asked(options),
    )
    return plan(request)[0]


def _question(options: argparse.Namespace, source: Finished) -> Question:
    if options.benchmarks:
        return _of_benchmark(options, source)
    spec = source.spec
    names = class_names(options.classes) if options.classes else spec.side.classes
    asked_with = templates(options.templates) if options.templates else spec.side.queries.templates
    bench = benchmark(spec.benchmark)
    sizes = bench.inference_at(options.scale or default_scale(bench, spec.clip)).model_dump() | dict(
        given(options, SIZES)
    )
    return Question(
        vocabulary=vocabulary_for(source, names, asked_with),
        inference=Inference.parse(sizes, source="the sizes asked for"),
        pictures=photos(options.images, limit=options.limit, every=options.every),
        about=f"pictures of {options.images}",
    )


def _of_benchmark(options: argparse.Namespace, source: Finished) -> Question:
    run = _planned(options, (source.spec.method,), source.spec.clip, fold=source.spec.fold)
    side, bench = run.evaluation.side, benchmark(run.evaluation.benchmark)
    reader = data_asked(options).open(bench, options.part)
    reader.prepare()
    count = min(len(reader), options.limit or len(reader))
    return Question(
        vocabulary=asked_vocabulary(transferred(source.spec, run.evaluation)),
        inference=side.inference,
        pictures=((sample.id, sample.image) for sample in map(reader.read, range(count))),
        about=f"{options.part} images of {bench.name}, fold {run.evaluation.fold}",
    )


def class_names(text: str) -> tuple[str, ...]:
    """The words of a list with commas; raises UserError for none or for one that stands there twice.

    >>> class_names("dog, traffic light")
    ('dog', 'traffic light')
    """
    names = tuple(" ".join(name.split()) for name in text.split(","))
    if not all(names):
        raise UserError(f"--classes {text!r}: expected names parted by commas, none of them empty")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"--classes: {', '.join(twice)} stands there twice")
    return names


def vocabulary_for(source: Finished, names: tuple[str, ...], asked_with: tuple[str, ...]) -> Vocabulary:
    """Any names as these weights are asked: with the words of their training where they were named there.

    Those that were labelled in the training, by this name or a synonym (`splits.names`), count as seen.
    """
    side = source.spec.side
    texts = dict(zip(side.classes, side.queries.texts, strict=True))
    asked = {name: texts.get(name, name) for name in names}
    known = labelled(side, asked)
    return Vocabulary(names, tuple(n in known for n in names), tuple(asked.values()), asked_with)


def _make_room(out: Path, *, force: bool) -> None:
    """An empty folder, but for what is not ours; earlier predictions are thrown away only where asked to."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; give a folder")
    there = [name for name in MADE if (out / name).exists()]
    if there and not force:
        raise UserError(
            f"--out {out}: holds {', '.join(there)} of earlier predictions; give --force, or another folder"
        )
    for name in there:
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write(options: argparse.Namespace, source: Finished, question: Question) -> int:
    """Index PNG and overlay of each picture, the sheet, the order of the classes; returns how many pictures."""
    threshold, vocabulary = options.background_below, question.vocabulary
    classes = vocabulary.names + ((BACKGROUND,) if threshold is not None else ())
    if threshold is not None and BACKGROUND in vocabulary.names:
        raise UserError(f"{BACKGROUND!r} is one of the classes already; leave --background-below out")
    device, count = device_asked(options.device), 0
    sheet, method = ContactSheet(classes, most=options.sheet), source.method.to(device)
    for id_, image in question.pictures:
        said = predicted(
            method,
            image,
            vocabulary,
            question.inference,
            image.shape[:2],
            background_below=threshold,
            device=device,
        )
        _put(options.out / INDEX, id_, index_png(said, len(classes)))
        _put(options.out / OVERLAYS, id_, overlay(image, said, classes))
        sheet.add(id_, image, said)
        count += 1
    if options.sheet:
        write_atomically(options.out / SHEET, sheet.png())
    _write_classes(options.out / CLASSES, classes, source, question)
    return count


def _put(folder: Path, id_: str, content: bytes) -> None:
    write_atomically(folder / f"{safe_id(id_)}.png", content, durable=False)


def safe_id(id_: str) -> str:
    """An image id that may name a file below a folder; raises UserError for one that would lead out of it."""
    path = PurePosixPath(id_)
    if not id_ or path.is_absolute() or ".." in path.parts or re.search(r"[\\\0:]", id_):
        raise UserError(f"image id {id_!r} is no name of a file below a folder")
    return id_


def _write_classes(path: Path, classes: tuple[str, ...], source: Finished, question: Question) -> None:
    spec, vocabulary = source.spec, question.vocabulary
    told = {
        "classes": classes,
        "seen": [name for name, flag in zip(vocabulary.names, vocabulary.seen, strict=True) if flag],
        "texts": vocabulary.texts,
        "templates": vocabulary.templates,
        "method": spec.method,
        "trained_on": f"{spec.benchmark} fold {spec.fold} seed {spec.seed}",
        "training": spec.digest(),
        "weights_sha256": source.weights_sha256,
        "inference": question.inference.model_dump(mode="json"),
    }
    write_atomically(path, canonical_json(told).encode())
