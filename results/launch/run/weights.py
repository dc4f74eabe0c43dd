"""Finished weights in a run's folder: the trained tensors and their card."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from benchmarks.spec import TrainSpec
from benchmarks.training.train import Trained
from benchmarks.values import canonical_json
from methods.custom import blamed
from methods.method import Method
from results.launch.plan.weight_cards import broken_archive, origin_of
from results.launch.run.build import loaded_body_sha256
from results.store.folders import CARD, WEIGHTS, CorruptRecord, RunFolder, read_json
from results.store.record import Phase
from splits.errors import UserError
from splits.hashing import file_sha256


@dataclass(frozen=True)
class Weights:
    """What is known of finished weights, from their training or from the card."""

    sha256: str
    trained: Trained
    sources: str  # digest of the method's code that trained them
    origin: TrainSpec | None = None  # of imported weights: the training that their card names
    phase: Phase | None = None  # where, when and with what they were trained here
    data_sha256: str = ""  # of the files that they were trained on; empty where there were none, or none is known
    body_sha256: str = ""  # of the file that their body began with; empty where it was drawn or nobody knows
    remarks: tuple[str, ...] = ()  # of imported weights: what a reader of their numbers must know


def export(
    folder: RunFolder,
    spec: TrainSpec,
    method: Method,
    trained: Trained,
    sources: str,
    write: Callable[[Path, bytes], None],
    origin: TrainSpec | None = None,
    phase: Phase | None = None,
    data_sha256: str = "",
    clip_sha256: str = "",
    remarks: tuple[str, ...] = (),
) -> Weights:
    """Write the trained tensors, then their card: a card there means that the weights are whole."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in method.trained_state().items()}
    content = save_tensors(tensors)
    digest = hashlib.sha256(content).hexdigest()
    body = loaded_body_sha256(method)
    card = {
        "spec": spec.digest(),
        "train": spec.model_dump(mode="json"),
        "weights_sha256": digest,
        "method": spec.method,
        "sources_sha256": sources,
        "classes_seen": spec.side.seen,
        "train_ids_sha256": spec.side.data.ids_sha256,
        "train_data_sha256": data_sha256,
        "clip": spec.clip.model_dump() if spec.clip else None,
        "clip_sha256": clip_sha256,
        "body_sha256": body,
        "curve": trained.curve,
        "seconds": trained.seconds,
        "images_per_second": trained.images_per_second,
        "origin": origin.model_dump(mode="json") if origin else None,
        "training": phase.model_dump(mode="json") if phase else None,
    }
    card |= {name: value for name, value in {"ranks": trained.members, "remarks": remarks}.items() if value}
    write(folder.path / WEIGHTS, content)
    write(folder.path / CARD, canonical_json(card).encode())
    return Weights(digest, trained, sources, origin, phase, data_sha256, body, remarks)


def restore(path: Path, card_path: Path, spec: TrainSpec, method: Method, clip_sha256: str = "") -> Weights:
    """Load finished weights into a method; raises CorruptRecord where they are not what their card says.

    clip_sha256: of the CLIP weights that the method has; those of a hub's tag may be others than at the training.
    """
    card, content = read_json(card_path), path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if not isinstance(card, dict) or card.get("spec") != spec.digest() or card.get("weights_sha256") != digest:
        raise CorruptRecord(f"{path}: is not what its card says; run with --force to train it anew")
    try:
        method.load_trained_state(load_tensors(content))
    except (SafetensorError, ValueError) as error:
        raise CorruptRecord(f"{path}: {error}") from None
    from_card = card.get("origin")
    origin = TrainSpec.parse(from_card, source=str(card_path)) if from_card else None
    phase = Phase.parse(card["training"], source=str(card_path)) if card.get("training") else None
    try:
        trained, sources = _trained(card), str(card["sources_sha256"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptRecord(f"{card_path}: is no whole card ({error!r}); run with --force to train it anew") from None
    data, body = (str(card.get(name, "")) for name in ("train_data_sha256", "body_sha256"))
    trained_under = str(card.get("clip_sha256", ""))
    if clip_sha256 and trained_under and clip_sha256 != trained_under:
        raise CorruptRecord(
            f"{path}: was trained under CLIP weights of sha256 {trained_under[:12]}, and those of the same name here "
            f"have {clip_sha256[:12]}; bring back the first, or run with --force to train anew"
        )
    if body and loaded_body_sha256(method) not in ("", body):  # a frozen body, which no trained state holds
        raise CorruptRecord(
            f"{path}: its body's weights are others than lie there now; run with --force to make it anew"
        )
    remarks = tuple(map(str, card.get("remarks", ())))
    return Weights(digest, trained, sources, origin, phase, data, body, remarks)


def _trained(card: dict[str, Any]) -> Trained:
    """What a card says of the training; raises for what no `export` wrote."""
    curve = [(int(step), {str(name): float(value) for name, value in losses.items()}) for step, losses in card["curve"]]
    rate = card["images_per_second"]
    return Trained(curve, float(card["seconds"]), rate and float(rate), members=tuple(card.get("ranks", ())))


def import_weights(
    folder: RunFolder,
    spec: TrainSpec,
    method: Method,
    file: Path,
    sources: str,
    write: Callable[[Path, bytes], None],
) -> Weights:
    """Weights from elsewhere into a method and the run's folder; raises UserError where they do not fit."""
    if file_sha256(file) != spec.weights:
        raise UserError(f"{file}: has changed since the run was planned; plan it again")
    remarks = imported(method, file)
    return export(folder, spec, method, Trained(), sources, write, origin_of(file, spec.weights), remarks=remarks)


def imported(method: Method, file: Path) -> tuple[str, ...]:
    """Load weights from elsewhere; returns what to know of them, raises UserError where they do not fit."""
    try:
        found = method.import_weights(file)
    except zipfile.BadZipFile as error:
        raise UserError(broken_archive(file, error)) from None
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from None
    except RuntimeError as error:
        if blamed(error) or not (isinstance(error, NotImplementedError) or "meta tensors" in str(error)):
            raise
        raise UserError(f"{file}: holds tensors that are sparse or without values; save them as plain ones") from None
    return tuple(f"the imported weights are {remark}" for remark in found or ())  # a custom method may return None
