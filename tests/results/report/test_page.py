"""The page: complete in one file, harmless, the same on every call, and alive in a real browser."""

from __future__ import annotations

import base64
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, pairwise, product
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from benchmarks.data.parallel import beside
from results.report import figures
from results.report.curves import ERRORS, Reading, Readings, Sweep, mean_sweep, read
from results.report.drawing import Kind
from results.report.error_kinds import NEAR, RATES, error_table
from results.report.looks import COLOURS, FLOOR, looks_of
from results.report.page import render
from results.report.placement import apart, place, shared
from results.report.theme import SCHEMES
from results.store.confusion import packed
from results.store.folders import find_stored
from results.store.kept_rows import KeptRows
from results.store.selection import Selection, select
from results.tables.html import source
from results.tables.table import UNDEFINED
from tests.results import factory
from tests.results.factory import SHAPES, specs, store

pytestmark = pytest.mark.usefixtures("toy")
HOSTILE = "<script>document.title='broken'</script> $x$"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def page_of(root: Path, **changes: Any) -> str:
    found = list(find_stored(root))
    paths = {f.record.result.confusion_sha256: f.confusion for f in found}  # type: ignore[union-attr]
    options: dict[str, Any] = {"states": {}, "stale": frozenset(), **changes}
    return render([f.record for f in found], lambda r: paths[r.result.confusion_sha256], **options)  # type: ignore[union-attr]


def half_finished(root: Path) -> dict[str, str]:
    """Two methods with three seeds, one of them incomplete, and two runs without a record."""
    for seed in (0, 1, 2):
        for fold in (0, 1):
            store(root, method="zeta", fold=fold, seed=seed)
            if (seed, fold) != (2, 1):
                store(root, method="alpha", fold=fold, seed=seed)
    return {specs(fold=1, seed=2)[0].folder: "running", specs("beta")[0].folder: f"failed: {HOSTILE}"}


