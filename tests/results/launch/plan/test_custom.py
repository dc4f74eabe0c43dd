"""Custom methods and data sets, from files, on their way through the harness."""

from __future__ import annotations

import pickle
import re
import shutil
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")
import harness
from methods import custom as method_files
from methods.registry import METHODS
from results.launch.plan.custom import everything
from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.run.job import Job
from results.store import provenance
from results.store.folders import find_records
from results.store.record import RunRecord
from splits.errors import UserError
from tests.unregister import forget, forget_data_sets

pytestmark = pytest.mark.usefixtures("forgotten")

IMPORT = "from methods.registry import METHODS as M\n"
EXAMPLE = Path(__file__).parents[3] / "examples" / "adapter.py"
MODULE = "{__name__}"
SMALL = ("--folds", "0", "--limit", "3", "--device", "cpu", "--set", "recipe.batch=2")


def record_of(root) -> RunRecord:
    (record,) = find_records(root)
    assert isinstance(record, RunRecord), record
    return record


def run(root, *words):
    assert harness.main(["run", "--methods", "adapter", *SMALL, "--runs", str(root), *map(str, words)]) == 0


def test_a_file_and_a_package_give_the_same_result(tmp_path, monkeypatch):
    """Fails when a method of a file is trained or scored otherwise than the same class in a package."""
    run(tmp_path / "file", "--method-file", EXAMPLE, "--cluster", "debug")
    forget(METHODS.keys() - {"adapter"}, ())
    module = ModuleType("a_package")
    module.__file__ = str(EXAMPLE)
    monkeypatch.setitem(sys.modules, "a_package", module)
    exec(compile(EXAMPLE.read_text(), str(EXAMPLE), "exec"), module.__dict__)
    METHODS["adapter"] = replace(module.METHODS["adapter"], custom=True)
    run(tmp_path / "package", "--cluster", "debug")
    file, package = record_of(tmp_path / "file"), record_of(tmp_path / "package")
    assert file.result.digest() == package.result.digest()
    assert file.result.train.recipe.name == "changed own"
    assert (file.result.train.recipe.lr, file.result.train.recipe.iterations) == (1e-3, 100)
    assert file.result.losses


def test_another_process_knows_method_and_data_set(tmp_path, capsys):
    """Fails when a run in a process of its own does not know what the command line brought."""
    farm = _shapes_farm(tmp_path)
    assert harness.main(["data", "verify", str(farm)]) == 0
    run(tmp_path / "runs", "--method-file", EXAMPLE, "--benchmarks", farm, "--jobs", "1")
    out = capsys.readouterr().out
    assert re.search(r"\| adapter † +\| changed own", out)
    assert record_of(tmp_path / "runs").result.evaluation.side.data.dataset == "own/little"
    farm.unlink()  # tables need neither TOML nor method file
    assert harness.main(["tables", "--from", str(tmp_path / "runs")]) == 0
    assert "little: fold 0" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, '{"name": ', '{"name": "little"}'])
def test_a_definition_that_is_lost_costs_its_own_tables_alone(tmp_path, capsys, content):
    """Fails when one lost definition of a data set costs all tables, or its runs are left out silently."""
    farm, root = _shapes_farm(tmp_path), tmp_path / "runs"
    for name in (farm, "shapes-5i"):
        assert harness.main(["run", "--methods", "constant", *_options(root, name)]) == 0
    kept = root / "little" / "benchmark.json"
    kept.unlink() if content is None else kept.write_text(content)
    forget_data_sets()
    capsys.readouterr()
    for command in (["tables"], ["report", "--out", str(tmp_path / "page.html")]):
        assert harness.main([*command, "--from", str(root)]) == 0
        told = capsys.readouterr()
        assert f"left out: 1 run of little: no benchmark of this name is known, and {kept} is missing or" in told.err
    shutil.rmtree(root / "shapes-5i")
    assert harness.main(["tables", "--from", str(root)]) == 2
    assert "name the data set's TOML with --benchmarks" in capsys.readouterr().err
    assert harness.main(["tables", "--from", str(root), "--benchmarks", str(farm)]) == 0
    assert "little: fold 0" in capsys.readouterr().out


