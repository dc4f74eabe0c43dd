"""What `import harness` offers to Python: records, tables, methods and scores, over what the commands use.

Each function is thin and has one command behind it. Importing this loads no torch; `load`, `segment`, `evaluate` and
`run` need the packages of `[train]`. Raises `splits.errors.UserError`, one line, for what the commands refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.launch.commands.parse import clip_of
from results.launch.plan.arguments import known, listed, whole
from results.launch.plan.request import Device, Files, Request, Run
from results.store.places import distinct, runs_folder
from results.store.selection import Selection, select
from splits.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from benchmarks.catalogue import Data
    from benchmarks.scoring.metrics import Metrics
    from results.launch.execute.follow import Rows
    from results.launch.run.finished_weights import Finished
    from results.store.record import Result
    from results.tables.kinds import Kind
    from results.tables.table import Table
    from results.tables.views import By

Place = str | Path
IGNORED = 255


def records(
    root: Place | Sequence[Place] | None = None,
    *,
    methods: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
    every_field: bool = False,
) -> pd.DataFrame:
    """One row per stored record, scores as fractions: `method`, `benchmark`, `fold`, `seed`, `miou_seen`, `hiou`, ...

    root: folders of runs; None: ZSS_RUNS, else results/runs. methods, benchmarks: only these; empty: all.
    every_field: the columns of `export`, named by their path in the record. Command: `export`.
    """
    from results.tables.aggregate import tidy
    from results.tables.export import frame
    from results.tables.long_data import without_unknown_shifts

    found = select(_selection(root, methods, benchmarks))
    if every_field:
        return frame(found.records, found.stale)
    return without_unknown_shifts(tidy(found.records, stale=found.stale), found.stored)


def tables(
    root: Place | Sequence[Place] | None = None,
    *,
    show: Sequence[Kind] = ("main",),
    by: By | None = None,
    methods: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
) -> list[Table]:
    """The tables of stored records; each has a `title`, an unrounded `frame`, `notes` and `markdown()`.

    show: kinds of tables, as `tables --show`. by: "method", or "fold": each fold for itself;
    None: "method", but "fold" where no row has all folds. Command: `tables`.
    """
    from results.tables.kinds import KINDS
    from results.tables.selected_tables import chosen, selected_tables
    from results.tables.views import BYS, View

    view = View(known("show", show, KINDS), None if by is None else known("by", (by,), BYS)[0])
    found, every, kept = chosen(_selection(root, methods, benchmarks))
    return selected_tables(found, every, kept, view)


def compare(
    *names: str,
    root: Place | Sequence[Place] | None = None,
    benchmarks: Sequence[str] = (),
    folds: Sequence[int] = (),
    delta: float = 1.0,
    over: str = "images",
) -> list[Table]:
    """The first method beside each other one, paired over seeds, folds and images, one table per benchmark and family.

    folds: on these alone; empty: all. delta: in points; smaller differences are equivalent. over: what an interval is
    over, besides seeds: "images" or "classes". Command: `compare`.
    """
    from results.tables.comparison import Wanted, compare_records
    from results.tables.selected_tables import described

    selection = _selection(root, (), benchmarks)
    found = described(select(selection, every_loss=False), selection)
    wanted = Wanted(names, over, delta / 100, folds=whole("folds", folds))
    return compare_records(found.records, wanted, found.confusion, found.stale)[0]


def metrics(
    truth: ArrayLike | Sequence[ArrayLike],
    prediction: ArrayLike | Sequence[ArrayLike],
    *,
    seen: Sequence[bool],
    ignore: int = IGNORED,
) -> Metrics:
    """Pixel accuracy, mIoU(S), mIoU(U), hIoU and IoU per class, of index maps in memory, counted in one matrix.

    truth, prediction: maps (H, W) of class indices, or a sequence of such maps, each pair of one size. seen: for each
    class, was it labelled in training? Its length is the number of classes. ignore: the truth that is not counted; it
    may be predicted nowhere else. Raises UserError for other sizes, for indices that are no class, and where
    `seen` is anything but True and False.
    """
    from benchmarks.scoring.index_maps import counted, flags, maps
    from benchmarks.scoring.metrics import summary

    seen = flags(seen).tolist()
    truths, predictions = maps(truth, "truth"), maps(prediction, "prediction")
    if len(truths) != len(predictions):
        raise UserError(f"metrics: {len(truths)} maps of the truth and {len(predictions)} of predictions")
    total = np.zeros((len(seen), len(seen)), np.int64)
    for number, (there, said) in enumerate(zip(truths, predictions, strict=True)):
        total += counted(there, said, len(seen), ignore, number)
    return summary(total, seen)


def load(
    what: Place, *, clip: str | None = None, root: Place | None = None, method_files: Iterable[Place] = ()
) -> Finished:
    """A method with its weights, ready for `segment` and `evaluate`.

    what: a run's folder or the key at the end of its name; a `model.safetensors` with its card beside it; or the name
    of a method that trains nothing ("clip"). clip: "MODEL/TAG" or "MODEL/path/to/file"; None: of a run its own, of a
    method the built-in one. root: where runs lie. Command: `predict`.
    """
    from methods.registry import METHODS
    from results.launch.plan.custom import load_methods, load_stored
    from results.launch.plan.runs import plan
    from results.launch.plan.weight_cards import run_folder
    from results.launch.run import finished_weights

    place = Path(root) if root is not None else runs_folder()
    load_methods(map(Path, listed("method_files", method_files)))
    load_stored([place])
    clip_id, clip_file = clip_of(clip)
    if str(what) in METHODS:
        usual = "shapes-5i" if clip_id is None else "pascal-5i"
        (run_,) = plan(Request(methods=(str(what),), benchmarks=(usual,), folds=(0,), clip=clip_id))
        return finished_weights.of_plan(run_, place, clip_file)
    if Path(what).is_file():
        return finished_weights.of_card(Path(what), clip_file)
    return finished_weights.of_run(run_folder(str(what), place), clip_file)


def segment(
    method: Finished,
    image: Place | Image | NDArray[np.uint8],
    classes: Sequence[str] = (),
    *,
    background_below: float | None = None,
    device: Device | None = None,
) -> NDArray[np.uint8]:
    """The index of the class of every pixel, (H, W) uint8, at the size of the image.

    method: from `load`. image: a file, a Pillow image as its pixels lie, or (H, W, 3) uint8 RGB. classes: any words;
    empty: those of the training. background_below: a finite score; a pixel whose best one is below it is background,
    index `len(classes)`.
    Command: `predict`.
    """
    from benchmarks.catalogue import benchmark
    from benchmarks.scoring.predict import predicted
    from results.launch.plan.runs import default_scale
    from results.launch.run.devices import chosen_device
    from results.launch.run.predict import asked_about, check_several

    if isinstance(classes, str):
        raise UserError(f"segment: classes is a list of names, got the text {classes!r}; write {_parted(classes)!r}")
    check_several(classes, background_below, "segment: classes", "or background_below")
    spec, where = method.spec, chosen_device(device)
    names, sentences = tuple(classes) or spec.side.classes, spec.side.queries.templates
    vocabulary, _ = asked_about(method, names, sentences, "classes")
    bench, pixels = benchmark(spec.benchmark), _pixels(image)
    return predicted(
        method.method.to(where),
        pixels,
        vocabulary,
        bench.inference_at(default_scale(bench, spec.clip)),
        pixels.shape[:2],
        background_below=background_below,
        device=where,
    )


def evaluate(
    method: Finished,
    benchmark: str,
    *,
    fold: int = 0,
    data_root: Place | None = None,
    subset: bool = False,
    limit: int | None = None,
    device: Device | None = None,
) -> Result:
    """The scores of a loaded method on a fold of a benchmark, in memory: `.own.hiou`, `.classes`, `.protocol_hash`, ...

    benchmark: a name, or the TOML of a data set of your own. limit: the first images alone; `.partial` is then true.
    Nothing is stored. The command `eval` stores a record.
    """
    from benchmarks import catalogue
    from benchmarks.data.limited import Limited
    from results.launch.plan.contamination import contamination
    from results.launch.plan.runs import default_scale, evaluations_of
    from results.launch.plan.transfer import transferred
    from results.launch.run.data_state import DataStates
    from results.launch.run.devices import chosen_device
    from results.launch.run.result import result_of
    from results.launch.run.scoring import scored_images

    spec, where = method.spec, chosen_device(device)
    (name,), data = _known([benchmark]), _data(data_root, subset)
    bench = catalogue.benchmark(name)
    request = Request(methods=(spec.method,), benchmarks=(bench.name,), limit=limit, data=data)
    scored = evaluations_of(bench, (fold,), default_scale(bench, spec.clip), request)[0]
    run_ = Run(spec, transferred(spec, scored))
    state = DataStates(data, train=False).of(run_)
    state.refuse(bench.name)
    reader = data.open(bench, request.part)
    reader.prepare()
    if limit is not None:
        reader = Limited(reader, limit)
    found = scored_images(method.method, spec.method, run_.evaluation, reader, device=where)
    return result_of(
        run_,
        found,
        curve=[],
        contamination=contamination(spec, None, run_.evaluation, data),
        confusion_sha256="",
        weights_sha256=method.weights_sha256,
        eval_data_sha256=state.eval_sha256,
        warnings=(*state.warnings, *method.remarks),
    )


def run(
    methods: Sequence[str],
    *,
    benchmarks: Sequence[str] = ("shapes-5i",),
    folds: Sequence[int] | None = None,
    seeds: Sequence[int] = (0,),
    clip: str | None = None,
    settings: Sequence[str] = (),
    limit: int | None = None,
    data_root: Place | None = None,
    subset: bool = False,
    root: Place | None = None,
    jobs: int | None = None,
    device: Device | None = None,
    method_files: Iterable[Place] = (),
) -> pd.DataFrame:
    """Make the runs that are missing, and return all of them as `records` does. Raises UserError where one failed.

    methods: names and groups, as `--methods`. folds: None: all. settings: as `--set`, "zegclip.prompt_tokens=20".
    limit: a trial run. root: where runs are stored. jobs: how many at once, in processes of their own (then a script
    needs `if __name__ == "__main__":` around its calls); None: one after another in this process. Command: `run`.
    """
    from results.launch.execute.execution import Execution
    from results.launch.execute.grid import make_runs
    from results.launch.plan.custom import load_methods
    from results.launch.plan.runs import methods_named
    from results.launch.plan.transfer import runs_of
    from results.tables.aggregate import tidy

    load_methods(map(Path, listed("method_files", method_files)))
    place = Path(root) if root is not None else runs_folder()
    clip_id, clip_file = clip_of(clip)
    request = Request(
        methods=methods_named(listed("methods", methods)),
        benchmarks=_known(benchmarks),
        folds=None if folds is None else whole("folds", folds),
        seeds=whole("seeds", seeds),
        clip=clip_id,
        overrides=listed("settings", settings),
        limit=limit,
        data=_data(data_root, subset),
    )
    files = Files(clip=clip_file)
    planned = runs_of(request, files, None, place)
    execution = Execution(place, jobs=jobs, device=device, cluster="debug" if jobs is None else "local")
    states = dict[Run, str]()

    def keep(rows: Rows) -> int:
        states.update((run_, seen.state) for run_, seen in rows)
        return 0

    make_runs(request, files, execution, planned, report=keep)
    found = [(run_, run_.folder(place).read_record(run_.evaluation)) for run_ in planned]
    if missing := [run_.name for run_, record in found if record is None]:
        raise UserError(f"{len(missing)} of {len(found)} runs are not done: {', '.join(missing[:3])}; see `status`")
    stale = frozenset(run_.train.folder for run_, state in states.items() if state == "stale")
    return tidy((record for _, record in found if record is not None), stale=stale)


def _selection(root: Place | Sequence[Place] | None, methods: Sequence[str], benchmarks: Sequence[str]) -> Selection:
    from results.launch.plan.custom import load_stored
    from results.launch.plan.runs import methods_named

    given = [runs_folder()] if root is None else [root] if isinstance(root, str | Path) else listed("root", root)
    roots = distinct(map(Path, given))
    load_stored(roots)
    return Selection(roots, methods_named(listed("methods", methods)), _known(benchmarks))


def _known(benchmarks: Sequence[str]) -> tuple[str, ...]:
    """The names of benchmarks; TOMLs are read first."""
    from results.launch.plan.custom import names_of

    given = listed("benchmarks", benchmarks)
    names = names_of(given)
    return tuple(names[text] for text in given)


def _data(root: Place | None, subset: bool) -> Data:
    from benchmarks.catalogue import Data

    return Data(root=None if root is None else str(root), subset=subset)


def _parted(text: str) -> list[str]:
    """The names of a text as a list, as the command line has them."""
    return [name.strip() for name in text.split(",")]


def _pixels(image: Any) -> NDArray[np.uint8]:
    if isinstance(image, str | Path):
        from benchmarks.data.photo_file import read_image

        return read_image(Path(image))
    if hasattr(image, "convert"):
        from benchmarks.data.photo_file import in_memory

        return in_memory(image)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UserError(f"segment: an image is (H, W, 3) uint8 RGB, got {pixels.shape} {pixels.dtype}")
    return np.ascontiguousarray(pixels)
