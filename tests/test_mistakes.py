"""Wrong command lines and wrong inputs: each ends in one line that says what to do, exit code 2, and leaves nothing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import harness
from methods.registry import METHODS
from tests.unregister import forget, forget_data_sets

SET = """name = "farm"
images = "photos"
masks = "masks"
train = "train.txt"
val = "val.txt"
classes = ["cow", "sheep", "dog"]
unseen = ["dog"]
background = 0
ids = { cow = 1, sheep = 2, dog = 3 }
ignore = 255
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a data set of three classes and files of every wrong kind, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZSS_DATA_ROOT", raising=False)
    for folder in ("photos", "masks", "empty", "said", "folder.toml"):
        (tmp_path / folder).mkdir()
    for number in range(4):
        mask = np.full((24, 32), number % 4, np.uint8)
        Image.fromarray(np.stack([mask * 60] * 3, axis=2)).save(tmp_path / f"photos/img{number}.png")
        Image.fromarray(mask).save(tmp_path / f"masks/img{number}.png")
    (tmp_path / "train.txt").write_text("img0\nimg1\n")
    (tmp_path / "val.txt").write_text("img2\nimg3\n")
    (tmp_path / "said/classes.json").write_text(json.dumps(["cow", "sheep", "dog"]))
    (tmp_path / "farm.toml").write_text(SET)
    (tmp_path / "key.toml").write_text(SET.replace("unseen", "unsen"))
    (tmp_path / "moved.toml").write_text(SET.replace('images = "photos"', 'images = "fotos"'))
    (tmp_path / "broken.toml").write_text("name = \n")
    (tmp_path / "zero.py").write_text("import os\n\nHALF = 1 / 0\n")
    (tmp_path / "syntax.py").write_text("def broken(:\n    pass\n")
    (tmp_path / "nothing.py").write_text("x = 1\n")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    known = dict(METHODS)
    yield tmp_path
    forget(known, {})
    forget_data_sets()