def _options(root, benchmark):
    where = ["--benchmarks", str(benchmark), "--folds", "0", "--limit", "2", "--runs", str(root)]
    return [*where, "--device", "cpu", "--cluster", "debug"]


def _shapes_farm(tmp_path) -> Path:
    from PIL import Image

    from benchmarks.catalogue import Data, benchmark

    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    reader = Data().open(benchmark("shapes-5i"), "tune")
    for index in range(4):
        sample = reader.read(index)
        Image.fromarray(sample.image).save(tmp_path / "photos" / f"{index}.png")
        Image.fromarray(sample.mask).save(tmp_path / "masks" / f"{index}.png")
    (tmp_path / "train.txt").write_text("0\n1\n")
    (tmp_path / "val.txt").write_text("2\n3\n")
    names = benchmark("shapes-5i").split.classes
    lines = ['name = "little"', 'images = "photos"', 'masks = "masks"', 'train = "train.txt"', 'val = "val.txt"']
    lines += [f"classes = {list(names)}", f"unseen = {list(names[::4])}", "background = 0"]
    path = tmp_path / "little.toml"
    path.write_text("\n".join(lines).replace("'", '"'))
    return path


def test_a_job_carries_the_file_as_it_was(tmp_path):
    """Fails when a job that starts later runs what the file has become since."""
    path = shutil.copy(EXAMPLE, tmp_path / "mine.py")
    names = method_files.load(method_files.read_file(Path(path)))
    (planned,) = plan(Request(methods=names, benchmarks=("shapes-5i",), folds=(0,)))
    sent = pickle.dumps(Job(run=planned, root=tmp_path, custom=everything()))
    digest = provenance.sources_sha256("adapter")
    Path(path).write_text("raise RuntimeError")
    forget(METHODS.keys() - {"adapter"}, ())
    job = pickle.loads(sent)
    job.custom.register()
    assert METHODS["adapter"].source == EXAMPLE.read_text()
    assert provenance.sources_sha256("adapter") == digest
    job.custom.register()  # a second job of the same process


def test_a_mark_at_the_start_of_a_file_is_no_code(tmp_path):
    """Fails when an editor's byte order mark makes the file a syntax error, or other sources."""
    marked = tmp_path / "adapter.py"
    marked.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert method_files.read_file(marked).source == method_files.read_file(EXAMPLE).source


