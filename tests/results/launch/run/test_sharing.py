"""One training and one scoring serve voc-15-5 and fold 3 of pascal-5i, as a person asks for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")
import harness
from benchmarks.catalogue import Data
from results.launch.execute import scheduler
from results.launch.execute.cluster import _apart, _free
from results.launch.plan.request import Request, Run
from results.launch.plan.runs import plan
from results.launch.run import training
from results.launch.run.job import Job
from results.launch.run.sharing import in_turn, shared
from results.launch.run.status import status
from results.store import folders
from results.store.folders import CARD, CONFUSION, RECORD, WEIGHTS, Stored, find_stored
from results.store.verify import problems
from results.tables.compute import compute_table
from results.tables.tables import build_tables
from tests.benchmarks.data.test_voc import TRAIN, VAL, put

VOC, PASCAL = ("--benchmarks", "voc-15-5"), ("--benchmarks", "pascal-5i", "--folds", "3")
LINE = "weights and scores of pascal-5i fold 3, trained already: pascal-5i/zegclip/fold3-seed0-"


@pytest.fixture(autouse=True)
def as_it_was(torch_as_it_was):
    """A run in this process makes torch deterministic."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few photos and masks of both parts."""
    root = tmp_path_factory.mktemp("voc")
    for seed, id_ in enumerate((*TRAIN[:4], *VAL[:3])):
        put(root / "VOCdevkit/VOC2012", id_, palette=True, seed=seed)
    return root


def call(command: str, photos: Path, root: Path, *words: object) -> int:
    asked = ("--methods", "zegclip", "--subset", "--limit", "2", "--set", "recipe.batch=2")
    here = ("--cluster", "debug", "--device", "cpu") if command in ("run", "eval") and "--cluster" not in words else ()
    words = (command, *asked, "--data-root", photos, "--runs", root, *here, *words)
    return harness.main([str(word) for word in words])


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory, torch_as_before_the_module: None) -> Path:
    """A root where fold 3 of pascal-5i is trained and scored."""
    root = tmp_path_factory.mktemp("runs")
    assert call("run", photos, root, *PASCAL) == 0
    return root


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "train", lambda *_, **__: pytest.fail("it is trained again"))


def asked(photos: Path, *, name: str = "voc-15-5", fold: int = 0, **changes) -> Run:
    fields = {"limit": 2, "overrides": ("recipe.batch=2",), "data": Data(root=str(photos), subset=True), **changes}
    (run,) = plan(Request(("zegclip",), (name,), (fold,), **fields))
    return run


def stored(root: Path) -> dict[str, Stored]:
    found = [item for item in find_stored(root) if isinstance(item, Stored)]
    return {item.record.result.train.benchmark: item for item in found}


@pytest.mark.parametrize(("first", "second"), [(PASCAL, VOC), (VOC, PASCAL)])
def test_one_training_serves_both_bit_for_bit(first, second, photos: Path, tmp_path: Path, monkeypatch) -> None:
    """Fails when a number of a row that was shared differs from that of a training under its own name."""
    assert call("run", photos, tmp_path / "alone", *second) == 0
    assert call("run", photos, tmp_path / "both", *first) == 0
    with monkeypatch.context() as no:
        no.setattr(training, "train", lambda *_, **__: pytest.fail("it is trained again"))
        assert call("run", photos, tmp_path / "both", *second) == 0
    (alone,), both = stored(tmp_path / "alone").values(), stored(tmp_path / "both")
    taken = both[second[1]]
    assert len(both) == 2
    assert alone.path.relative_to(tmp_path / "alone") == taken.path.relative_to(tmp_path / "both")  # its own keys
    assert alone.record.same_result(taken.record)
    assert alone.confusion.read_bytes() == taken.confusion.read_bytes()
    files = [item.path.parents[2] / WEIGHTS for item in (alone, *both.values())]
    assert len({file.read_bytes() for file in files}) == 1
    assert alone.record.result.warnings != taken.record.result.warnings


def test_the_record_says_whose_weights_were_scored(root: Path, photos: Path, no_training, capsys) -> None:
    """Fails when a reader of the record or the table cannot tell that nothing was trained under this name."""
    assert call("run", photos, root, *VOC) == 0
    printed = capsys.readouterr()
    assert f"note: zegclip voc-15-5 fold 0 seed 0: {LINE}" in printed.err
    assert "weights and scores of pascal-5i fold 3, trained already." in printed.out
    found = stored(root)
    taken, origin = found["voc-15-5"].record, found["pascal-5i"].record
    assert "weights and scores of pascal-5i fold 3, trained already" in taken.result.warnings
    assert taken.provenance == origin.provenance
    card = json.loads((found["voc-15-5"].path.parents[2] / CARD).read_text())
    assert card["spec"] == taken.result.train.digest()
    assert card["remarks"] == ["weights of pascal-5i fold 3, trained already"]


