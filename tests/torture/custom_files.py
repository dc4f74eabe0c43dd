"""Readers, fuzzed as those of `tests.torture.readers`, of what a person brings: TOML files, predictions, weights.

Also of what a run goes on from: its checkpoints.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from tests.torture.readers import HOSTILE, Reader, damaged, damages, edited, edits
from tests.torture.trials import SEED

TRAP = "outside"  # what a pickle makes beside the folder of a reader, if it is ever run


class Trap:
    """Makes a folder when unpickled without care."""

    def __reduce__(self):
        return os.mkdir, (os.path.join("..", TRAP),)


def toml(value: Any) -> str:
    """A value as TOML writes it; what TOML has no word for becomes a date."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None:
        return datetime.date(2026, 1, 2).isoformat()
    return json.dumps(value, ensure_ascii=False)


def toml_file(content: Any) -> bytes:
    """Plain data as a TOML file, a key a line; anything but a table is no file and is told as it is."""
    lines = (
        [f"{json.dumps(str(k))} = {toml(v)}" for k, v in content.items()]
        if isinstance(content, dict)
        else [toml(content)]
    )
    return "\n".join(lines).encode(errors="surrogateescape")


def tomls(*sound: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Sound files with values replaced, or bytes changed, and a few that are deep or long."""
    kept = st.sampled_from(sound)
    changed = st.builds(lambda data, changes: toml_file(edited(data, changes)), kept, edits)
    raw = st.builds(lambda data, by: damaged(toml_file(data), by), kept, damages)
    odd = st.sampled_from([b"a = " + b"[" * 5000, b"a = " + b"9" * 5000, b"\xff\xfe", b"a." * 5000 + b"b = 1"])
    return st.one_of(changed, raw, changed, odd)


def data_sets(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """The TOML of a person's own data set, its lists, and the pictures it names."""
    from benchmarks import custom as own

    for name in ("photos", "masks"):
        (folder / name).mkdir()
    Image.fromarray(np.zeros((5, 6, 3), np.uint8)).save(folder / "photos" / "a.jpg")
    Image.fromarray(np.ones((5, 6), np.uint8)).save(folder / "masks" / "a.png")
    for part in ("train", "val"):
        (folder / f"{part}.txt").write_text("a\n")
    (folder / "hostile.txt").write_bytes("\n".join(HOSTILE).encode(errors="surrogateescape"))
    plain = {"name": "farm", "images": "photos", "masks": "masks", "train": "train.txt", "val": "val.txt"}
    plain |= {"classes": ["cow", "sheep", "dog"], "unseen": ["dog"], "background": 0, "ignore": 255}
    full = plain | {"ids": {"cow": 1, "sheep": [2, 3], "dog": 4}, "unseen": [["dog"], ["cow"]], "short_side": 64}
    full |= {"images": "photos/{id}.jpg", "templates": "multi", "window": 32, "stride": 16}

    def read(content: bytes) -> None:
        (folder / "farm.toml").write_bytes(content)
        data = own.read_toml(folder / "farm.toml")
        assert (folder / data.name).resolve().parent == folder.resolve()
        split = data.split
        assert all(fold.seen and (fold.unseen or split.open_vocabulary) for fold in split.folds)
        reader = data.open(split, "val", (), subset=False, year="")
        assert reader.read(0).mask.shape == (5, 6)

    return tomls(plain, full, plain | {"train": "hostile.txt"}), read


def sweeps(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """Sweep files, and the runs they make."""
    from results.launch.plan.request import Request
    from results.launch.plan.runs import plan
    from results.launch.plan.sweeps import read_sweep

    values: dict[str, Any] = {"zegclip.prompt_tokens": [10, 50], "recipe.lr": [1e-3, 1e-2]}
    grid = {"draw": "grid", "values": values}
    ranges = {"recipe.lr": {"low": 1e-4, "high": 1e-2, "log": True}, "recipe.batch": {"low": 1, "high": 8}}
    random = {"draw": "random", "n": 3, "seed": 0, "values": ranges}

    def read(content: bytes) -> None:
        (folder / "sweep.toml").write_bytes(content)
        settings = read_sweep(folder / "sweep.toml").settings()
        assert settings
        plan(Request(("zegclip",), ("shapes-5i",), folds=(0,), overrides=settings[0]))

    return tomls(grid, random), read


def clusters(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """What to ask a cluster for."""
    from results.launch.execute.resources import resources_for

    sound = {"partition": "gpu", "gpus": 1, "time": "24:00:00", "setup": ["module load cuda"], "mem": "16G"}
    sound |= {"slurm": {"exclude": "node7"}, "methods": {"zegclip": {"time": "2-00:00:00", "nodes": 2}}}

    def read(content: bytes) -> None:
        (folder / "cluster.toml").write_bytes(content)
        told = resources_for(("zegclip",), {}, folder / "cluster.toml", ranks=1)["zegclip"]
        assert all(line.isprintable() for line in (told.partition, told.mem, told.time, *told.setup))

    return tomls(sound), read


def predictions(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """A class order and predictions of another system, PNG and npz, scored."""
    from benchmarks.catalogue import Data, benchmark
    from benchmarks.data.limited import Limited
    from benchmarks.labels import evaluation_table
    from benchmarks.scoring.external import find_predictions, read_order, score_predictions
    from splits.loader import load_split

    split = load_split("shapes-5i")
    reader = Limited(Data().open(benchmark("shapes-5i"), "val"), 1)
    (id_,), shape = reader.ids, reader.mask(0).shape
    fold, order = split.fold(0), {"classes": list(split.classes), "shift_span": 0.5}
    table = evaluation_table(split, fold)
    seen = [name in fold.seen for name in split.classes]
    where = folder / "said"
    where.mkdir()
    rng = np.random.default_rng(SEED)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 20, shape, dtype=np.uint8)).save(file, "PNG")
    arrays = {"classes": np.stack([np.full(shape, 3), np.full(shape, 17)]), "scores": rng.random((2, *shape))}

    def npz(**content: Any) -> bytes:
        packed = io.BytesIO()
        np.savez_compressed(packed, **content)
        return packed.getvalue()

    def odd(name: str, kind: str, size: tuple[int, ...]) -> bytes:
        other = np.full(size, Trap()) if kind == "O" else np.full(size, 3).astype(kind)
        return npz(**arrays | {name: other})

    sizes = st.sampled_from([(), (0,), (2, *shape), (1, *shape), (2, 1, 1), (0, *shape), (2, shape[0])])
    kinds = st.sampled_from(["f4", "f2", "i8", "u1", "O", "U3", "c8", "M8[s]", "?"])
    pictures = st.tuples(st.just(".png"), st.builds(damaged, st.just(file.getvalue()), damages))
    packed = st.one_of(
        st.builds(damaged, st.just(npz(**arrays)), damages),
        st.builds(odd, st.sampled_from(["classes", "scores"]), kinds, sizes),
        st.sampled_from([npz(classes=arrays["classes"]), npz(), pickle.dumps(Trap())]),
    )
    orders = st.one_of(
        st.just(json.dumps(order).encode()),
        edits.map(lambda by: json.dumps(edited(order, by)).encode()),
        st.builds(damaged, st.just(json.dumps(list(split.classes)).encode()), damages),
        st.just(b"[" * 100_000),
    )

    def read(drawn: tuple[bytes, tuple[str, bytes]]) -> None:
        said, (suffix, content) = drawn
        (folder / "classes.json").write_bytes(said)
        path = where / f"{id_}{suffix}"
        path.write_bytes(content)
        try:
            found = find_predictions(where, read_order(folder / "classes.json"), reader.ids)
            scored = score_predictions(found, reader, split.classes, seen, table)
            assert (scored.matrices.sum((1, 2)) == (reader.mask(0) != 0).sum()).all()
        finally:
            path.unlink()

    return st.tuples(orders, st.one_of(pictures, st.tuples(st.just(".npz"), packed))), read


def weights(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """Finished weights and their card, and weights from elsewhere (.safetensors, .pth)."""
    import torch
    from safetensors.torch import save

    from results.launch.plan.weight_cards import spec_on
    from results.launch.run.build import build, clip_of
    from results.launch.run.weights import export, imported, restore
    from results.store.folders import RunFolder
    from tests.torture.trials import job_of

    spec = job_of("zegclip", folder).run.train
    method = build(spec, clip_of(spec.clip, None))
    from benchmarks.training.train import Trained

    done = Trained([(1, {"loss": 0.5})], 1.0, 2.0)
    export(RunFolder(folder), spec, method, done, "0" * 64, lambda path, content: path.write_bytes(content) and None)
    sound = {name: (folder / name).read_bytes() for name in ("model.safetensors", "model.json")}
    card = json.loads(sound["model.json"])
    other = save({"a": torch.zeros(3)})
    saved = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(2)}}, saved)
    trapped = io.BytesIO()
    torch.save({"state_dict": {"a": Trap()}}, trapped)
    pickled = pickle.dumps({"state_dict": Trap()}, protocol=2)

    def resealed(content: bytes) -> dict[str, bytes]:
        told = card | {"weights_sha256": hashlib.sha256(content).hexdigest()}
        return {"model.safetensors": content, "model.json": json.dumps(told).encode()}

    # the header is where a file of tensors can lie
    spoilt = st.builds(lambda by: damaged(sound["model.safetensors"][:2000], by), damages).map(
        lambda start: start + sound["model.safetensors"][2000:]
    )
    files = st.one_of(
        edits.map(lambda by: {"model.json": json.dumps(edited(card, by)).encode()}),
        st.builds(lambda by: {"model.json": damaged(sound["model.json"], by)}, damages),
        spoilt.map(resealed),
        spoilt.map(lambda content: {"model.safetensors": content}),
        st.sampled_from([resealed(other), resealed(b""), {"model.json": b"[" * 100_000}]),
        st.builds(lambda c, by: {"w.pth": damaged(c, by)}, st.sampled_from([saved.getvalue(), pickled]), damages),
        st.sampled_from([{"w.pth": c} for c in (saved.getvalue(), trapped.getvalue(), pickled, b"")]),
    )

    def read(drawn: dict[str, bytes]) -> None:
        for name, content in drawn.items():
            (folder / name).write_bytes(content)
        try:
            if "w.pth" in drawn:
                imported(method, folder / "w.pth")
                return
            spec_on(folder / "model.json")
            restore(folder / "model.safetensors", folder / "model.json", spec, method)
        finally:
            for name in drawn.keys() & sound.keys():
                (folder / name).write_bytes(sound[name])

    return files, read


