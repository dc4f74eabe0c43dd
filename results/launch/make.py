"""From a job to its record: build, train, export, score, write. The only part of `results` that imports torch."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from benchmarks import costs
from benchmarks.batches import TrainSet, batches
from benchmarks.catalogue import BUILTIN, SHAPES_CLIP, benchmark
from benchmarks.checkpoint import Checkpoints
from benchmarks.data.limited import Limited
from benchmarks.data.reader import Reader
from benchmarks.errors import UserError
from benchmarks.evaluate import Evaluation, evaluate
from benchmarks.labels import evaluation_table, training_table
from benchmarks.protocol import EvalSide, TrainSide
from benchmarks.spec import Recipe, TrainSpec
from benchmarks.train import Progress, Stopped, Trained, train
from benchmarks.values import canonical_json, derive_seed
from methods.clip import Clip, load_clip
from methods.method import Images, Method, Vocabulary
from methods.registry import build_method
from results import provenance
from results.claim import Claim
from results.files import write_atomically
from results.launch.job import Job, Teller
from results.launch.plan import config_of
from results.launch.scores import result_of
from results.record import Costs, Provenance, RunRecord
from results.store import CARD, CONFUSION, LOG, RECORD, SPEC, WEIGHTS, CorruptRecord, RunFolder, read_json


def make_record(job: Job, folder: RunFolder, claim: Claim, stop: Callable[[], bool]) -> bool:
    """Train (unless that is done) and score; False where the run was asked to stop, its checkpoint on disk."""
    return _Maker(job, folder, claim, stop).make()


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


def training_vocabulary(side: TrainSide) -> Vocabulary:
    """What training may name. In the inductive setting no unseen name is in it, and nothing else reaches the method."""
    if side.setting == "inductive":
        return vocabulary_of(side, tuple(name for name in side.classes if name in set(side.seen)))
    vocabulary = vocabulary_of(side, side.classes)
    if side.setting == "fully-supervised":
        return Vocabulary(vocabulary.names, (True,) * len(vocabulary), vocabulary.texts, vocabulary.templates)
    return vocabulary


@dataclass
class _Weights:
    """Finished weights: what is known of their making, from the training or from the card."""

    sha256: str
    trained: Trained


class _Maker:
    """One job at work."""

    def __init__(self, job: Job, folder: RunFolder, claim: Claim, stop: Callable[[], bool]):
        self.job, self.folder, self.claim, self.stop = job, folder, claim, stop
        self.spec = job.run.train
        self.recipe = _limited(self.spec)
        self.started = _now()
        self.teller = Teller(folder, claim, self.recipe.iterations)

    def make(self) -> bool:
        """Everything, in order."""
        torch.set_num_threads(self.job.threads)
        torch.use_deterministic_algorithms(True, warn_only=self.job.device != "cpu")
        self.fabric = Fabric(
            accelerator=self.job.device,
            devices=1,
            precision=self.recipe.precision,
            plugins=[LightningEnvironment()],  # else Fabric reads the variables of a SLURM job it may be in
        )
        self.teller.say(0, None, "loading", now=True)
        clip = _load_clip(self.job)
        method = self._build(clip)
        try:
            weights = self._weights(method)
            evaluation = self._evaluate(method)
        except Stopped:
            return False
        self._write_record(method, clip, weights, evaluation)
        return True

    def _build(self, clip: Clip | None) -> Method:
        torch.manual_seed(derive_seed("init", self.spec.seed))
        vocabulary = training_vocabulary(self.spec.side)
        method = build_method(self.spec.method, clip=clip, vocabulary=vocabulary, config=config_of(self.spec))
        return method.to(self.fabric.device)

    def _weights(self, method: Method) -> _Weights:
        """Trained weights, now or from before, in the method."""
        if self.folder.trained():
            return self._load_weights(method)
        if not self.job.train:
            raise UserError(f"{self.job.run.name}: no finished weights to score; train it first (the same with `run`)")
        checkpoints = Checkpoints(self.folder.path, self.spec.digest(), self._write)
        trained = train(
            method,
            self._batches,
            self.recipe,
            seed=self.spec.seed,
            fabric=self.fabric,
            checkpoints=checkpoints,
            watch=self._watch_training,
            stop=self.stop,
        )
        weights = self._export(method, trained)
        checkpoints.clear()
        return weights

    def _batches(self, start: int) -> Iterator[tuple[Images, Tensor]]:
        bench, side = benchmark(self.spec.benchmark), self.spec.side
        split, fold = bench.split, bench.split.fold(self.spec.fold)
        reader = self._reader("train", self.spec.limit, side.data.ids_sha256)
        data = TrainSet(
            reader,
            training_table(split, fold, setting=side.setting, border=side.border),
            self.recipe.augmentation,
            full_table=evaluation_table(split),
            crop_decision=side.crop_decision,
            seed=self.spec.seed,
        )
        return batches(
            data,
            len(reader),
            seed=self.spec.seed,
            batch=self.recipe.batch,
            start=start,
            workers=self.job.workers,
        )

    def _reader(self, part: str, limit: int | None, expected: str) -> Reader:
        reader = self.job.data.open(benchmark(self.spec.benchmark), part)
        if reader.partial and reader.content_sha256() != expected:
            raise UserError(
                f"{self.job.run.name}: the {part} images that are present are not those of the plan; plan the run again"
            )
        if not len(reader):
            raise UserError(f"{self.job.run.name}: no {part} image is present")
        return Limited(reader, limit) if limit is not None else reader

    def _watch_training(self, progress: Progress) -> None:
        self.teller.say(progress.step, progress.images_per_second, "training")
        self.log.update(progress)

    @property
    def log(self) -> _Log:
        if not hasattr(self, "_log"):
            self._log = _Log(self.folder.path / LOG)
        return self._log

    def _export(self, method: Method, trained: Trained) -> _Weights:
        """Write the trained tensors, then their card."""
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in method.trained_state().items()}
        content = save_tensors(tensors)
        digest = hashlib.sha256(content).hexdigest()
        side = self.spec.side
        card = {
            "spec": self.spec.digest(),
            "weights_sha256": digest,
            "method": self.spec.method,
            "classes_seen": side.seen,
            "train_ids_sha256": side.data.ids_sha256,
            "clip": self.spec.clip.model_dump() if self.spec.clip else None,
            "curve": trained.curve,
            "seconds": trained.seconds,
            "images_per_second": trained.images_per_second,
        }
        self._write(self.folder.path / WEIGHTS, content)
        self._write(self.folder.path / CARD, canonical_json(card).encode())
        return _Weights(digest, trained)

    def _load_weights(self, method: Method) -> _Weights:
        card = read_json(self.folder.path / CARD)
        content = (self.folder.path / WEIGHTS).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if not isinstance(card, dict) or card.get("spec") != self.spec.digest() or card.get("weights_sha256") != digest:
            raise CorruptRecord(
                f"{self.folder.path / WEIGHTS}: is not what its card says; run with --force to train it anew"
            )
        try:
            method.load_trained_state(load_tensors(content))
        except (SafetensorError, ValueError) as error:
            raise CorruptRecord(f"{self.folder.path / WEIGHTS}: {error}") from None
        curve = [(step, losses) for step, losses in card["curve"]]
        return _Weights(digest, Trained(curve, card["seconds"], card["images_per_second"]))

    def _evaluate(self, method: Method) -> Evaluation:
        asked = self.job.run.evaluation
        bench = benchmark(asked.benchmark)

        def watch(done: int, total: int) -> None:
            self.teller.say(self.recipe.iterations, None, f"scoring {done}/{total}")
            if self.stop():
                raise Stopped

        return evaluate(
            method.to(self.fabric.device),
            self._reader(asked.part, asked.limit, asked.side.data.ids_sha256),
            vocabulary_of(asked.side, asked.side.classes),
            asked.side.inference,
            evaluation_table(bench.split, background=asked.side.background),
            device=self.fabric.device,
            watch=watch,
        )

    def _write_record(self, method: Method, clip: Clip | None, weights: _Weights, evaluation: Evaluation) -> None:
        """The confusion matrices first, the record last."""
        run = self.job.run
        target = self.folder.evaluation(run.evaluation)
        matrices = io.BytesIO()
        np.savez_compressed(
            matrices,
            shifts=evaluation.shifts,
            own_index=evaluation.own_index,
            matrices=evaluation.matrices,
            per_image=evaluation.per_image,
        )
        content = matrices.getvalue()
        record = RunRecord(
            result=result_of(
                run,
                evaluation,
                curve=weights.trained.curve,
                confusion_sha256=hashlib.sha256(content).hexdigest(),
                weights_sha256=weights.sha256,
                clip_sha256=(clip.weights_sha256 or "") if clip else "",
            ),
            costs=self._costs(method, weights.trained, evaluation),
            provenance=self._provenance(),
        )
        self._write(target / SPEC, canonical_json(run.evaluation.model_dump(mode="json")).encode())
        self._write(target / CONFUSION, content)
        self._write(target / RECORD, record.model_dump_json(indent=1).encode())

    def _costs(self, method: Method, trained: Trained, evaluation: Evaluation) -> Costs:
        side = self.job.run.evaluation.side
        crop = side.inference.window or side.inference.short_side
        trainable, total = costs.parameters(method)
        return Costs(
            parameters_trainable=trainable,
            parameters_total=total,
            gmacs=costs.gmacs(method, vocabulary_of(side, side.classes), crop, self.fabric.device),
            gmacs_at=f"{crop}x{crop}",
            train_seconds=trained.seconds,
            train_images_per_second=trained.images_per_second,
            eval_seconds=evaluation.seconds,
            eval_images_per_second=evaluation.images_per_second,
            peak_memory_mib=costs.peak_memory_mib(self.fabric.device),
            micro_batch=self.recipe.batch,
        )

    def _provenance(self) -> Provenance:
        commit, dirty = provenance.git_state()
        on_gpu = self.fabric.device.type == "cuda"
        return Provenance(
            commit=commit,
            dirty=dirty,
            sources_sha256=provenance.sources_sha256(self.spec.method),
            packages=provenance.package_versions(),
            python=provenance.python_version(),
            host=provenance.host(),
            device=torch.cuda.get_device_name(self.fabric.device) if on_gpu else "cpu",
            threads=self.job.threads,
            deterministic=not on_gpu,
            started=self.started,
            ended=_now(),
            attempts=self.claim.number,
        )

    def _write(self, path: Path, content: bytes) -> None:
        write_atomically(path, content, before_rename=self.claim.check)


class _Log:
    """`log.jsonl`: each point of the loss curve as it came, for people and plots; the record has its own copy."""

    def __init__(self, path: Path):
        self._path, self._written = path, -1

    def update(self, progress: Progress) -> None:
        if not progress.curve or progress.curve[-1][0] <= self._written:
            return
        self._written, losses = progress.curve[-1]
        line: dict[str, Any] = {
            "step": self._written,
            "losses": losses,
            "images_per_second": progress.images_per_second,
        }
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(canonical_json(line) + "\n")


def _limited(spec: TrainSpec) -> Recipe:
    """The recipe, cut short in a trial run."""
    if spec.limit is None:
        return spec.recipe
    return spec.recipe.model_copy(update={"iterations": min(spec.limit, spec.recipe.iterations)})


def _load_clip(job: Job) -> Clip | None:
    """The CLIP of the spec; raises UserError where it cannot be had or is another one."""
    asked = job.run.train.clip
    if asked is None:
        return None
    try:
        if asked.pretrained == BUILTIN:
            clip = load_clip(
                asked.model, str(SHAPES_CLIP / "weights.safetensors"), config_file=SHAPES_CLIP / "config.json"
            )
        else:
            clip = load_clip(asked.model, str(job.clip_file) if job.clip_file else asked.pretrained)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    if asked.sha256 and clip.weights_sha256 != asked.sha256:
        raise UserError(
            f"CLIP {asked.model}/{asked.pretrained}: its weights have sha256 {clip.weights_sha256}, the spec says "
            f"{asked.sha256}; give the file of the spec"
        )
    return clip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
