"""From a job to its record: build, train, export, score, write. The only part of `results` that imports torch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from benchmarks.catalogue import benchmark
from benchmarks.data.reader import Reader, Watch
from benchmarks.scoring.episodic import chosen, evaluate_items
from benchmarks.scoring.evaluate import Evaluation
from benchmarks.training import costs
from benchmarks.training.acceleration import placed
from benchmarks.training.checkpoint import Checkpoints
from benchmarks.training.ranks import ALONE
from benchmarks.training.train import Progress, Stopped, Trained
from benchmarks.values import canonical_json
from methods.clip import Clip
from methods.method import Method
from results.launch.plan.contamination import contamination
from results.launch.run.build import asked_of, check_texts, loaded_body_sha256, scored_vocabulary, vocabulary_of
from results.launch.run.data_state import DataStates
from results.launch.run.devices import check_precision
from results.launch.run.job import Job, StateWriter
from results.launch.run.loggers import Loggers
from results.launch.run.nondeterminism import named
from results.launch.run.phases import PhaseClock
from results.launch.run.ranks import Others
from results.launch.run.result import store
from results.launch.run.scoring import scored_images
from results.launch.run.training import built, fabric_of, opened, set_up, trained
from results.launch.run.weights import Weights, export, import_weights, restore
from results.store import provenance
from results.store.claim import Claim
from results.store.files import write_atomically
from results.store.folders import CARD, LOG, WEIGHTS, RunFolder
from results.store.record import Costs, Provenance, Result
from splits.errors import UserError
from splits.pairs import read_pairs


def make_record(job: Job, folder: RunFolder, claim: Claim, stop: Callable[[], bool], others: Others) -> bool:
    """Train (unless that is done) and score; False where the run had to stop, its checkpoint on disk.

    others: the ranks that train with this one; what comes after the training this one does alone.
    """
    with named() as nondeterministic, Loggers(job.logs, folder.path, job.run.train) as loggers:
        return _Maker(job, folder, claim, stop, others, nondeterministic, loggers).make()


class _Maker:
    """One job at work."""

    def __init__(
        self,
        job: Job,
        folder: RunFolder,
        claim: Claim,
        stop: Callable[[], bool],
        others: Others,
        nondeterministic: Collection[str],
        loggers: Loggers,
    ):
        self.nondeterministic = nondeterministic  # grows while it works
        self.job, self.folder, self.claim, self.stop, self.others = job, folder, claim, stop, others
        self.spec = job.run.train
        self.recipe = self.spec.recipe.shortened(self.spec.limit)
        self.sources = provenance.sources_sha256(self.spec.method)
        self.clock = PhaseClock(job, claim)
        self.state = StateWriter(folder, claim, self.recipe.iterations)
        self.log = _Log(folder.path / LOG, claim)
        self.loggers = loggers

    def make(self) -> bool:
        """Everything, in order."""
        check_precision(self.job.run, self.job.device, train=self.job.train and not self.folder.trained())
        set_up(self.job.device, self.job.threads, half=self.job.half)
        self.device = fabric_of(self.job.device, self.recipe.precision, ALONE).device
        costs.forget_peak(self.device)
        self.state.write(0, None, "looking at the data", now=True)
        self.data = DataStates(self.job.data, train=self.job.train).of(self.job.run)
        self.data.refuse(self.job.run.evaluation.benchmark)
        self.state.write(0, None, "loading", now=True)
        clip, method = built(self.job, finished=self.folder.trained() or self.job.weights_file is not None)
        asked_of(self.job.run.evaluation, self.spec.method)  # refuses now rather than after a training
        check_texts(clip, scored_vocabulary(self.job.run.evaluation))
        placed(method, self.device, self.recipe)
        try:
            weights = self._weights(method, clip.weights_sha256 if clip else "")
            self.clock = PhaseClock(self.job, self.claim, since=weights.phase.attempts if weights.phase else 0)
            evaluation = self._evaluate(method)
        except Stopped:
            return False
        self.loggers.final(self._write_record(method, clip, weights, evaluation))
        return True

    def _weights(self, method: Method, clip: str) -> Weights:
        """Trained weights, now or from before, in the method. clip: sha256 of the CLIP weights that it has."""
        data = self.data.train_sha256
        body = loaded_body_sha256(method)
        checkpoints = Checkpoints(self.folder.path, self.spec.digest(), self._write, self.sources, data, body, clip)
        if self.folder.trained():
            checkpoints.clear()  # of an owner that died between its last write and this
            return restore(self.folder.path / WEIGHTS, self.folder.path / CARD, self.spec, method, clip)
        if self.job.weights_file is not None:
            return import_weights(self.folder, self.spec, method, self.job.weights_file, self.sources, self._write)
        if not self.job.train:
            raise UserError(f"{self.job.run.name}: no finished weights to score; train it first (the same with `run`)")
        with self.others.gathered() as ranks:
            done = trained(
                self.job,
                method,
                checkpoints,
                ranks,
                watch=self._watch_training,
                stop=self.stop,
                prepared=self._prepared,
            )
        phase = None
        if self.recipe.iterations:
            phase = self.clock.phase(self.nondeterministic, done.members, devices=self.recipe.ranks)
        weights = export(
            self.folder,
            self.spec,
            method,
            done,
            self.sources,
            self._write,
            phase=phase,
            data_sha256=data,
            clip_sha256=clip,
        )
        checkpoints.clear()
        return weights

    def _prepared(self, done: int, total: int) -> None:
        self.state.write(0, None, f"preparing masks {done}/{total}")

    def _watch_training(self, progress: Progress) -> None:
        self.state.write(progress.step, progress.images_per_second, "training")
        self.log.update(progress)
        self.loggers.update(progress)

    def _evaluate(self, method: Method) -> Evaluation:
        scored = self.job.run.evaluation

        def watch(done: int, total: int) -> None:
            self.state.write(self.recipe.iterations, None, f"scoring {done}/{total}")
            if self.stop():
                raise Stopped

        if scored.side.kind == "episodic-binary":
            return self._evaluate_items(method, watch)
        return scored_images(
            method, self.spec.method, scored, self._opened(scored.limit), device=self.device, watch=watch
        )

    def _opened(self, limit: int | None) -> Reader:
        scored = self.job.run.evaluation
        return opened(self.job, scored.benchmark, scored.part, limit, scored.side.data.ids_sha256, self._prepared)

    def _evaluate_items(self, method: Method, watch: Watch) -> Evaluation:
        """The items of the fold; a limit counts items."""
        scored = self.job.run.evaluation
        split, side = benchmark(scored.benchmark).split, scored.side
        reader = self._opened(None)
        pairs = read_pairs(split, scored.fold)
        return evaluate_items(
            method.to(self.device),
            reader,
            split,
            chosen(pairs, reader, hsnet=side.items == "hsnet-1000", limit=scored.limit),
            vocabulary_of(side, side.unseen),
            side.inference,
            device=self.device,
            precision=scored.precision,
            watch=watch,
        )

    def _write_record(self, method: Method, clip: Clip | None, weights: Weights, evaluation: Evaluation) -> Result:
        """Costs and provenance with what was measured; returns what must repeat of it."""
        run = self.job.run
        return store(
            self.folder,
            run,
            evaluation,
            self._write,
            costs=self._costs(method, weights.trained, evaluation),
            provenance=self._provenance(weights),
            curve=weights.trained.curve,
            weights_sha256=weights.sha256,
            clip_sha256=clip.weights_sha256 if clip else "",
            body_sha256=weights.body_sha256,
            train_data_sha256=weights.data_sha256,
            eval_data_sha256=self.data.eval_sha256,
            contamination=contamination(self.spec, weights.origin, run.evaluation, self.job.data),
            warnings=(*self.data.warnings, *(clip.remarks if clip else ()), *weights.remarks),
        )

    def _costs(self, method: Method, trained: Trained, evaluation: Evaluation) -> Costs:
        side = self.job.run.evaluation.side
        crop = side.inference.window or side.inference.short_side
        trainable, total = costs.parameters(method)
        return Costs(
            parameters_trainable=trainable,
            parameters_total=total,
            parameters_inference=method.inference_parameters,
            parameters_published=method.published_parameters,
            gmacs=costs.gmacs(method, vocabulary_of(side, side.classes), crop, self.device),
            gmacs_at=f"{crop}x{crop}",
            train_seconds=trained.seconds,
            train_images_per_second=trained.images_per_second,
            eval_seconds=evaluation.seconds,
            eval_images_per_second=evaluation.images_per_second,
            peak_memory_mib=costs.peak_memory_mib(self.device),
            micro_batch=self.recipe.micro_batch,
        )

    def _provenance(self, weights: Weights) -> Provenance:
        scoring = self.clock.phase(self.nondeterministic)
        return Provenance(sources_sha256=weights.sources, training=weights.phase, scoring=scoring)

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
