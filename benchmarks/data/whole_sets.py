"""A whole data set, both parts of it: verified, or made ready, with what a person sees meanwhile. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.catalogue import benchmark
from benchmarks.data import sbd, voc
from benchmarks.data.datasets import data_roots, expected_images, open_reader
from benchmarks.data.download import archives_of, download
from benchmarks.data.parallel import cores
from benchmarks.data.reader import Watch
from benchmarks.data.verify import Report, across, missing_words, overlap, strays, verify_part
from benchmarks.prompts import asked, check_names
from benchmarks.templates import templates
from splits.errors import AbsentData, DataError, UserError
from splits.loader import Split, load_split

GENERATED = "shapes"


def verify_set(
    name: str,
    *,
    data_root: str | None = None,
    year: str = "",
    jobs: int | None = None,
    list_missing: bool = False,
    subset: bool = False,
) -> bool:
    """Look at every file of a benchmark's data set, print each problem and a summary; is nothing wrong?

    subset: what is missing is no problem, also where it is one of the two parts as a whole.
    """
    split = load_split(name)
    if split.dataset == GENERATED:
        print(f"{split.name} is drawn on the fly: there is nothing to verify")
        return True
    year = split.year(year)
    reports, unopened = _looked_at(split, data_root, year, jobs or cores())
    content = subset and bool(reports)
    absent = [part for part, error in unopened.items() if isinstance(error, AbsentData)]
    missing = [str(unopened[part]) for part in absent]
    problems = [str(error) for part, error in unopened.items() if part not in absent]
    for report in reports:
        missing += [*missing_words(report), *(f"missing: {path}" for path in report.missing if list_missing)]
        problems += [*report.problems, *report.warnings]
    surveys = [report.survey for report in reports if report.survey is not None]
    common = across(split, surveys)
    problems = [*([] if content else missing), *problems, *common.problems, *common.warnings]
    if len(reports) == 2 and not split.custom_lists:
        problems += _shared(overlap(split, data_root=data_root, year=year))
    problems = list(dict.fromkeys(problems))  # what keeps both parts from being opened is one problem
    print("\n".join(problems), end="\n" if problems else "")
    for line in [*(missing if content else []), *common.notes, *_names(split), *([] if unopened else strays(surveys))]:
        print(f"note: {line}")
    for report in reports:
        print(_summary(split, report))
    for part in unopened:
        if not (content and part in absent):
            print(f"{part}: its files were not looked at; mend its line above, then verify again")
    print(f"{split.name}: {f'{len(problems)} problems' if problems else 'nothing is wrong'}")
    return not problems


def _looked_at(split: Split, data_root: str | None, year: str, jobs: int) -> tuple[list[Report], dict[str, DataError]]:
    """What was found of each part, and why a part could not be opened."""
    reports, unopened = [], {}
    for part in split.parts:
        with progress_bar(f"{split.name} {part}") as watch:
            try:
                reports.append(verify_part(split, part, data_root=data_root, year=year, jobs=jobs, watch=watch))
            except DataError as error:
                unopened[part] = error
    return reports, unopened


def _shared(ids: Sequence[str]) -> list[str]:
    return [f"train and val share {len(ids)} images, first {ids[0]}; expected none"] if ids else []


def _names(split: Split) -> tuple[str, ...]:
    """What to know of how CLIP reads the class names of a custom data set."""
    if not split.custom_lists:
        return ()
    bench = benchmark(split.name)
    return check_names(asked(split.classes, bench.words), templates(bench.templates), split.name)


def prepare_set(
    name: str,
    *,
    data_root: str | None = None,
    year: str = "",
    jobs: int | None = None,
    subset: bool = False,
    fetch: bool = False,
) -> None:
    """Make what the harness needs of a data set and the data set has not; print what is there.

    subset: be content with the listed images that are present. fetch: the official archives first. Raises UserError
    where something is missing, with what to put where.
    """
    split = load_split(name)
    if split.dataset == GENERATED:
        print(f"{split.name} is drawn on the fly: there is nothing to prepare")
        return
    year = split.year(year)
    if fetch:
        _download(split, year, data_root)
    if split.dataset == "voc2012":
        _build_voc(split, data_root)
    for part in split.parts:
        reader = open_reader(split, part, data_root=data_root, subset=subset, year=year)
        with progress_bar(f"{split.name} {part}: masks") as watch:
            reader.prepare(watch, jobs=jobs or cores())
        partial = f" of {expected_images(split, part, year)}: partial" if reader.partial else ""
        print(f"{split.name} {part}: {len(reader)} images{partial}, ready ({reader.mask_rule})")


def _build_voc(split: Split, data_root: str | None) -> None:
    roots = data_roots(data_root)
    if not roots:
        return  # opening the reader says what to do
    folder, ids = voc.found(split, roots), [id_ for part in split.parts for id_ in split.listed(part) or ()]
    target = voc.aug_to_write(folder)
    there = {path.stem for place in (folder / voc.AUG, target) for path in place.glob("*.png")}
    if set(ids) <= there:
        return
    source = sbd.find(roots)
    with progress_bar(f"building {voc.AUG}") as watch:
        lacking = sbd.build(folder, source, ids, split.legal_ids, watch)
    print(f"{voc.AUG}: {len(ids) - len(lacking)} of {len(ids)} masks are there")
    if target.parent != folder:
        print(f"{folder} may not be written to: the masks that it lacks are in {target}")
    if lacking and source is None:
        print(f"{len(lacking)} masks come from SBD, which is not there; put {sbd.SOURCE} below the data root")
    elif lacking:
        print(
            f"neither {folder / voc.OFFICIAL} nor {source} has the mask of {lacking[0]} and {len(lacking) - 1} others"
        )


def _download(split: Split, year: str, data_root: str | None) -> None:
    roots = data_roots(data_root)
    if not roots:
        raise UserError("--download: say where to with --data-root DIR (the first folder of several)")
    for archive in archives_of(split.dataset, year):
        print(f"{archive.url}\n  licence: {archive.licence}\n  into {roots[0] / archive.into}")
        with progress_bar(Path(archive.url).name) as watch:
            download(archive, roots[0], watch)


def _summary(split: Split, report: Report) -> str:
    classes = {name: int(report.images[id_]) for name, id_ in zip(split.classes, split.ids, strict=True)}
    empty = [name for name, count in classes.items() if not count]
    none = f"; no image of {', '.join(empty[:8])}{', ...' if len(empty) > 8 else ''}" if empty else ""
    return f"{report.part}: {report.present} of {report.expected} images are there with their masks{none}"


@contextmanager
def progress_bar(title: str) -> Iterator[Watch]:
    """A progress bar on the error stream, for people only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
