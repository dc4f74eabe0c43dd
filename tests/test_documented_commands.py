"""Every command that README and docs show is run, small: `tests.documented` says in what it differs from the print."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import harness
from methods import custom
from methods.registry import METHODS
from results.launch.execute import scheduler
from tests.documented import PROJECT, commands, lacking, small
from tests.unregister import forget

DATA = PROJECT.parent / "shared" / "data"
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
GENERATED = {"commands.md", "configs.md", "record-fields.md", "tour.md"}
SHOWN = list(
    dict.fromkeys(c for page in PAGES if page.name not in GENERATED for c in commands(page.read_text("utf-8")))
)
# stored records are older than some fields; part of a set is not whole; stored settings may be of older code
CODES = {"submit": {0, 1}, "data": {0, 1}, "sensitivity": {0, 1}}
LIMIT = ("--limit", "4", "--folds", "0", "--cluster", "debug", "--device", "cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with what the commands name, and the words that stand for it."""
    folder = tmp_path_factory.mktemp("documented")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ZSS_RUNS", str(folder / "results" / "runs"))
        patch.delenv("ZSS_DATA_ROOT", raising=False)
        patch.setattr(scheduler, "is_here", lambda: False)
        torch = pytest.importorskip("torch")
        kept = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
        (folder / "tests").symlink_to(PROJECT / "tests")
        (folder / "results").mkdir()
        for name in ("reference", "sensitivity", "pretraining"):
            (folder / "results" / name).symlink_to(PROJECT / "results" / name)
        _photos(folder)
        _farm(folder)
        (folder / "sweep.toml").write_text(_toml("sweeps.md", "draw =").replace("n = 20", "n = 2"))
        assert harness.main(["run", "--methods", "zegclip", "clip", *LIMIT]) == 0
        (run,) = (folder / "results" / "runs" / "shapes-5i" / "zegclip").iterdir()
        for name in ("model.safetensors", "model.json"):
            shutil.copy(run / name, folder / name)
        asked = ["predict", "--methods", "clip", "--benchmarks", "shapes-5i", "--folds", "0", "--limit", "4"]
        assert harness.main([*asked, "--device", "cpu", "--out", "predictions"]) == 0
        assert harness.main(["list", "reading", "chimera-seg"]) == 0
        (folder / "chimera-seg.toml").write_text('method = "chimera-seg"\nname = "mine"\n[constants]\nblocks = 1\n')
        roots = ":".join(str(DATA / name) for name in ("voc-mini", "coco-mini"))
        yield folder, {"3066b3b5": run.name.rpartition("-")[2], "DIR": roots}
        torch.use_deterministic_algorithms(kept[0])
        torch.set_num_threads(kept[1])


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_that_a_page_shows_runs(place, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a reader who types what a page shows gets an error."""
    folder, names = place
    if reason := lacking(command):
        pytest.skip(f"needs {reason}")
    if "--data-root" in command and not DATA.is_dir():
        pytest.skip("the small photo sets are not here")
    if "--data-root DIR" not in command:
        names = names | {"DIR": str(folder / "written")}
    known, loaded = set(METHODS), set(custom.LOADED)
    words = small(command, names)
    try:
        code = harness.main(words)
    finally:
        forget(known, loaded)
    assert code in CODES.get(words[0], {0}), capsys.readouterr().err


def test_there_are_commands() -> None:
    """Fails when the pages are read wrongly and no command is run."""
    assert len(SHOWN) > 60
    assert {words.split()[2] for words in SHOWN} >= {"run", "eval", "score", "predict", "tables", "compare", "data"}


def _toml(page: str, sign: str) -> str:
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    (block,) = [found for found in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if sign in found]
    return block


def _photos(folder: Path) -> None:
    """Two photos, and a short video."""
    cv2 = pytest.importorskip("cv2")
    random = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for name in ("one", "two"):
        Image.fromarray(random.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / "photos" / f"{name}.png")
    video = cv2.VideoWriter(str(folder / "walk.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
    for _ in range(30):
        video.write(random.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    video.release()


def _farm(folder: Path) -> None:
    """The data set of the example, in noise."""
    random, home = np.random.default_rng(1), folder / "farm"
    for name in ("photos", "masks"):
        (home / name).mkdir(parents=True)
    ids = [f"{i:03d}" for i in range(8)]
    for id_ in ids:
        Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(home / "photos" / f"{id_}.png")
        mask = np.repeat(np.repeat(random.integers(0, 5, (4, 4), dtype=np.uint8), 16, 0), 16, 1)
        Image.fromarray(mask).save(home / "masks" / f"{id_}.png")
    (home / "train.txt").write_text("\n".join(ids[:5]) + "\n")
    (home / "val.txt").write_text("\n".join(ids[5:]) + "\n")
    text = (PROJECT / "tests" / "examples" / "farm.toml").read_text(encoding="utf-8")
    (folder / "farm.toml").write_text(
        text.replace('"photos"', '"farm/photos"')
        .replace('"masks"', '"farm/masks"')
        .replace('"train.txt"', '"farm/train.txt"')
        .replace('"val.txt"', '"farm/val.txt"')
    )