class Links(HTMLParser):
    """Everything a page would load, and the text of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.scripts = 0
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data):
        self.text.append(data)


def parsed(page: str) -> Links:
    found = Links()
    found.feed(page)
    return found


def test_the_page_is_one_file(tmp_path):
    """Fails if the page would load anything from elsewhere."""
    states = half_finished(tmp_path)
    page = page_of(tmp_path, states=states)
    found = parsed(page)
    assert found.sources
    assert all(source.startswith(("data:image/", "#")) for source in found.sources)
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_what_makes_numbers_no_result_is_said_first(tmp_path):
    """Fails if the first screen calls a method the best, and only the table says that it is no result."""
    for seed in range(2):
        for fold in (0, 1):
            store(tmp_path, fold=fold, seed=seed, part="tune")
    page = page_of(tmp_path)
    assert "Highest hIoU" in page
    assert page.index("Scored on the tune part: not a result.") < page.index("Contents")


def test_names_do_no_harm(tmp_path, monkeypatch):
    """Fails if a class, a recipe or a reason becomes an element of the page."""
    monkeypatch.setattr(factory, "CLASSES", (HOSTILE, "bee", "cow", "$"))
    known = factory.split()
    monkeypatch.setattr("results.tables.content.load_split", lambda _: known)
    store(tmp_path, recipe=SHAPES.model_copy(update={"name": HOSTILE}))
    page = page_of(tmp_path, states={specs("beta")[0].folder: HOSTILE})
    found = parsed(page)
    assert found.scripts == 1
    assert "<script>document" not in page
    assert any(HOSTILE in text for text in found.text)


def test_the_same_page_twice(tmp_path):
    """Fails if time, chance or order gets into the page or its figures."""
    states = half_finished(tmp_path)
    first, second = (page_of(tmp_path, states=states, figures_to=tmp_path / name) for name in "ab")
    assert first == second
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    endings = {path.suffix for path in (tmp_path / "a").iterdir()}
    assert endings == {".svg", ".pdf"}


def test_what_was_kept_while_reading_gives_the_same_page(tmp_path):
    """Fails if a page of counts that were in hand when the records were checked differs from one that reads them."""
    half_finished(tmp_path)
    kept, known = KeptRows(), Readings()
    found = select(Selection((tmp_path,)), looks=[kept, known])
    options: dict[str, Any] = {"states": {}, "stale": frozenset()}
    plain = render(found.records, found.confusion, **options)
    assert plain == render(found.records, lambda _: tmp_path / "nowhere", kept=kept, known=known, **options)


def test_figures_drawn_by_another_process_are_the_same(tmp_path):
    """Fails if the page depends on who draws its figures."""
    for method, fold in product(("alpha", "beta"), (0, 1)):
        store(tmp_path, method=method, fold=fold)
    found = select(Selection((tmp_path,)))
    shown = {"states": {}, "stale": frozenset()}
    with beside("results.report.figures") as elsewhere:
        page = render(found.records, found.confusion, elsewhere=elsewhere, **shown)
    assert page == render(found.records, found.confusion, **shown)
    assert page.count("data:image/svg+xml") > 3


def test_every_kind_of_drawing_is_a_function_of_figures():
    """Fails if a figure names what nobody draws: it would be found by who draws it alone."""
    assert all(callable(getattr(figures, kind)) for kind in get_args(Kind))


def test_a_page_imports_no_matplotlib_where_another_draws():
    """Fails if the process that reads thousands of records holds the drawing library too: some 25 MiB."""
    code = "import sys, results.report.page; assert not [name for name in sys.modules if 'matplotlib' in name]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_half_finished_grid_says_what_is_missing(tmp_path):
    """Fails if a run without a record is nowhere on the page, or an incomplete seed is averaged."""
    states = half_finished(tmp_path)
    text = " ".join(parsed(page_of(tmp_path, states=states)).text)
    assert "11 records; 1 failed; 1 running" in text
    assert "alpha seed 2 has fold 0 of 0, 1" in text
    assert specs("beta")[0].folder in text
    assert "beta fold 0 seed 0 (failed:" in text


def test_nothing_scored_yet(tmp_path):
    """Fails if a grid that has only begun has no page."""
    page = page_of(tmp_path, states={specs()[0].folder: "running"})
    assert "0 records; 1 running" in page


def test_answers_come_first_and_are_those_of_the_family(tmp_path):
    """Fails if the page does not begin with what is best, by how much and whether that is established."""
    hious: dict[str, list[float]] = {"zeta": [], "alpha": []}
    for method, of in hious.items():
        for fold, seed in product((0, 1), (0, 1, 2)):
            of.append(store(tmp_path, method=method, fold=fold, seed=seed)[1].result.own.hiou or 0.0)
    best, other = sorted(hious, key=lambda method: -fmean(hious[method]))
    page = page_of(tmp_path)
    text = " ".join(parsed(page.split("<nav")[0]).text)
    assert re.search(rf"Highest hIoU: {best}, {100 * fmean(hious[best]):.1f} ± \d+\.\d \(3 seeds\)\.", text)
    assert re.search(rf"Above the next, {other}, by \d+\.\d ± \d+\.\d points: (not )?established, p = \d\.\d+", text)
    assert f"Cost of {best}: not known, for 6 runs (6 trainings or scorings without a stored time" in text
    assert re.search(r"Its worst unseen classes \(IoU, %\): (ant \d+\.\d, bee|bee \d+\.\d, ant) \d+\.\d\.", text)
    assert "Where it fails most:" in text
    assert page.index("Highest hIoU") < page.index("Contents") < page.index("mean over folds")


def test_nothing_is_answered_of_one_seed(tmp_path):
    """Fails if one seed is called established, or not established."""
    for method in ("zeta", "alpha"):
        for fold in (0, 1):
            store(tmp_path, method=method, fold=fold)
    text = " ".join(parsed(page_of(tmp_path).split("<nav")[0]).text)
    assert "one seed: not tested" in text
    assert "Established" not in text
    assert "not established" not in text


def test_looks_tell_methods_apart():
    """Fails if two methods share colour and line, or one of the looks is not of the colour-blind safe set."""
    looks = looks_of([f"method {i}" for i in range(28)])
    assert len({(look.colour, look.line) for look in looks.values()}) == 28
    assert {look.colour for look in looks.values()} == set(COLOURS)


def test_what_looks_at_no_image_takes_no_colour():
    """Fails if a floor takes a colour from the methods, or two floors cannot be told apart."""
    looks = looks_of(["constant", "clip", "random", *(f"method {i}" for i in range(6))])
    assert [looks[name].colour for name in ("constant", "random")] == [FLOOR, FLOOR]
    assert looks["constant"] != looks["random"]
    assert {look.colour for name, look in looks.items() if name not in ("constant", "random")} == set(COLOURS)


def test_a_method_looks_the_same_in_every_section(tmp_path, monkeypatch):
    """Fails if a method has another colour in a section where others stand beside it."""
    for fold in (0, 1):
        store(tmp_path, method="zeta", fold=fold)
        for method in ("zeta", "alpha"):
            store(tmp_path, method=method, fold=fold, part="tune")
    seen = []
    monkeypatch.setattr(figures, "trade_off", lambda sweeps, own, looks: seen.append(looks) or Figure())
    page_of(tmp_path)
    assert len(seen) == 2
    assert seen[0]["zeta"] == seen[1]["zeta"] != seen[1]["alpha"]


points = st.lists(st.tuples(st.floats(0, 280), st.floats(0, 260)), min_size=1, max_size=12)


@settings(deadline=None)
@given(points)
def test_labels_do_not_overlap(at):
    """Fails if two labels of a scatter cover each other, or one leaves the axes, however the points lie."""
    sizes = [(60.0, 7.0)] * len(at)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(place(at, sizes, (280, 260)), sizes, strict=True)]
    assert np.triu(shared(np.array(boxes), np.array(boxes)), 1).sum() == 0
    assert all(x >= 0 and y >= 0 and r <= 280 + 1e-9 and t <= 260 + 1e-9 for x, y, r, t in boxes)


def test_labels_of_a_dense_scatter():
    """Fails if the labels that matplotlib draws overlap, where all methods score alike."""
    names = [f"a-method-of-a-longer-name-{i}" for i in range(12)]
    rows = [{"miou_seen": 0.30 + 0.004 * i, "miou_unseen": 0.31 - 0.003 * i} for i in range(12)]
    figure = figures.seen_against_unseen(pd.DataFrame(rows), names, looks_of(names))
    figure.set_dpi(400)  # letters as wide as in SVG
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts if text.get_text() in names]
    assert len(boxes) == 12
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_label_is_not_taken_for_another_points():
    """Fails if the first of two close points takes the place beside the second."""
    at, sizes = [(0.0, 0.0), (12.0, 9.0)], [(30.0, 8.0), (25.0, 8.0)]
    corners = place(at, sizes, (280, 260))
    boxes = np.array([(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sizes, strict=True)])
    beside_second = np.array([(12 - 24, 9 - 8, 12 + 24, 9 + 8)])
    assert [area > 0 for area in shared(boxes, beside_second)[:, 0]] == [False, True]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=10))
def test_ends_stand_apart(values):
    """Fails if names at the ends of lines overlap, change their order, or leave the axes where there is room."""
    moved = apart(values, 8.0, 0.0, 100.0)
    ordered = sorted(range(len(values)), key=lambda i: values[i])
    assert all(moved[b] - moved[a] >= 8.0 - 1e-9 for a, b in pairwise(ordered))
    assert all(-1e-9 <= value <= 100 + 1e-9 for value in moved)


def test_no_name_is_cut_off():
    """Fails if the margins, which are taken from the lengths of texts, leave something outside of the figure."""
    names = ["constant", "a-method-of-a-name-so-long-that-it-is-cut", *(f"method {i}" for i in range(8))]
    looks, curve = looks_of(names), Sweep(np.linspace(-1, 1, 5), *(np.linspace(0.1, 0.6, 5),) * 3)
    table = pd.DataFrame({"class": ["a class of a long name", "b"], "as": ["unseen", "seen"], "m": [0.1, 0.2]})
    shown = [
        figures.forest([(name, -0.1, 0.01, True) for name in names], names[1], "mIoU(U)", looks),
        figures.calibration(dict.fromkeys(names, curve), dict.fromkeys(names, 0.0), looks),
        figures.trade_off(dict.fromkeys(names, curve), dict.fromkeys(names, 0.0), looks),
        figures.heat_map(table, {"m": names[1]}),
        figures.losses(dict.fromkeys(names, ([1, 2, 3], [2000.0, 1.0, 0.01])), looks),
        figures.losses({names[1]: ([1, 2, 3], [2.0, 1.9, 1.85])}, looks),
        figures.anatomy(dict.fromkeys(names, np.full(4, 0.1)), {}),
    ]
    for number, figure in enumerate(shown):
        figure.set_dpi(400)  # letters as wide as in SVG
        whole = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert whole.x0 > -0.02, number
        assert whole.y0 > -0.02, number
        assert whole.x1 < width + 0.02, number
        assert whole.y1 < height + 0.02, number


def test_figures_follow_the_scheme(tmp_path):
    """Fails if a figure stays a white sheet on dark paper, has other ink or paper than the page, or files do, too."""
    store(tmp_path / "runs")
    page = page_of(tmp_path / "runs", figures_to=tmp_path / "figures")
    drawn = [base64.b64decode(data) for data in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page)]
    assert drawn
    for svg in drawn:
        assert b"prefers-color-scheme: dark" in svg
        assert not re.search(rb"(fill|stroke): #(ffffff|000000)", svg)
    css = re.findall(r"--(ink|paper): (#\w+)", source("style.css"))
    for name, light, dark in list(SCHEMES.values())[:2]:
        assert [(name, light), (name, dark)] == [pair for pair in css if pair[0] == name][:2]
    assert all(b"prefers" not in path.read_bytes() for path in (tmp_path / "figures").glob("*.svg"))


def test_figures_for_papers(tmp_path):
    """Fails if a figure's file is named by its place on the page, or a PDF has fonts that publishers refuse."""
    store(tmp_path / "runs", fold=0)
    store(tmp_path / "runs", fold=1)
    page_of(tmp_path / "runs", figures_to=tmp_path / "a")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    store(tmp_path / "runs", fold=0, part="tune")  # a part whose section comes before
    store(tmp_path / "runs", fold=1, part="tune")
    page_of(tmp_path / "runs", figures_to=tmp_path / "b")
    assert names < {path.name for path in (tmp_path / "b").iterdir()}
    for path in (tmp_path / "a").glob("*.pdf"):
        assert b"/Type3" not in path.read_bytes(), path.name


