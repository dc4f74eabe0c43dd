"""The readers that are fuzzed: for each what it is given, and what must hold of what it makes of that.

A sound file with bytes changed, cut and doubled; JSON with any of its values replaced; names that try to leave their
folder. Each function takes a folder and returns a hypothesis strategy and a function that reads one draw of it.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from tests.torture.trials import SEED

HOSTILE = (
    "",
    ".",
    "..",
    "../x",
    "../../outside",
    "/tmp/outside",
    "a/../../x",
    "x\0y",
    "\n",
    "\udcff",
    "𝕏",
    "-",
    "--",
    "*",
    "%s",
)
Reader = Callable[[Any], object]

leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(HOSTILE),
    st.text(max_size=6),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.just({"a": {"a": []}}),
)
edits = st.lists(st.tuples(st.integers(0, 2**31), leaf), min_size=1, max_size=3)
damages = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "drop", "double", "insert"]), st.integers(0, 2**31), st.integers(0, 255)),
    min_size=1,
    max_size=8,
)


def damaged(content: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """A file's bytes after some accidents."""
    data = bytearray(content)
    for kind, where, value in changes:
        at = where % (len(data) + 1)
        if kind == "set" and at < len(data):
            data[at] = value
        elif kind == "cut" and value < 32:
            del data[at:]
        elif kind == "drop":
            del data[at : at + value]
        elif kind == "double":
            data[at:at] = data[at : at + value]
        elif kind == "insert":
            data[at:at] = bytes([value])
    return bytes(data)


def edited(data: Any, changes: list[tuple[int, Any]]) -> Any:
    """A copy of plain data with some of its values replaced, taken away or joined by strange keys."""
    data = copy.deepcopy(data)
    for where, drawn in changes:
        value = copy.deepcopy(drawn)  # one drawn twice and then edited would hold itself
        places = list(_places(data)) or [({}, "")]
        holder, key = places[where % len(places)]
        if where % 7 == 0 and isinstance(holder, dict):
            holder.pop(key, None)
        elif where % 7 == 1 and isinstance(holder, dict):
            holder[str(value)] = value
        else:
            holder[key] = value
    return data


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(data) if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], dict | list) and data[key]:
            yield from _places(data[key])


def _pictures(kinds: dict[str, str]) -> list[bytes]:
    """Small sound files: mode -> format."""
    rng, found = np.random.default_rng(SEED), []
    for mode, form in kinds.items():
        picture = Image.fromarray(rng.integers(0, 5, (13, 17), dtype=np.uint8)).convert(mode)
        file = io.BytesIO()
        picture.save(file, form)
        found.append(file.getvalue())
    return found