def test_nothing_counts_twice(root: Path, photos: Path) -> None:
    """Fails when shared records are two rows, a conflict, two trainings' hours, or fail `results verify`."""
    assert call("run", photos, root, *VOC) == 0
    found = list(find_stored(root))
    assert list(problems(found)) == []
    records = [item.record for item in found if isinstance(item, Stored)]
    phases = compute_table(records).frame.set_index(["method", "phase"])["phases"]
    assert (phases["zegclip", "training"], phases["zegclip", "scoring"]) == (1, 1)
    mains = [table for table in build_tables(records) if table.name == "main"]
    assert [(len(table.frame), table.frame["seeds"].tolist()) for table in mains] == [(1, [0]), (1, [1])]


def test_weights_alone_are_shared_where_the_scoring_differs(root: Path, photos: Path, no_training, capsys) -> None:
    """Fails when scores of another protocol are taken, or weights are trained anew for it."""
    assert call("run", photos, root, *VOC, "--window", "64", "--stride", "64") == 0
    assert "weights of pascal-5i fold 3, trained already: pascal-5i/zegclip" in capsys.readouterr().err
    assert call("eval", photos, root, *PASCAL, "--window", "64", "--stride", "64") == 0
    items = [i for i in find_stored(root) if isinstance(i, Stored) and i.record.result.evaluation.side.inference.window]
    one, other = (item for item in items if item.record.result.evaluation.side.inference.window == 64)
    assert one.record.result.own == other.record.result.own
    assert len({item.confusion.read_bytes() for item in (one, other)}) == 1


def test_finished_weights_of_the_twin_can_be_scored(root: Path, photos: Path, no_training) -> None:
    """Fails when `eval` says that there are no weights where `run` would take them."""
    assert call("eval", photos, root, *VOC) == 0
    assert set(stored(root)) == {"voc-15-5", "pascal-5i"}


def test_own_weights_stay(root: Path, photos: Path, no_training, capsys) -> None:
    """Fails when the twin's weights or scores get into a folder that has weights of its own, or a command says so."""
    assert call("run", photos, root, *VOC) == 0
    ours = stored(root)["voc-15-5"].path.parents[2]
    card = json.loads((ours / CARD).read_text())
    (ours / CARD).write_text(json.dumps(card | {"weights_sha256": "0" * 64, "sources_sha256": "1" * 64}))
    shutil.rmtree(ours / "evals")
    assert status(asked(photos), root).shared == ""
    capsys.readouterr()
    assert call("run", photos, root, *VOC) == 1
    assert "is not what its card says" in capsys.readouterr().err


def test_a_stale_run_takes_what_its_twin_has_made_since(root: Path, photos: Path, no_training, capsys) -> None:
    """Fails when `--stale` trains twice what was made with older sources under both names."""
    assert call("run", photos, root, *VOC) == 0
    old = stored(root)["voc-15-5"]
    kept = old.record.provenance.model_copy(update={"sources_sha256": "0" * 64})
    old.path.write_text(old.record.model_copy(update={"provenance": kept}).model_dump_json())
    (card,) = root.glob(f"voc-15-5/*/*/{CARD}")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"weights_sha256": "0" * 64}))
    assert status(asked(photos), root).state == "stale"
    assert call("run", photos, root, *VOC, "--stale", "--dry-run") == 0
    assert "nothing to train or to score" in capsys.readouterr().out
    assert call("run", photos, root, *VOC, "--stale") == 0
    assert stored(root)["voc-15-5"].record.provenance == stored(root)["pascal-5i"].record.provenance


def test_force_trains_anew(root: Path, photos: Path, capsys) -> None:
    """Fails when a training that is asked for with --force is taken from elsewhere, or the dry run says so."""
    assert call("run", photos, root, *VOC, "--force", "--dry-run") == 0
    assert "to train: zegclip: 1 run x 2 iterations" in (printed := capsys.readouterr().out)
    assert "trained already" not in printed
    assert call("run", photos, root, *VOC, "--force") == 0
    assert not any("already" in line for line in stored(root)["voc-15-5"].record.result.warnings)


@pytest.mark.parametrize("command", ["run", "eval"])
def test_a_dry_run_counts_no_training_that_is_done(command: str, root: Path, photos: Path, capsys) -> None:
    """Fails when finished weights that are scored another way count as training to be done, in hours too."""
    other = ("--window", "64", "--stride", "64", "--dry-run")
    assert call(command, photos, root, *PASCAL, *other) == 0
    printed = capsys.readouterr().out
    assert "nothing to train: zegclip" in printed
    assert "to train: zegclip: " not in printed
    assert call(command, photos, root, *PASCAL, *other, "--force") == 0
    assert ("to train: zegclip: " in capsys.readouterr().out) == (command == "run")


def _other_photo(root: Path, photos: Path) -> None:
    put(photos / "VOCdevkit/VOC2012", TRAIN[0], palette=True, seed=9)


def _other_sources(root: Path, photos: Path) -> None:
    (card,) = root.glob(f"pascal-5i/*/*/{CARD}")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"sources_sha256": "0" * 64}))


