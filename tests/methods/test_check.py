"""`check` lets sound methods through and names what is wrong with each of many broken ones."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import pytest
import torch

from methods.check import CHECKS, Failed, check
from methods.check_places import files_of, place_of_method
from methods.method import Method, Vocabulary
from splits.errors import UserError

EXAMPLE = Path(__file__).parent.parent / "examples" / "adapter.py"


def _example():
    spec = importlib.util.spec_from_file_location("example_adapter", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLE_MODULE = _example()
CONFIG = EXAMPLE_MODULE.AdapterConfig()


class Adapter(EXAMPLE_MODULE.Adapter):
    """The example, to be broken."""


class WrongShape(Adapter):
    def scores(self, images, vocabulary):
        return super().scores(images, vocabulary)[:, :2]


class NotPointwise(Adapter):
    def activate(self, scores, seen):
        return scores.softmax(dim=1)


class ByPlace(Adapter):
    def scores(self, images, vocabulary):
        return super().scores(images, vocabulary) + torch.arange(len(vocabulary))[:, None, None]


class ByOthers(Adapter):
    def scores(self, images, vocabulary):
        return super().scores(images, vocabulary).log_softmax(dim=1)


class ByBatch(Adapter):
    def scores(self, images, vocabulary):
        scores = super().scores(images, vocabulary)
        return scores - scores.mean(dim=0, keepdim=True)


class NanWithoutLabels(Adapter):
    def losses(self, images, labels, *, progress):
        losses = super().losses(images, labels, progress=progress)
        return {"ce": losses["ce"] / (labels < 253).sum()}


class ForgottenParameter(Adapter):
    def parameter_groups(self):
        return []


class ReadsPadding(Adapter):
    def losses(self, images, labels, *, progress):
        losses = super().losses(images, labels, progress=progress)
        return {"ce": losses["ce"] * images.pixels.float().mean()}


class Remembers(Adapter):
    """Keeps the classes that it scored last."""

    def scores(self, images, vocabulary):
        self.asked = len(vocabulary)
        return super().scores(images, vocabulary)

    def losses(self, images, labels, *, progress):
        asked = getattr(self, "asked", 3)
        return {"ce": super().losses(images, labels, progress=progress)["ce"] * asked}


class KnowsNames(Adapter):
    def losses(self, images, labels, *, progress):
        self.hints = {"zebra": 0.5}
        return super().losses(images, labels, progress=progress)


class CountsInAttribute(Adapter):
    """What training needs is in no parameter or buffer, so a checkpoint loses it."""

    steps = 0

    def losses(self, images, labels, *, progress):
        self.steps += 1
        return {"ce": super().losses(images, labels, progress=progress)["ce"] * self.steps}


class Unseeded(Adapter):
    def __init__(self, **given):
        super().__init__(**given)
        with torch.random.fork_rng():
            torch.seed()
            torch.nn.init.normal_(self.adapter.weight)


class ScaleLearntOutside(Adapter):
    def losses(self, images, labels, *, progress):
        self.scale = self.scale * 1.5
        return super().losses(images, labels, progress=progress)


@pytest.fixture(scope="module")
def tower(small_clip):
    return small_clip


def test_the_example_is_sound(tower):
    """Fails when README's example breaks what the harness takes for granted, or is longer than 60 lines."""
    assert check(Adapter, clip=tower, config=CONFIG) == tuple(CHECKS)
    assert len(EXAMPLE.read_text().splitlines()) <= 60


@pytest.mark.parametrize(("name", "config"), [("clip", {}), ("random", {}), ("constant", {})])
def test_methods_of_the_harness_are_sound(tower, name, config):
    """Fails when a sound method is refused."""
    assert check(name, clip=tower, config=config) == tuple(CHECKS)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (WrongShape, "shapes: scores of 2 pictures"),
        (NotPointwise, "shapes: activate is not pointwise"),
        (ByPlace, "vocabulary: scores depend on the order"),
        (ByOthers, "vocabulary: scores of a class depend on the other classes"),
        (ByBatch, "batches: scores of a picture depend"),
        (NanWithoutLabels, "losses: loss ce of unlabelled pixels"),
        (ForgottenParameter, "losses: parameter_groups holds 0"),
        (ReadsPadding, "padding: losses depend"),
        (Remembers, "leakage: scoring unseen classes during training"),
        (KnowsNames, "leakage: after training the method holds the unseen names zebra"),
        (CountsInAttribute, "resume: training that stopped"),
        (Unseeded, "weights: two builds with one seed differ"),
        (ScaleLearntOutside, "weights: weights stored and loaded"),
    ],
)
def test_what_is_broken_is_named(tower, broken, reason):
    """Fails when a method that would give meaningless numbers passes, or the wrong thing is said of it."""
    with pytest.raises(Failed) as caught:
        check(broken, clip=tower, config=CONFIG)
    assert reason in str(caught.value)


def test_methods_that_depend_on_the_others_may_say_so(tower):
    """Fails when `vocabulary_chunkable = False` is not honoured."""
    honest = type("Honest", (ByOthers,), {"vocabulary_chunkable": False})
    assert check(honest, clip=tower, config=CONFIG)


