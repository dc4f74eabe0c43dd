"""From a job to its record: build, train, export, score, write. The only part of `results` that imports torch."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from torch import Tensor

from benchmarks import costs
from benchmarks.batches import batches
from benchmarks.catalogue import benchmark
from benchmarks.checkpoint import Checkpoints
from benchmarks.data.limited import Limited, Without
from benchmarks.data.reader import Reader
from benchmarks.episodic import chosen, evaluate_items
from benchmarks.evaluate import Evaluation, evaluate
from benchmarks.labels import evaluation_table
from benchmarks.train import Progress, Stopped, Trained, train
from benchmarks.values import canonical_json
from methods.clip import Clip
from methods.method import Images, Method
from results import provenance
from results.claim import Claim
from results.files import write_atomically
from results.launch.build import build, clip_of, train_set, vocabulary_of
from results.launch.job import Job, Teller
from results.launch.nondeterminism import named
from results.launch.scores import result_of
from results.launch.weights import Weights, export, import_weights, restore
from results.record import Costs, Provenance, RunRecord
from results.store import CONFUSION, LOG, RECORD, SPEC, RunFolder
from splits.errors import UserError
from splits.pairs import read_pairs


def make_record(job: Job, folder: RunFolder, claim: Claim, stop: Callable[[], bool]) -> bool:
    """Train (unless that is done) and score; False where the run was asked to stop, its checkpoint on disk."""
    with named() as nondeterministic:
        return _Maker(job, folder, claim, stop, nondeterministic).make()


class _Maker:
    """One job at work."""

    def __init__(
        self, job: Job, folder: RunFolder, claim: Claim, stop: Callable[[], bool], nondeterministic: Collection[str]
    ):
        self.nondeterministic = nondeterministic  # grows while it works
        self.job, self.folder, self.claim, self.stop = job, folder, claim, stop
        self.spec = job.run.train
        self.recipe = self.spec.recipe.shortened(self.spec.limit)
        self.sources = provenance.sources_sha256(self.spec.method)
        self.started = _now()
        self.teller = Teller(folder, claim, self.recipe.iterations)
        self.log = _Log(folder.path / LOG, claim)

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
        clip = clip_of(self.spec.clip, self.job.clip_file)
        method = build(self.spec, clip).to(self.fabric.device)
        try:
            weights = self._weights(method)
            evaluation = self._evaluate(method)
        except Stopped:
            return False
        self._write_record(method, clip, weights, evaluation)
        return True

    def _weights(self, method: Method) -> Weights:
        """Trained weights, now or from before, in the method."""
        if self.folder.trained():
            return restore(self.folder, self.spec, method)
        if self.job.weights_file is not None:
            return import_weights(self.folder, self.spec, method, self.job.weights_file, self.sources, self._write)
        if not self.job.train:
            raise UserError(f"{self.job.run.name}: no finished weights to score; train it first (the same with `run`)")
        checkpoints = Checkpoints(self.folder.path, self.spec.digest(), self._write, self.sources)
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
        weights = export(self.folder, self.spec, method, trained, self.sources, self._write)
        checkpoints.clear()
        return weights

    def _batches(self, start: int) -> Iterator[tuple[Images, Tensor]]:
        bench, side = benchmark(self.spec.benchmark), self.spec.side
        split, fold = bench.split, bench.split.fold(self.spec.fold)
        drop = side.training_images == "drop"
        reader = self._reader("train", None if drop else self.spec.limit, side.data.ids_sha256)
        if drop:
            unlearned = [id_ for name, id_ in zip(split.classes, split.ids, strict=True) if name not in fold.seen]
            reader = Without(reader, unlearned, limit=self.spec.limit)
        return batches(
            train_set(self.spec, reader),
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
        reader.prepare(lambda done, total: self.teller.say(0, None, f"preparing masks {done}/{total}"))
        return Limited(reader, limit) if limit is not None else reader

    def _watch_training(self, progress: Progress) -> None:
        self.teller.say(progress.step, progress.images_per_second, "training")
        self.log.update(progress)

    def _evaluate(self, method: Method) -> Evaluation:
        asked = self.job.run.evaluation
        bench = benchmark(asked.benchmark)

        def watch(done: int, total: int) -> None:
            self.teller.say(self.recipe.iterations, None, f"scoring {done}/{total}")
            if self.stop():
                raise Stopped

        if asked.side.kind == "episodic-binary":
            return self._evaluate_items(method, watch)
        return evaluate(
            method.to(self.fabric.device),
            self._reader(asked.part, asked.limit, asked.side.data.ids_sha256),
            vocabulary_of(asked.side, asked.side.classes),
            asked.side.inference,
            evaluation_table(bench.split, bench.split.fold(asked.fold), background=asked.side.background),
            background_below=asked.side.background_below,
            device=self.fabric.device,
            watch=watch,
        )

    def _evaluate_items(self, method: Method, watch: Callable[[int, int], None]) -> Evaluation:
        """The items of the fold; a limit counts items."""
        asked = self.job.run.evaluation
        split, side = benchmark(asked.benchmark).split, asked.side
        reader = self._reader(asked.part, None, side.data.ids_sha256)
        pairs = read_pairs(split, asked.fold)
        return evaluate_items(
            method.to(self.fabric.device),
            reader,
            split,
            chosen(pairs, reader, hsnet=side.items == "hsnet-1000", limit=asked.limit),
            vocabulary_of(side, side.unseen),
            side.inference,
            device=self.fabric.device,
            watch=watch,
        )

    def _write_record(self, method: Method, clip: Clip | None, weights: Weights, evaluation: Evaluation) -> None:
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
            provenance=self._provenance(weights),
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
            parameters_inference=method.inference_parameters,
            parameters_published=method.published_parameters,
            gmacs=costs.gmacs(method, vocabulary_of(side, side.classes), crop, self.fabric.device),
            gmacs_at=f"{crop}x{crop}",
            train_seconds=trained.seconds,
            train_images_per_second=trained.images_per_second,
            eval_seconds=evaluation.seconds,
            eval_images_per_second=evaluation.images_per_second,
            peak_memory_mib=costs.peak_memory_mib(self.fabric.device),
            micro_batch=self.recipe.batch,
        )

    def _provenance(self, weights: Weights) -> Provenance:
        commit, dirty = provenance.git_state()
        on_gpu = self.fabric.device.type == "cuda"
        return Provenance(
            commit=commit,
            dirty=dirty,
            sources_sha256=weights.sources,
            packages=provenance.package_versions(),
            python=provenance.python_version(),
            host=provenance.host(),
            device=torch.cuda.get_device_name(self.fabric.device) if on_gpu else "cpu",
            threads=self.job.threads,
            deterministic=not on_gpu,
            nondeterministic=tuple(sorted(self.nondeterministic)),
            started=self.started,
            ended=_now(),
            attempts=self.claim.number,
            code_sha256=provenance.code_sha256(),
            job=self.claim.job,
        )

    def _write(self, path: Path, content: bytes) -> None:
        write_atomically(path, content, before_rename=self.claim.check)


class _Log:
    """`log.jsonl`: each point of the loss curve as it came, for people and plots; the record has its own copy."""

    def __init__(self, path: Path, claim: Claim):
        self._path, self._claim, self._written = path, claim, -1

    def update(self, progress: Progress) -> None:
        if not progress.curve or progress.curve[-1][0] <= self._written:
            return
        self._written, losses = progress.curve[-1]
        line: dict[str, Any] = {
            "step": self._written,
            "losses": losses,
            "images_per_second": progress.images_per_second,
        }
        self._claim.check()
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(canonical_json(line) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