def test_tables_can_be_read_aloud(tmp_path):
    """Fails if a table has no caption, a row no header, or a picture no words."""
    page = page_of(tmp_path, states=half_finished(tmp_path))
    assert page.count("<table>") == page.count("<caption>") > 3
    assert page.count('<th scope="row"') + page.count("<th scope=row") >= page.count("<tbody>")
    for alt in re.findall(r'<img alt="([^"]*)"', page):
        assert len(alt) > 20
    assert 'tabindex="0"' in page


def test_readings_by_hand(tmp_path):
    """Fails if a score at a shift or a kind of error is another than the matrices say. Classes 0, 1 seen; 2 not."""
    own = np.array([[10, 2, 3], [0, 20, 5], [4, 1, 15]])
    np.savez(tmp_path / "confusion.npz", shifts=[0.0, 0.5], own_index=1, matrices=np.stack([np.diag([9, 9, 9]), own]))
    made = factory.record()
    side = made.result.evaluation.side.model_copy(update={"classes": ("a", "b", "c"), "seen": ("a", "b")})
    evaluation = made.result.evaluation.model_copy(update={"side": side})
    record = made.model_copy(update={"result": made.result.model_copy(update={"evaluation": evaluation})})
    found = read(record, tmp_path / "confusion.npz")
    assert found.sweep.seen[0] == found.sweep.unseen[0] == 1.0
    assert found.sweep.seen[1] == pytest.approx((10 / 19 + 20 / 28) / 2)
    assert found.sweep.unseen[1] == pytest.approx(15 / 28)
    assert dict(zip(ERRORS, 60 * found.errors, strict=True)) == pytest.approx(
        {"seen taken for unseen": 8, "unseen taken for seen": 5, "seen for another seen": 2, ERRORS[3]: 0}
    )

    assert found.near is None