def masks(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """Index masks."""
    from benchmarks.data.mask_file import read_mask

    sound = _pictures(dict.fromkeys(("L", "P", "RGB", "RGBA", "1", "I;16", "LA"), "PNG"))

    def read(drawn: tuple[bytes, list]) -> None:
        (folder / "mask.png").write_bytes(damaged(*drawn))
        mask = read_mask(folder / "mask.png", range(21))
        assert mask.dtype == np.uint8
        assert mask.ndim == 2
        assert mask.max(initial=0) <= 20

    return st.tuples(st.sampled_from(sound), damages), read


def images(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """Photographs."""
    from benchmarks.data.reader import read_image

    sound = [
        *_pictures({"RGB": "JPEG", "L": "JPEG", "CMYK": "JPEG"}),
        *_pictures(dict.fromkeys(("RGB", "P", "RGBA", "I;16"), "PNG")),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    ]

    def read(drawn: tuple[bytes, list]) -> None:
        (folder / "image.jpg").write_bytes(damaged(*drawn))
        image = read_image(folder / "image.jpg")
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3

    return st.tuples(st.sampled_from(sound), damages), read


def coco(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """COCO's instances files: read, indexed, drawn."""
    from benchmarks.data import instances
    from splits.loader import read_facts

    names = read_facts("coco_20i")["coco_category_ids"]
    sound = {
        "categories": [{"id": id_, "name": name} for name, id_ in names.items()],
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", "height": 20, "width": 30} for i in (7, 9)],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9.5]], "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 18, "segmentation": [[1, 1, 9, 1, 9, 9, 4, 4]], "iscrowd": 0},
            {"id": 3, "image_id": 9, "category_id": 90, "segmentation": {"size": [20, 30], "counts": [5, 9, 586]}},
            {"id": 4, "image_id": 9, "category_id": 3, "segmentation": {"size": [20, 30], "counts": "5`0a0"}},
        ],
    }
    text = json.dumps(sound).encode()
    small = edits.map(lambda changes: json.dumps(_few_categories(sound, changes)).encode())

    def read(content: bytes) -> None:
        source = folder / "instances.json"
        source.write_bytes(content)
        instances.prepared.cache_clear()
        made = instances.prepared(source)
        assert made.folder.parent == folder / "cache" / "coco"
        made.draw()
        assert {p.parent for p in made.masks.rglob("*.png")} <= {made.masks}

    return st.one_of(small, st.builds(damaged, st.just(text), damages)), read


def _few_categories(sound: dict, changes: list) -> dict:
    """Edits mostly of images and annotations: the list of categories is long and would draw most of them."""
    rest = {key: sound[key] for key in ("images", "annotations")}
    made = edited(rest, changes)
    categories = edited(sound["categories"], changes) if changes[0][0] % 11 == 0 else sound["categories"]
    return {"categories": categories, **made} if isinstance(made, dict) else made


def lists(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """Image lists of data sets, and what a folder of masks makes of their names."""
    from benchmarks.data.listing import read_ids

    sound = b"2008_000002\n2008_000003 1\n\n2008_000007\n"

    def read(content: bytes) -> None:
        (folder / "val.txt").write_bytes(content)
        assert all(isinstance(id_, str) and id_ and not id_.isspace() for id_ in read_ids(folder / "val.txt"))

    hostile = st.lists(st.sampled_from(HOSTILE), max_size=4).map(
        lambda names: "\n".join(names).encode(errors="surrogateescape")
    )
    return st.one_of(st.builds(damaged, st.just(sound), damages), st.binary(max_size=40), hostile), read


def records(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """Everything in a run's folder that a later command reads: record, matrices, state, specs, card, claims."""
    from results.launch.plan.request import Run
    from results.launch.run.status import status
    from results.store.folders import Stored, find_stored
    from results.store.verify import problems
    from tests.torture.trials import job_of

    job = job_of("constant", folder / "runs")
    _lay(job, folder / "runs")
    run = job.run.folder(job.root).path
    there = {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}
    plain = [name for name in there if name.endswith(".json")]

    def read(drawn: tuple[str, bytes]) -> None:
        name, content = drawn
        (run / name).write_bytes(content)
        try:
            found = list(find_stored(folder / "runs"))
            said = list(problems(found))
            assert all("\n" not in line for line in said), said
            state = status(Run(job.run.train, job.run.evaluation), folder / "runs").state
            if name == "evals/" + job.run.evaluation.key + "/record.json" and not said:
                assert all(isinstance(item, Stored) for item in found)
                assert state in ("done", "stale", "planned", "interrupted")
        finally:
            (run / name).write_bytes(there[name])

    def changed(name: str, changes: list) -> tuple[str, bytes]:
        return name, json.dumps(edited(json.loads(there[name]), changes)).encode()

    structured = st.builds(changed, st.sampled_from(plain), edits)
    nested = st.tuples(st.sampled_from(plain), st.just(b"[" * 100_000))
    raw = st.builds(lambda name, by: (name, damaged(there[name], by)), st.sampled_from(list(there)), damages)
    return st.one_of(structured, raw, nested), read


def _lay(job, root: Path) -> None:
    """Make the run that is then spoilt; claims and state included."""
    from results.launch.run.worker import run_job

    if run_job(job) != "done":
        raise RuntimeError(job.run.folder(root).read_state())


def specs(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """Specs of training and evaluation."""
    from benchmarks.spec import EvalSpec, TrainSpec
    from tests.torture.trials import job_of

    run = job_of("zegclip", folder).run
    sound = [run.train.model_dump(mode="json"), run.evaluation.model_dump(mode="json")]

    def read(drawn: tuple[int, list]) -> None:
        which, changes = drawn
        made = (TrainSpec, EvalSpec)[which].parse(edited(sound[which], changes), source="spec")
        assert made.digest() == type(made).parse(made.model_dump(mode="json"), source="spec").digest()

    return st.tuples(st.integers(0, 1), edits), read


def overrides(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """`--set` of a method's and the recipe's settings."""
    from benchmarks.spec import Recipe
    from methods.registry import config_class
    from results.launch.plan.request import Request
    from results.launch.plan.runs import plan

    known = [f"zegclip.{name}" for name in config_class("zegclip").model_fields]
    known += [f"recipe.{name}" for name in Recipe.model_fields] + [
        "random.x",
        "zegclip",
        "recipe.",
        ".x",
        "recipe.__class__",
    ]

    def read(words: list[str]) -> None:
        for run in plan(Request(("zegclip",), ("shapes-5i",), folds=(0,), overrides=tuple(words))):
            inside = (folder / run.train.folder).resolve()
            assert inside.is_relative_to(folder.resolve())

    values = st.one_of(leaf.map(str), leaf.map(lambda v: json.dumps(v, default=str)), st.sampled_from(HOSTILE))
    word = st.builds(
        lambda name, sign, value: f"{name}{sign}{value}", st.sampled_from(known), st.sampled_from("=="), values
    )
    return st.lists(word, min_size=1, max_size=3), read


def command_lines(folder: Path) -> tuple[st.SearchStrategy, Reader]:
    """Whole command lines, none of which starts a run: exit code 0, 1 or 2, one line, nothing written."""
    import harness

    runs = folder / "none"
    commands = [
        ["run", "--dry-run"],
        ["status"],
        ["tables"],
        ["compare", "a", "b"],
        ["list"],
        ["results", "verify"],
        [],
    ]
    options = """--methods --benchmarks --folds --seeds --clip --setting --templates --data-root --year --subset --scale
    --set --weights --limit --part --kind --items --absent-class --background --background-below --short-side --window
    --stride --flips --jobs --threads --from --show --by --format --settings --fail-under""".split()
    values = st.one_of(
        st.sampled_from([*HOSTILE, "all", "zegclip", "shapes-5i", "pascal-5i", "0", "1", "-1", "3.5", "1e999", "NaN"]),
        st.text(max_size=8),
    )
    more = st.lists(st.tuples(st.sampled_from(options), st.lists(values, max_size=2)), max_size=3)

    def read(drawn: tuple[list[str], list]) -> None:
        command, extra = drawn
        arguments = [*command, *(word for name, words in extra for word in (name, *words))]
        if command and command[0] in ("run", "status"):
            arguments += ["--runs", str(runs)]
        elif command and command[0] != "list":
            arguments += ["--from", str(folder / "empty")]
        else:
            arguments = arguments or ["list"]
            arguments = arguments if arguments[0] in ("list", "-h") else ["list", *arguments]
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = harness.main(arguments)
            except SystemExit as end:  # argparse's
                code = int(end.code or 0)
        assert code in (0, 1, 2), code
        assert not runs.exists()

    (folder / "empty").mkdir()
    return st.tuples(st.sampled_from(commands), more), read


READERS = {
    "PNG masks": masks,
    "JPEG and PNG images": images,
    "COCO instances files": coco,
    "image lists": lists,
    "files of stored runs": records,
    "specs": specs,
    "overrides": overrides,
    "command lines": command_lines,
}