def told(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command line, and what it printed on stderr."""
    try:
        code = harness.main(shlex.split(line))
    except SystemExit as left:
        code = int(left.code or 0)
    return code, capsys.readouterr().err


SLIPS = [  # a command line, and words of the one line that answers it
    # commands and options
    ("rum --methods clip", "no command is called 'rum'; did you mean run?"),
    ("zegclip", "no command is called 'zegclip'; there are: run, sensitivity"),
    ("run zegclip", "'zegclip' belongs to no option"),
    ("data verfy pascal-5i", "did you mean verify?"),
    ("data", "give also verify|prepare"),
    ("results verfy", "did you mean verify?"),
    ("list metods", "did you mean methods?"),
    ("--methodes clip", "there is no option --methodes; did you mean --methods"),
    ("--method clip", "--methods, --method-file"),
    ("tables --sort hiou", "there is no option --sort"),
    ("--limit", "--limit: expected one argument"),
    ("--limit 0", "at least 1"),
    ("--limit two", "expected a whole number"),
    ("export", "give also --out"),
    ("predict --images photos", "give also --out"),
    # numbers
    ("--folds 7", "shapes-5i has no fold 7; it has 0, 1, 2, 3"),
    ("--folds -1", "expected whole numbers of at least 0, as in `0 1 2`, `0,1,2` or `0-2`"),
    ("--folds 0;1", "expected whole numbers"),
    ("--folds 3-1", "from its lower end to its upper one; got '3-1'"),
    ("--seeds 0-99999", "expected a range of at most 10,000 numbers; got '0-99999'"),
    ("--seeds 0..2", "as in `0 1 2`, `0,1,2` or `0-2`; got '0..2'"),
    ("--seeds all", "expected whole numbers"),
    ("--seeds 9223372036854775808", "expected a whole number below 2^63"),
    ("score --predictions said --name x --benchmarks farm.toml --folds 0 --seed 1" + "0" * 5000, "below 2^63"),
    ("predict --methods clip --images photos --out o --background-below nan", "expected a number, got 'nan'"),
    ("predict --methods clip --images photos --out o --background-below inf", "expected a number, got 'inf'"),
    ("score --predictions said --name x --benchmarks farm.toml --folds 0,1", "expected a whole number"),
    ("score --predictions said --name x --benchmarks farm.toml --folds 3", "farm has no fold 3; it has 0"),
    # names
    ("--methods zegclop", "no method is called 'zegclop'; did you mean zegclip"),
    ("--methods ZegClip,klip", "no method is called 'ZegClip'; did you mean zegclip?"),
    ("--methods ablation:zegklip", "did you mean ablation:zegclip"),
    ("status --methods zegclop", "did you mean zegclip"),
    ("list reading zegclop", "did you mean zegclip"),
    ("check --methods zegclop", "did you mean zegclip"),
    ("sensitivity zegclop", "did you mean zegclip"),
    ("--benchmarks pascal5i", "no benchmark is called 'pascal5i'; did you mean pascal-5i?"),
    ("--benchmarks coco-20i,pascal", "no benchmark is called 'pascal'; did you mean pascal-5i"),
    ("--benchmarks farm", "your own data set is named by its TOML: farm.toml"),
    ("data verify pascal", "no benchmark is called 'pascal'; did you mean pascal-5i"),
    ("tables --benchmarks pascal5i", "did you mean pascal-5i?"),
    ("tables --show mian", "did you mean main?"),
    ("tables --columns hiuo", "did you mean hiou?"),
    ("--setting inductiv", "did you mean inductive"),
    ("--templates mult", "no templates are called 'mult'; did you mean multi?"),
    ("--recipe lnog", "shapes-5i has no such recipe; did you mean long?"),
    ("--part test", "'test' is no choice; there are: val, tune"),
    ("--border white", "'white' is no choice"),
    ("--benchmarks coco-20i --year 2015", "'2015' is no choice"),
    ("--device gpu", "'gpu' is no choice"),
    ("--log tensorbord", "did you mean tensorboard?"),
    # settings
    ("--methods zegclip --set zegclip.promt_tokens=3", "has no setting 'promt_tokens'; did you mean prompt_tokens"),
    ("--methods zegclip --set prompt_tokens=20", "write zegclip.prompt_tokens=20"),
    ("--methods zegclip --set iterations=20", "write recipe.iterations=20"),
    ("--methods zegclip --set zegclp.prompt_tokens=20", "'zegclp' is none of what is run; did you mean zegclip?"),
    ("--methods zegclip --set zegclip.prompt_tokens 20", "expected METHOD.SETTING=VALUE"),
    ("--methods zegclip --set zegclip.prompt_tokens=many", "prompt_tokens: expected a whole number (got 'many')"),
    ("--methods zegclip --set zegclip.prompt_tokens=-3", "prompt_tokens: expected at least 1 (got -3)"),
    ("--methods zegclip --set recipe.iteration=9", "did you mean iterations"),
    ("--methods zegclip --set recipe.lr=fast", "lr: expected a number (got 'fast')"),
    ("--methods zegclip --set recipe.lr=NaN", "lr: expected a finite number"),
    ("--methods zegclip --set recipe.betas=[1,0.9]", "betas.0: expected a number below 1"),
    ("--methods zegclip --set recipe.poly_power=-1", "poly_power: expected at least 0"),
    ("--methods zegclip --set recipe.min_lr=-1", "min_lr: expected at least 0"),
    ("--methods zegclip --set recipe.min_lr=5", "the rate would rise from"),
    ("--methods zegclip --set recipe.warmup_ratio=3", "warmup_ratio: expected at most 1"),
    ("--methods zegclip --set recipe.iterations=0", "expected at least 1 iteration"),
    ("--methods zegclip --set recipe.restart_at=99999", "is after the last of"),
    (
        "--methods zegclip --set 'recipe.augmentation={\"resize\":[0,9]}'",
        "augmentation.resize.0: expected a number above 0",
    ),
    ("--methods zegclip --set 'recipe.augmentation={\"resize_ratio\":[2,1]}'", "expected the lower end first"),
    ("--methods zegclip --sweep prompt_tokens=20,30 --part tune", "--sweep prompt_tokens=20: expected METHOD."),
    ("--methods zegclip --sweep-file broken.toml --part tune", "broken.toml: cannot be read as TOML"),
    ("--methods zegclip --reading broken.toml", "broken.toml: cannot be read as TOML"),
    ("--methods clip --clip ViT-B16/openai", "open_clip has no model 'ViT-B16'; did you mean ViT-B-16?"),
    ("--methods clip --clip ViT-B-16/opnai", "no weights tagged 'opnai', nor is that a file; did you mean openai?"),
    ("--methods clip --clip openai/ViT-B-16", "did you mean ViT-B-16/openai?"),
    ("--methods zegclip --reading farm.toml", "there are no fields images, masks, train, ...; expected method, name"),
    ("--background class --background-below x", "--background-below: expected a number, got 'x'"),
    ("--stride 80", "window None with stride 80: expected both or neither"),
    ("--scale trial", "no trial scale"),
    ("--year 2017", "have one edition only"),
    ("--ranks 3 --methods clip", "nothing is trained here"),
    ("--cluster slurm --mem 1X", "mem: expected a whole number with K, M, G, T or no unit, e.g. 16G (got '1X')"),
    ("--cluster slurm --gpus two", "gpus: expected [TYPE:]N with at most 99 GPUs, e.g. 2 or a100:2 (got 'two')"),
    ("--slurm foo", "expected KEY=VALUE"),
    ("--class-names renamed", "has no renamed classes"),
    ("--background class", "--background-below"),
    ("--benchmarks pascal-5i --part tune", "give --benchmarks pascal-5i-tune"),
    # data sets
    ("--benchmarks nowhere.toml", "nowhere.toml: there is no such file"),
    ("--benchmarks NOWHERE.TOML", "NOWHERE.TOML: there is no such file"),
    ("--benchmarks broken.toml", "broken.toml: cannot be read as TOML"),
    ("--benchmarks folder.toml", "folder.toml: is a folder; expected a file"),
    ("--benchmarks key.toml", "unsen: there is no such field; did you mean unseen?"),
    ("--benchmarks moved.toml --methods constant", "fotos"),
    ("--benchmarks pascal-5i --subset", "no data root was given"),
    ("--benchmarks pascal-5i --data-root nowhere", "nowhere (from --data-root) is no folder"),
    ("--benchmarks pascal-5i --data-root empty --methods constant", "no VOC 2012 found; looked for empty/"),
    ("data verify coco-stuff-156-15 --year 2014", "has no year '2014'"),
    ("data prepare pascal-5i --data-root nowhere", "is no folder"),
    # files
    ("report --out page.pdf", "the report is one HTML page; give a name that ends in .html"),
    ("--clip ViT-B-16", "expected MODEL/TAG (ViT-B-16/openai)"),
    ("--clip ViT-B-16/missing.pt", "there is no file"),
    ("--methods zegclip --weights nowhere.safetensors", "there is no such file"),
    ("--methods zegclip --weights empty", "--weights empty: is a folder; expected a file"),
    ("predict --methods zegclip --weights empty --images photos --out o", "--weights empty: is a folder"),
    ("prefetch --methods clip --clip ViT-B-16/opnai", "no weights tagged 'opnai', nor is that a file; did you mean op"),
    ("--method-file zero.py --methods clip", "zero.py line 3: ZeroDivisionError: division by zero"),
    ("--method-file syntax.py --methods clip", "syntax.py line 1: SyntaxError: invalid syntax"),
    ("--method-file nothing.py --methods clip", "expected a dict METHODS"),
    ("--method-file nowhere.py --methods clip", "nowhere.py: there is no such file"),
    ("--method-file empty --methods clip", "empty: is a folder"),
    # stored runs, predictions, pictures
    ("tables --from nowhere", "nowhere is no folder of runs"),
    ("results verify --from empty", "no record in empty"),
    (
        "picture --methods clip zegclip --folds 0 --by-difference clip zegclp",
        "zegclp is not shown; did you mean zegclip",
    ),
    ("eval --run zzz", "neither a run's folder nor its key"),
    ("eval --run 12345678", "no such run in"),
    ("card zzz", "error: run zzz: neither a run's folder nor its key"),
    ("compare zegclip", "expected two or more"),
    ("predict --methods clip --images empty --out o", "no picture in it"),
    ("predict --methods clip --images nowhere --out o", "there is no such file or folder"),
    ("predict --methods clip --images photos --classes a,,b --out o", "none of them empty"),
    ("predict --methods clip --images photos --classes train.txt --out o", "one class alone is said of every pixel"),
    ("predict --methods clip --images photos --out farm.toml", "is a file; give a folder"),
    ("score --predictions farm.toml --name x --benchmarks farm.toml --folds 0", "is a file; give its folder"),
    ("score --predictions nowhere --name x --benchmarks farm.toml --folds 0", "there is no such folder"),
    ("score --predictions said --name x --benchmarks farm.toml --folds 0", "no prediction for img2, img3"),
    ("score --predictions said --name 'my x' --benchmarks farm.toml --folds 0", "expected letters, digits and"),
    ("score --predictions said --name clip --benchmarks farm.toml --folds 0", "is a method of this harness"),
]


@pytest.mark.parametrize(("line", "said"), SLIPS, ids=[line for line, _ in SLIPS])
def test_a_slip_ends_in_one_line(
    line: str, said: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails when a slip ends in a stack trace, in a library's words, in another exit code than 2, or makes a file."""
    monkeypatch.setenv("ZSS_RUNS", str(here / "runs"))
    before = sorted(here.rglob("*"))
    code, printed = told(line, capsys)
    assert code == 2, printed
    assert said in printed
    errors = [row for row in printed.splitlines() if not row.startswith(("note:", "warning:"))]
    assert len(errors) == 1, printed
    assert errors[0].startswith("error: ")
    for raw in ("Traceback", "Errno", "\\n", "\x1b", "Input should", "Value error", "pydantic", "<class"):
        assert raw not in printed
    assert sorted(here.rglob("*")) == before