def read_by_hand(tmp_path: Path, boundary: Any) -> Reading:
    """Classes 0 and 1 seen, 2 not: 100 pixels, 30 of them wrong."""
    own = np.array([[20, 4, 6], [0, 30, 5], [10, 5, 20]])
    (tmp_path / "confusion.npz").write_bytes(
        packed({"shifts": [0.0], "own_index": 0, "matrices": own[None], "per_image": None, "boundary": boundary})
    )
    made = factory.record()
    side = made.result.evaluation.side.model_copy(update={"classes": ("a", "b", "c"), "seen": ("a", "b")})
    evaluation = made.result.evaluation.model_copy(update={"side": side})
    record = made.model_copy(update={"result": made.result.model_copy(update={"evaluation": evaluation})})
    return read(record, tmp_path / "confusion.npz")


def test_errors_near_boundaries_by_hand(tmp_path):
    """Fails if a share or a rate near boundaries is another than the matrices say."""
    found = read_by_hand(tmp_path, np.array([[5, 1, 4], [0, 10, 2], [5, 3, 10]]))
    assert found.near is not None
    assert found.near.pixels == pytest.approx(0.4)
    assert list(100 * found.near.errors) == pytest.approx([6, 8, 1, 0])
    made = factory.record()
    (row,) = error_table({"alpha": [made]}, {id(made): found}, "toy").rows()
    assert (row[NEAR], *(row[rate] for rate in RATES)) == pytest.approx((0.15, 0.15 / 0.4, 0.15 / 0.6))