def test_training_free_builders_and_unknown_names(tower):
    """Fails when a method that trains nothing is refused for it, or an unknown name ends in a stack trace."""

    def build(*, clip, vocabulary, config):
        assert isinstance(vocabulary, Vocabulary)
        method = Adapter(clip=clip, vocabulary=vocabulary, config=config).requires_grad_(False)
        method.losses = lambda images, labels, *, progress: {}
        return method

    with pytest.raises(Failed, match="no loss has a gradient"):
        check(build, clip=tower, config=CONFIG)
    assert check(build, clip=tower, config=CONFIG, trained=False)
    with pytest.raises(UserError, match="no method is called"):
        check("nothing")


def test_a_problem_has_its_place(tower):
    """Fails when a problem does not name the file and line of the method's own code that it is about."""
    with pytest.raises(Failed) as raised:
        check(ByPlace, clip=tower, config=CONFIG)
    (problem,) = [line for line in raised.value.problems if ": vocabulary: scores depend on the order" in line]
    assert problem.startswith(f"{__file__}:{ByPlace.scores.__code__.co_firstlineno}: vocabulary: ")


@pytest.mark.parametrize("name", ["scores", "__init__", "losses"])
def test_the_place_is_in_the_file_of_the_method(name):
    """Fails when the place of a problem is in torch: of a decorated function, or of one that the method has not."""

    class Bare(Method):
        @torch.no_grad()
        def scores(self, images, vocabulary):
            return images.pixels

    line = inspect.unwrap(Bare.scores).__code__.co_firstlineno
    assert place_of_method(Bare, name) == f"{__file__}:{line}"
    assert files_of(Bare) == {__file__}


class Breaks(Adapter):
    def scores(self, images, vocabulary):
        raise RuntimeError("no such thing")


def test_an_error_has_the_line_that_raised_it(tower):
    """Fails when an exception inside a method is reported without the line it came from."""
    with pytest.raises(Failed) as raised:
        check(Breaks, clip=tower, config=CONFIG)
    line = Breaks.scores.__code__.co_firstlineno + 1
    assert any(problem.startswith(f"{__file__}:{line}: shapes: RuntimeError") for problem in raised.value.problems)


def test_each_problem_is_a_line_of_the_command(tmp_path, capsys, monkeypatch):
    """Fails when `check` runs problems together, or leaves out the file and line of one."""
    import harness

    broken = EXAMPLE.read_text().replace("return self.scale * torch", "return (self.scale / len(vocabulary)) * torch")
    broken = broken.replace('"adapter": MethodEntry', '"broken-adapter": MethodEntry')
    (tmp_path / "broken.py").write_text(broken.replace('{"ce": cross', '{"ce": images.pixels.sum() * cross'))
    monkeypatch.chdir(tmp_path)
    assert harness.main(["check", "--method-file", "broken.py"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("broken.py:") and ": broken-adapter: " in line for line in lines)


UNWRITTEN = """
from methods.config import MethodConfig
from methods.method import Method
from methods.method_entry import MethodEntry

class Unwritten(Method):
    def __init__(self, *, clip, vocabulary, config):
        super().__init__()

ENTRY = {"config": "methods.config:MethodConfig", "builder": f"{__name__}:Unwritten", "needs": "tokens"}
METHODS = {"unwritten": MethodEntry(title="nothing", fidelity="a test", trained=False, **ENTRY)}
"""


def test_a_function_that_is_left_out_is_one_line_that_says_what_to_write(tmp_path, capsys, monkeypatch):
    """Fails when a method without `losses` is answered by five lines of `NotImplementedError:` and no advice."""
    import harness

    (tmp_path / "unwritten.py").write_text(UNWRITTEN)
    monkeypatch.chdir(tmp_path)
    assert harness.main(["check", "--method-file", "unwritten.py", "--methods", "unwritten"]) == 1
    printed = capsys.readouterr().out
    assert "unwritten: `scores` is not written" in printed
    assert "unwritten: `losses` is not written: it returns named losses; where nothing is trained it returns {}" in (
        printed
    )
    assert "NotImplementedError" not in printed


def test_what_several_checks_meet_is_told_once(tmp_path, capsys, monkeypatch):
    """Fails when one wrong line of a method is told once for each check that passes it."""
    import harness

    text = EXAMPLE.read_text().replace('"adapter": MethodEntry', '"wrong-adapter": MethodEntry')
    (tmp_path / "wrong.py").write_text(text.replace("dense = self.clip", "dense = images.nothing"))
    monkeypatch.chdir(tmp_path)
    assert harness.main(["check", "--method-file", "wrong.py", "--methods", "wrong-adapter"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert "wrong-adapter: shapes, vocabulary, batches, losses" in line
    assert line.endswith("'Images' object has no attribute 'nothing'")


def test_the_example_reads_what_the_named_clip_needs(tower):
    """Fails when the example takes the plain read-out of a CLIP that is poor with it."""
    seen = []

    class Spy(torch.nn.Module):
        embed_dim, best_readout = tower.embed_dim, "value"
        text_prototypes = staticmethod(tower.text_prototypes)

        def tokens(self, images, *, readout):
            seen.append(readout)
            return tower.tokens(images, readout=readout)

    from methods.check_subject import SEEN, Subject, words

    adapter = EXAMPLE_MODULE.Adapter(clip=Spy(), vocabulary=words(SEEN), config=CONFIG)
    adapter.scores(Subject(lambda: adapter).pictures(), words(SEEN))
    assert seen == ["value"]
    assert tower.best_readout == "value"