def checkpoints(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """The two checkpoints of a run, the newer one spoilt: the older one is used, or the newer one as it was."""
    import torch

    from benchmarks.training.checkpoint import Checkpoints

    kept = Checkpoints(folder, "spec", lambda path, content: path.write_bytes(content) and None, "sources")
    state = {"trained": {"w": torch.arange(6.0).view(2, 3)}, "curve": [[1, {"loss": 0.25}]], "optimiser": {}}
    for step in (1, 2):
        kept.save(step, state)
    newer = (folder / "checkpoint-2.pt").read_bytes()
    payload = newer.partition(b"\n")[2]

    def sealed(content: bytes) -> bytes:
        return hashlib.sha256(content).hexdigest().encode() + b"\n" + content

    def written(content: Any) -> bytes:
        file = io.BytesIO()
        torch.save(content, file)
        return file.getvalue()

    head = {"schema": 1, "spec": "spec", "sources": "sources", "step": 2}
    contents = st.one_of(
        st.builds(damaged, st.just(newer), damages),
        st.builds(lambda by: sealed(damaged(payload, by)), damages),
        edits.map(lambda by: sealed(written(edited(head, by)))),
        st.sampled_from(
            [sealed(written(head | {"trained": Trap()})), sealed(pickle.dumps(Trap())), pickle.dumps(Trap())]
        ),
    )

    def read(content: bytes) -> None:
        (folder / "checkpoint-2.pt").write_bytes(content)
        found, problems = kept.latest()
        assert found is not None
        assert found["step"] == 1 or content.endswith(payload) or not problems
        assert all("\n" not in line for line in problems)

    return contents, read


READERS = {
    "TOML files of own data sets": data_sets,
    "TOML files of sweeps": sweeps,
    "TOML files of clusters": clusters,
    "class orders and predictions": predictions,
    "weights and cards": weights,
    "checkpoints": checkpoints,
}