def test_the_digest_is_of_the_file_and_what_it_imports(tmp_path):
    """Fails when a change of a method's file leaves its runs fresh, or a comment makes them stale."""

    def digest_of(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        method_files.load(method_files.read_file(path))
        found = provenance.sources_sha256("adapter")
        forget(METHODS.keys() - {"adapter"}, ())
        return found

    text = EXAMPLE.read_text()
    same = digest_of(text)
    assert digest_of(text + "\n# a comment\n") == same
    assert digest_of(text.replace("scale: float = 20.0", "scale: float = 21.0")) != same
    assert digest_of(text + "\nimport methods.losses\n") != same


def test_the_digest_is_of_modules_beside_the_file(tmp_path, monkeypatch):
    """Fails when a change of a module that a method's file imports from its folder leaves its runs fresh, or one of a
    library, or of a module that is not imported, makes them stale.
    """
    package = tmp_path / "own_parts"
    library = tmp_path / "lib" / "site-packages"
    for folder in (package, library):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("ONE = 1")
    (package / "inner.py").write_text("from . import deep\nfrom .. import nothing")
    (package / "deep.py").write_text("TWO = 2")
    (library / "own_library.py").write_text("THREE = 3")
    (tmp_path / "own_other.py").write_text("FOUR = 4")
    path = tmp_path / "mine.py"
    path.write_text("def late():\n    import own_parts.inner, own_library\n" + EXAMPLE.read_text())
    for place in (tmp_path, library):
        monkeypatch.syspath_prepend(place)

    def digest():
        method_files.load(method_files.read_file(path))
        provenance._code_and_imports.cache_clear()
        found = provenance.sources_sha256("adapter")
        forget(METHODS.keys() - {"adapter"}, ())
        return found

    before = digest()
    for file, counts in (
        (package / "__init__.py", True),
        (package / "deep.py", True),
        (library / "own_library.py", False),
        (tmp_path / "own_other.py", False),
    ):
        text = file.read_text()
        file.write_text(text.replace(" = ", " = 1"))
        assert (digest() != before) == counts, file
        file.write_text(text)
    assert digest() == before


def test_entry_points_bring_methods(monkeypatch):
    """Fails when an installed package's methods are not known, or a broken one ends in a stack trace."""
    module = ModuleType("a_package")
    exec(compile(EXAMPLE.read_text(), str(EXAMPLE), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "a_package", module)
    points = [EntryPoint("mine", "a_package:METHODS", method_files.GROUP)]
    monkeypatch.setattr(method_files, "entry_points", lambda group: points if group == method_files.GROUP else [])
    method_files.load_installed()
    method_files.load_installed()  # again changes nothing
    assert METHODS["adapter"].custom
    points[:] = [EntryPoint("theirs", "no_such_package:METHODS", method_files.GROUP)]
    with pytest.raises(UserError, match="theirs = no_such_package:METHODS cannot be loaded: ModuleNotFoundError"):
        method_files.load_installed()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = (", "SyntaxError"),
        ("\n\nraise ValueError('no\\nluck')", r" line 3: ValueError: no luck"),
        ("METHODS = {}", "expected a dict METHODS"),
        ("METHODS = {'a': 1}", "expected a dict METHODS"),
        ("from methods.registry import METHODS", "is a method already"),
        (IMPORT + "METHODS = {'../a': M['clip']}", "it names a folder"),
        (
            IMPORT + "METHODS = {'good': M['clip'], '': M['clip']}",
            "it names a folder",
        ),
        (
            IMPORT + "METHODS = {'a': M['zegclip']}",
            "'a': zegclip is ZegCLIP, ZegCLIP",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, capsys, text, reason):
    """Fails when a broken method file ends in a stack trace, or leaves half of itself in the registry."""
    path, before = tmp_path / "mine.py", dict(METHODS)
    path.write_text(text)
    assert harness.main(["check", "--method-file", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    with pytest.raises(UserError, match=reason):
        method_files.load(method_files.read_file(path))
    assert before == METHODS


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            ":AdapterConfig",
            ":AdaptorConfig",
            "its config names 'AdaptorConfig', which the file has not; did you mean Ad",
        ),
        (':Adapter"', ':adapt"', "its builder names 'adapt', which the file has not"),
        ("*, clip, vocabulary, config)", "*, clip, vocabulary)", "its builder 'Adapter' is called with clip=..., voc"),
        ("scale: float = 20.0", 'scale: float = "20"', "its config 'AdapterConfig' cannot stand by its defaults: sc"),
        ("scale: float = 20.0", "scale: float", "its config 'AdapterConfig' cannot stand by its defaults: scale: is m"),
        ("(MethodConfig):", ":", "its config 'AdapterConfig' is no subclass of methods.config.MethodConfig"),
        (f'config=f"{MODULE}:Ada', 'config=f"nothere:Ada', "its config names the module 'nothere', which is not there"),
        (
            f'config=f"{MODULE}:AdapterConfig"',
            'config="AdapterConfig"',
            "its config is 'AdapterConfig', expected a text",
        ),
        (f'builder=f"{MODULE}:Adapter"', "builder=Adapter", "its builder is <class 'custom_slip.Adapter'>, expected"),
        ('title="a linear', 'title=3 or "a linear', "its title is 3, expected a text"),
        ('recipe={"iter', 'recipe=3 or {"iter', "its recipe is 3, expected a dict"),
        (
            'needs="tokens"',
            'needs="tokens", tuned=("scal",)',
            "its field 'tuned' names 'scal', which its config has not; did you",
        ),
        ('needs="tokens"', 'needs="token"', "needs 'token', expected one of nothing, tokens, blocks"),
    ],
)
def test_an_entry_that_names_what_is_not_there_is_refused_in_one_line(tmp_path, capsys, old, new, reason):
    """Fails when a slip in an entry ends in a stack trace or passes, or leaves the method in the registry."""
    path, before = tmp_path / "slip.py", dict(METHODS)
    text = EXAMPLE.read_text().replace('"adapter": MethodEntry', '"slip": MethodEntry')
    assert old in text
    path.write_text(text.replace(old, new))
    assert harness.main(["check", "--method-file", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{path}: method 'slip': {reason}" in err
    assert before == METHODS


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('return {"ce": cross', 'return {"ce": float("nan") * cross', "the loss ce is not finite"),
        ("        return self.scale *", "        return (1 if self.training else torch.nan) *", "scores among"),
        ("class Adapter(Method):", "class Adapter(nn.Module):", "the builder returned Adapter; expected a methods"),
        ('return {"ce": cross', 'return {"ce": 1} or {"ce": cross', "the loss ce is of type int"),
        ("    def scores(", "    watched = {'a': 1}\n\n    def scores(", "AttributeError: 'int' object"),
    ],
)
def test_what_comes_out_of_a_file_and_fails_elsewhere_names_it(tmp_path, capsys, old, new, words):
    """Fails when what comes out of a file of one's own fails elsewhere and the line does not say whose it was, or when
    the file is mended and its failure still held against it.
    """
    path = tmp_path / "adapter.py"
    text = EXAMPLE.read_text()
    assert old in text
    arguments = ["run", "--methods", "adapter", *SMALL, "--method-file", str(path), "--runs", str(tmp_path / "runs")]
    path.write_text(text.replace(old, new))
    assert harness.main([*arguments, "--cluster", "debug"]) == 1
    told = capsys.readouterr().err
    assert re.search(rf"failed: {re.escape(str(path))}( line \d+)?: .*{words}", told), told
    forget(METHODS.keys() - {"adapter"}, ())
    path.write_text(text)
    assert harness.main([*arguments, "--cluster", "debug"]) == 0


def test_a_broken_module_beside_the_file_is_named(tmp_path, capsys, monkeypatch):
    """Fails when a slip in a module that the file imports is told as one of the line that imports it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper_beside.py").write_text("x = 1\ndef f(:\n")
    path = tmp_path / "adapter.py"
    path.write_text("import helper_beside\n" + EXAMPLE.read_text())
    assert harness.main(["check", "--method-file", str(path)]) == 2
    place = f"{tmp_path / 'helper_beside.py'} line 2"
    assert f"{path} line 1: SyntaxError: invalid syntax, in {place}" in capsys.readouterr().err


def test_another_data_set_of_the_same_name_is_refused(tmp_path, capsys):
    """Fails when runs of two data sets with one name are mixed in one folder, or a look leaves something behind."""
    farm = _shapes_farm(tmp_path)
    words = ["run", "--methods", "random", "--runs", str(tmp_path / "runs"), "--benchmarks", str(farm)]
    assert harness.main([*words, "--dry-run"]) == 0
    assert not (tmp_path / "runs").exists()
    assert harness.main([*words, "--limit", "1", "--folds", "0"]) == 0
    text = farm.read_text()
    farm.write_text(text.replace('unseen = ["arrow", ', "unseen = ["))
    capsys.readouterr()
    assert harness.main([*words, "--dry-run"]) == 2
    assert "is another data set called little" in capsys.readouterr().err
    assert harness.main([*words, "--limit", "1", "--folds", "0", "--runs", str(tmp_path / "others")]) == 0
    capsys.readouterr()
    assert harness.main(["tables", "--from", str(tmp_path / "runs"), str(tmp_path / "others")]) == 2
    assert "two data sets called little, of other classes or folds" in capsys.readouterr().err