def test_what_was_not_measured_is_said(tmp_path):
    """Fails if a run without counts near boundaries is taken for one without errors there."""
    with_it, without = read_by_hand(tmp_path, np.eye(3, dtype=np.int64)), read_by_hand(tmp_path, None)
    records = [factory.record(), factory.record()]
    readings = {id(records[0]): with_it, id(records[1]): without}
    table = error_table({"alpha": records, "beta": records[:1]}, readings, "toy")
    place = [column.header for column in table.columns].index(NEAR)
    assert [cells[place] for cells in table.cells()] == [UNDEFINED, "0.0"]
    assert "Not measured in all runs of alpha:" in table.notes[1]
    assert "Near boundaries lie 3.0 % of the labelled pixels." in table.notes[1]


def test_errors_of_trials_and_of_stale_runs_are_marked(tmp_path):
    """Fails if errors of part of the data, or of runs of older sources, stand in their table like any other."""
    found = read_by_hand(tmp_path, np.eye(3, dtype=np.int64))
    runs = {
        "alpha": [factory.record(partial=True)],
        "beta": [factory.record("beta")],
        "gamma": [factory.record("gamma")],
    }
    readings = {id(run): found for of in runs.values() for run in of}
    table = error_table(runs, readings, "toy", frozenset({runs["beta"][0].result.train.folder}))
    assert [cells[0] for cells in table.cells()] == ["alpha †", "beta ‡", "gamma"]
    assert any(note.startswith("†") for note in table.notes)
    assert any(note.startswith("‡ stale") for note in table.notes)


def test_the_area_by_hand():
    """Fails if the area is not that of the trapezoids, or is one where the curve has no ends."""
    shifts, seen, unseen = np.array([-np.inf, 0.0, np.inf]), np.array([0.4, 0.2, 0.0]), np.array([0.1, 0.3, 0.3])
    sweep = Sweep(shifts, seen, unseen, unseen)
    assert sweep.area == pytest.approx(0.06 + 0.04)
    assert mean_sweep([sweep, sweep]).area == pytest.approx(sweep.area)
    assert np.isnan(Sweep(np.arange(3.0), seen, unseen, unseen).area)


def test_runs_that_a_curve_leaves_out_are_told(tmp_path):
    """Fails if a curve of fewer runs than a row has is called the mean over all of them."""
    for method, fold in product(("alpha", "beta"), (0, 1)):
        store(tmp_path, method=method, fold=fold)
    found = select(Selection((tmp_path,)))
    known, narrow = Readings(), found.records[1]
    for record in found.records:
        reading = read(record, found.confusion(record))
        shifts = reading.sweep.shifts * (2 if record is narrow else 1)
        known.keep(record, replace(reading, sweep=replace(reading.sweep, shifts=shifts)))
    page = render(found.records, found.confusion, known=known, states={}, stale=frozenset())
    assert page.count(f"Left out, swept over other shifts: 1 of 2 of {narrow.result.train.method}.") > 1
    whole = render(found.records, found.confusion, states={}, stale=frozenset())
    assert "Left out, swept" not in whole


