"""What finished weights predict for any pictures, or for a benchmark's images. Start reading at `predict`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from benchmarks.catalogue import BUILTIN, benchmark
from benchmarks.data.photos import Photo, passed_over, photos
from benchmarks.overlap import labelled
from benchmarks.prompts import check_names
from benchmarks.protocol import BACKGROUND, Inference
from benchmarks.scoring.decision import Decision
from benchmarks.scoring.evaluate import PLAIN
from benchmarks.scoring.predict import predicted
from benchmarks.templates import templates
from benchmarks.values import canonical_json
from methods.method import Vocabulary
from results.launch.plan.request import Prediction, Request, Run
from results.launch.plan.runs import default_scale, plan
from results.launch.plan.transfer import transferred
from results.launch.plan.weight_cards import run_folder
from results.launch.run import finished_weights
from results.launch.run.build import asked_of, check_texts, scored_vocabulary
from results.launch.run.data_state import DataStates
from results.launch.run.devices import chosen_device
from results.launch.run.finished_weights import Finished
from results.report.overlays import ContactSheet, index_png, overlay
from results.store.files import write_atomically
from splits.errors import UserError, no_file_words
from splits.hashing import file_sha256

DRAWINGS = (
    "the built-in CLIP knows the drawn shapes of shapes-5i and no photos; for photos take another, as --clip "
    "ViT-B-16/openai, or weights that were trained with one"
)
MADE = INDEX, OVERLAYS, SHEET, CLASSES = "index", "overlays", "sheet.png", "classes.json"
UNFINISHED = ".unfinished"  # a folder of --out that is written first


@dataclass(frozen=True)
class Query:
    """Which classes are looked for in which pictures."""

    vocabulary: Vocabulary
    inference: Inference
    pictures: Iterator[Photo]
    about: str  # the pictures, for people
    remarks: tuple[str, ...] = ()  # what to know of how CLIP reads the classes
    asked: Vocabulary | None = None  # the names that stand for the classes, where they are others
    decision: Decision = PLAIN  # how scores of what is asked become classes


def predict(wanted: Prediction) -> list[str]:
    """Write the index PNG and overlay of each picture, the sheet and the classes; returns what was done, in lines."""
    _check(wanted)
    source = _finished(wanted)
    query = _query(wanted, source)
    _check_out(wanted.out, force=wanted.force)
    with _finished_alone(wanted.out) as unfinished:
        count = _write(wanted, source, query, unfinished)
    seen = [n for n, flag in zip(query.vocabulary.names, query.vocabulary.seen, strict=True) if flag]
    return [
        f"{source.spec.method}: {count} {query.about}, asked about {', '.join(query.vocabulary.names)}",
        f"labelled in its training: {', '.join(seen) or 'none of them'}",
        *(f"warning: {remark}" for remark in (*source.remarks, *query.remarks)),
        f"{wanted.out}: {', '.join(name for name in MADE if (wanted.out / name).exists())}",
    ]


def _check(wanted: Prediction) -> None:
    weights, methods = wanted.files.weights, wanted.request.methods
    if (wanted.images is not None) == bool(wanted.request.benchmarks):
        raise UserError("say which pictures: either --images DIR or --benchmark B --fold K")
    if wanted.run and (weights or methods):
        raise UserError("--run names the weights already; leave --weights and --methods out")
    if not (wanted.run or weights or methods):
        raise UserError("say which weights: --run KEY, --weights FILE, or --methods clip, which trains nothing")
    if wanted.request.benchmarks and wanted.classes:
        raise UserError("--classes belongs to --images; a benchmark has its own")
    check_several(wanted.classes, wanted.background_below, "--classes", "parted by commas, or --background-below T")
    if weights and not weights.is_file():
        raise UserError(f"--weights {weights}: {no_file_words(weights)}")


def check_several(names: Sequence[str], threshold: float | None, option: str, how: str) -> None:
    """Raises UserError for one class alone (the name of a list's file, say), where no threshold parts it from others.

    option, how: where the names come from and how several are given, for the message.
    """
    if len(names) == 1 and threshold is None:
        raise UserError(f"{option} {names[0]}: one class alone is said of every pixel; give several names, {how}")


def _finished(wanted: Prediction) -> Finished:
    request, files = wanted.request, wanted.files
    if wanted.run:
        return finished_weights.of_run(run_folder(wanted.run, wanted.root), files.clip)
    if files.weights and not request.methods:
        return finished_weights.of_card(files.weights, files.clip)
    sha256 = file_sha256(files.weights) if files.weights else ""
    run = _planned(replace(request, weights=sha256), fold=0)
    return finished_weights.of_plan(run, wanted.root, files.clip, files.weights)


def _planned(request: Request, *, fold: int) -> Run:
    """The one run of a request; of this fold, where it names none."""
    if len(request.methods) != 1:
        raise UserError(f"--methods: one method can be asked at once, got {', '.join(request.methods)}")
    usual = "shapes-5i" if request.clip is None else "pascal-5i"
    return plan(replace(request, benchmarks=request.benchmarks or (usual,), folds=request.folds or (fold,)))[0]


def _query(wanted: Prediction, source: Finished) -> Query:
    if wanted.request.benchmarks:
        return _of_benchmark(wanted, source)
    assert wanted.images is not None, "checked"
    spec, request = source.spec, wanted.request
    names = wanted.classes or spec.side.classes
    sentences = templates(request.templates) if request.templates else spec.side.queries.templates
    vocabulary, remarks = asked_about(source, names, sentences, "--classes")
    bench = benchmark(spec.benchmark)
    usual = bench.inference_at(request.scale or default_scale(bench, spec.clip)).model_dump()
    left = f"{wanted.images}: {words}" if (words := passed_over(wanted.images)) else ""
    return Query(
        vocabulary=vocabulary,
        inference=Inference.parse(usual | dict(request.inference), source="the sizes asked for"),
        pictures=photos(wanted.images, limit=wanted.limit, every=wanted.every),
        about=f"pictures of {wanted.images}",
        remarks=(
            *remarks,
            *((left,) if left else ()),
            *((DRAWINGS,) if spec.clip is not None and spec.clip.pretrained == BUILTIN else ()),
        ),
    )


def _of_benchmark(wanted: Prediction, source: Finished) -> Query:
    spec = source.spec
    run = _planned(replace(wanted.request, methods=(spec.method,), clip=spec.clip), fold=spec.fold)
    side, bench = run.evaluation.side, benchmark(run.evaluation.benchmark)
    run = Run(run.train, run.evaluation.model_copy(update={"limit": wanted.limit}))
    data = DataStates(wanted.request.data, train=False).of(run)
    data.refuse(bench.name)
    reader = wanted.request.data.open(bench, wanted.request.part)
    reader.prepare()
    count = min(len(reader), wanted.limit or len(reader))
    scored = transferred(spec, run.evaluation)
    asked, decision = asked_of(scored, spec.method)
    return Query(
        vocabulary=scored_vocabulary(scored),
        asked=asked,
        decision=decision,
        inference=side.inference,
        pictures=((sample.id, sample.image) for sample in map(reader.read, range(count))),
        about=f"{wanted.request.part} images of {bench.name}, fold {run.evaluation.fold}",
        remarks=data.warnings,
    )


def asked_about(
    source: Finished, names: tuple[str, ...], sentences: tuple[str, ...], option: str
) -> tuple[Vocabulary, tuple[str, ...]]:
    """Any names as a vocabulary of these weights, and what to know of how CLIP reads them.

    option: where the names come from, for messages. Raises UserError where two of them are one, here or to CLIP.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{option}: {', '.join(twice)} stands there twice")
    vocabulary = vocabulary_for(source, names, sentences)
    remarks = check_names(vocabulary.texts, sentences, option)
    check_texts(source.clip, vocabulary)
    return vocabulary, remarks


def vocabulary_for(source: Finished, names: tuple[str, ...], sentences: tuple[str, ...]) -> Vocabulary:
    """Any names as a vocabulary of these weights: with the words of their training where they were named there.

    Those that were labelled in the training, by this name or a synonym (`splits.names`), count as seen. sentences: the
    templates that CLIP is given.
    """
    side = source.spec.side
    texts = dict(zip(side.classes, side.queries.texts, strict=True))
    words = {name: texts.get(name, name) for name in names}
    known = labelled(side, words)
    return Vocabulary(names, tuple(n in known for n in names), tuple(words.values()), sentences)


def _check_out(out: Path, *, force: bool) -> None:
    """Raises UserError for what is no folder, and where earlier predictions lie, which go by force alone."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; give a folder")
    there = [name for name in MADE if (out / name).exists()]
    if there and not force:
        raise UserError(
            f"--out {out}: holds {', '.join(there)} of earlier predictions; give --force, or another folder"
        )


@contextmanager
def _finished_alone(out: Path) -> Iterator[Path]:
    """A folder to write to. At its end its content replaces earlier predictions; after an error they stay."""
    unfinished = out / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    try:
        yield unfinished
        for name in MADE:
            path = out / name
            if path.exists():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if (unfinished / name).exists():
                os.replace(unfinished / name, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(wanted: Prediction, source: Finished, query: Query, out: Path) -> int:
    """Index PNG and overlay of each picture, the sheet, the order of the classes; returns how many pictures."""
    threshold, vocabulary = wanted.background_below, query.vocabulary
    classes = vocabulary.names + ((BACKGROUND,) if threshold is not None else ())
    if threshold is not None and BACKGROUND in vocabulary.names:
        raise UserError(f"{BACKGROUND!r} is one of the classes already; leave --background-below out")
    device, count = chosen_device(wanted.device), 0
    sheet, method = ContactSheet(classes, most=wanted.sheet), source.method.to(device)
    for id_, image in query.pictures:
        labels = predicted(
            method,
            image,
            query.asked or vocabulary,
            query.inference,
            image.shape[:2],
            decision=query.decision,
            background_below=threshold,
            device=device,
        )
        _put(out / INDEX, id_, index_png(labels, len(classes)))
        _put(out / OVERLAYS, id_, overlay(image, labels, classes))
        sheet.add(id_, image, labels)
        count += 1
    if wanted.sheet:
        write_atomically(out / SHEET, sheet.png())
    _write_classes(out / CLASSES, classes, source, query)
    return count


def _put(folder: Path, id_: str, content: bytes) -> None:
    write_atomically(folder / f"{safe_id(id_)}.png", content, durable=False)


def safe_id(id_: str) -> str:
    """An image id that may name a file below a folder; raises UserError for one that would lead out of it."""
    path, strange = PurePosixPath(id_), "\0\\:" if os.name == "nt" else "\0"  # Windows: other drives and folders
    if not id_ or path.is_absolute() or ".." in path.parts or any(letter in strange for letter in id_):
        raise UserError(f"image id {id_!r} is no name of a file below a folder; rename the picture")
    return id_


def _write_classes(path: Path, classes: tuple[str, ...], source: Finished, query: Query) -> None:
    spec, vocabulary = source.spec, query.vocabulary
    content = {
        "classes": classes,
        "seen": [name for name, flag in zip(vocabulary.names, vocabulary.seen, strict=True) if flag],
        "texts": vocabulary.texts,
        "templates": vocabulary.templates,
        "method": spec.method,
        "trained_on": f"{spec.benchmark} fold {spec.fold} seed {spec.seed}",
        "training": spec.digest(),
        "weights_sha256": source.weights_sha256,
        "inference": query.inference.model_dump(mode="json"),
    }
    write_atomically(path, canonical_json(content).encode())