def _unfinished(root: Path, photos: Path) -> None:
    (card,) = root.glob(f"pascal-5i/*/*/{CARD}")
    card.unlink()


def _unknown_data(root: Path, photos: Path) -> None:
    (card,) = root.glob(f"pascal-5i/*/*/{CARD}")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"train_data_sha256": ""}))


def _spoilt(root: Path, photos: Path) -> None:
    (weights,) = root.glob(f"pascal-5i/*/*/{WEIGHTS}")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("change", [_other_photo, _other_sources, _unfinished, _unknown_data, _spoilt])
def test_what_is_not_the_same_is_not_shared(change, root: Path, photos: Path, tmp_path: Path) -> None:
    """Fails when weights of other data or sources, of data that nobody knows, half or spoilt ones are taken."""
    mine = Path(shutil.copytree(photos, tmp_path / "photos"))
    change(root, mine)
    assert call("run", mine, root, *VOC) == 0
    (item,) = (i for i in find_stored(root) if isinstance(i, Stored) and "voc-15-5" in i.path.parts)
    assert not any("already" in line for line in item.record.result.warnings)


def test_a_stale_record_is_not_shared(root: Path, photos: Path, no_training) -> None:
    """Fails when scores whose matrices are spoilt are taken with the weights, which are whole."""
    (matrices,) = root.glob(f"pascal-5i/*/*/evals/*/{CONFUSION}")
    matrices.write_bytes(matrices.read_bytes()[:-1])
    assert call("run", photos, root, *VOC) == 0
    assert "weights of pascal-5i fold 3, trained already" in stored(root)["voc-15-5"].record.result.warnings


def test_a_training_that_was_begun_ends_with_the_weights_taken(root: Path, photos: Path, no_training) -> None:
    """Fails when checkpoints and losses of another training stay beside the weights."""
    folder = asked(photos).folder(root)
    folder.path.mkdir(parents=True)
    for name in ("checkpoint-1.pt", folders.LOG):
        (folder.path / name).write_text("")
    assert call("run", photos, root, *VOC) == 0
    assert not [*folder.path.glob("checkpoint-*"), *folder.path.glob(folders.LOG)]


def test_all_commands_say_the_same(root: Path, photos: Path, capsys, monkeypatch) -> None:
    """Fails when `--dry-run`, `status` and the plan for a cluster disagree on what is taken."""
    monkeypatch.setattr(scheduler, "is_here", lambda: False)
    for words in (("run", "--dry-run"), ("run", "--dry-run", "--cluster", "slurm"), ("status",)):
        assert call(words[0], photos, root, *VOC, *words[1:]) == 0
        printed = capsys.readouterr().out
        assert printed.count(LINE) == 1, words
        assert ("nothing to train or to score" in printed) == (words[0] == "run")
    assert call("run", photos, root, *VOC, "--window", "64", "--stride", "64", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "nothing to train: zegclip\nto score: 2 images in 1 run" in printed
    assert status(asked(photos), root).state == "planned"


def test_both_asked_at_once_are_trained_once(photos: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """Fails when one command trains the same twice, here or on a cluster."""
    trainings: list[int] = []
    train = training.train

    def counted(*positional, **named):
        trainings.append(1)
        return train(*positional, **named)

    monkeypatch.setattr(training, "train", counted)
    jobs = [Job(asked(photos), tmp_path), Job(asked(photos, name="pascal-5i", fold=3), tmp_path)]
    assert in_turn(jobs) == (jobs[:1], jobs[1:])
    monkeypatch.setattr(scheduler, "elements", lambda names: {})
    assert _free(_apart(jobs), tmp_path) == jobs[:1]
    assert "pascal-5i fold 3 is trained under another name first; submit again" in capsys.readouterr().err
    both = ("run", "--benchmarks", "voc-15-5", "pascal-5i", "--methods", "constant", "--limit", "2", "--subset")
    where = ("--data-root", str(photos), "--runs", str(tmp_path), "--cluster", "debug", "--device", "cpu")
    assert harness.main([*both, *where]) == 0
    assert "constant pascal-5i fold 3 seed 0: waits for the same training" in capsys.readouterr().err
    assert len(trainings) == 4  # of 5 runs


def test_where_there_is_no_twin(photos: Path, root: Path) -> None:
    """Fails when a trial of another length, another seed or imported weights are taken for the same."""
    assert shared(asked(photos), root) is not None
    for changes in ({"limit": 1}, {"seeds": (1,)}, {"weights": "0" * 64}, {"setting": "transductive"}):
        assert shared(asked(photos, **changes), root) is None, changes
    assert shared(asked(photos, name="pascal-5i", fold=2), root) is None
    assert (root / asked(photos, name="pascal-5i", fold=3).train.folder / "evals").is_dir()
    assert list(root.glob(f"pascal-5i/*/*/evals/*/{RECORD}"))