def test_dollars_set_no_formula():
    """Fails if a name with dollars or a backslash stops the drawing."""
    for name in ("$x", "$\\frac$", "a_$b$_c", "100 %"):
        figure = figures.losses({name: ([1, 2], [3.0, 1.0])}, looks_of([name]))
        assert isinstance(figure, Figure)
        assert figures.drawn(figure, "svg").startswith(b"<?xml")


def test_undefined_ends_of_lines_stop_no_drawing():
    """Fails if a page ends in a traceback where no unseen class is in the images, so that hIoU is undefined at some
    shifts or all, or where a training diverged."""
    looks, shifts = looks_of("abc"), np.array([-np.inf, -1.0, 0.0, 1.0, np.inf])
    curves = {"a": np.full(5, np.nan), "b": np.array([0.1, 0.2, 0.3, np.nan, np.nan]), "c": np.full(5, 0.2)}
    sweeps = {name: Sweep(shifts, np.full(5, 0.5), unseen, unseen) for name, unseen in curves.items()}
    own = dict.fromkeys(sweeps, 0.0)
    lost = {"a": ([1, 2], [math.nan] * 2), "b": ([1, 2], [1.0, math.nan]), "c": ([1, 2], [2.0, 1.0])}
    made = (figures.calibration(sweeps, own, looks), figures.trade_off(sweeps, own, looks), figures.losses(lost, looks))
    for figure in made:
        assert {text.get_text() for text in figure.axes[0].texts} <= {"b", "c"}
        assert figures.drawn(figure, "svg").startswith(b"<?xml")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium of the system, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def test_in_a_browser(tmp_path, browser):
    """Fails if the page reports an error, a picture does not load, a header does not sort or a field not filter."""
    states = half_finished(tmp_path)
    figures.save(figures.losses({"a": ([1, 2], [3.0, 1.0])}, looks_of("a")), tmp_path, "sheet")
    file = tmp_path / "page.html"
    file.write_text(page_of(tmp_path, states=states), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    told: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert told == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.title() == "Zero-shot segmentation: results"
    widths = page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
    assert len(widths) >= 5
    assert min(widths) > 0
    _sorts(page)
    _filters(page)
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "report.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_its_window(tmp_path, browser, scheme):
    """Fails if a table or a name makes a narrow window scroll sideways, or dark paper has dark ink."""
    for method in ("zeta", "a-method-of-a-name-so-long-that-it-needs-the-whole-width-of-a-narrow-window"):
        for fold in (0, 1):
            store(tmp_path, method=method, fold=fold)
    file = tmp_path / "page.html"
    file.write_text(page_of(tmp_path, states={specs("beta")[0].folder: "failed: " + "x" * 300}), encoding="utf-8")
    for width in (1400, 800):
        page = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)
        page.goto(file.as_uri())
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
        assert (light[0] > light[1]) == (scheme == "dark")
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"report-{width}-{scheme}.png")
        page.close()


def _sorts(page: Any) -> None:
    table = page.locator("figure.table").first
    names = lambda: table.locator("tbody tr th:first-child").all_inner_texts()  # noqa: E731
    before = names()
    header = table.get_by_role("button", name="mIoU(U)")
    place = [cell.strip() for cell in table.locator("thead th").all_inner_texts()].index("mIoU(U)") + 1
    values = lambda: [  # noqa: E731
        float(re.match(r"[\d.]+", text.strip())[0])
        for text in table.locator(f"tbody tr > :nth-child({place})").all_inner_texts()
    ]
    header.click()
    assert values() == sorted(values(), reverse=True)
    first = names()
    header.click()
    assert values() == sorted(values())
    assert names() == first[::-1]
    table.get_by_role("button", name="method").click()
    assert sorted(before) == sorted(names())


def _filters(page: Any) -> None:
    page.get_by_text("Every run", exact=True).first.click()
    runs = page.locator("#runs")
    visible = lambda: [r for r in runs.locator("tbody tr").all() if r.is_visible()]  # noqa: E731
    assert len(visible()) == 13
    runs.get_by_role("searchbox").fill("zeta fold1")
    assert len(visible()) == 3
    assert all(re.search("zeta/fold1", row.inner_text()) for row in visible())
    runs.get_by_role("searchbox").fill("")
    assert len(visible()) == 13
