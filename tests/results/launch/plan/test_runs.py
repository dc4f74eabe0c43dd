"""The plan: what a command asks for, exactly, in order, and without torch."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.catalogue import SHAPES_CLIP, Data
from benchmarks.spec import ClipId
from benchmarks.templates import templates
from methods.registry import METHODS, config_class
from results.launch.plan.request import Request
from results.launch.plan.runs import methods_named, plan
from results.launch.plan.settings import config_of
from results.launch.run.status import status
from splits.errors import UserError

PROJECT = Path(__file__).resolve().parents[4]
CLIP = ClipId(model="ViT-B-16", pretrained="openai")
BUILTIN = ClipId(model="tiny-shapes", pretrained="builtin", sha256="0" * 64)
MODES = ("local", "sync", "fixed")  # of BatchNorm
COMPARED = ("constant", "random", "clip", "zegclip-baseline", "zegclip", "clipteacher", "clip-to-seg", "chimera-seg")
builtin = pytest.mark.skipif(not (SHAPES_CLIP / "weights.json").exists(), reason="the built-in CLIP is not trained yet")


def ask(*methods: str, **changes) -> Request:
    base: dict = {"methods": methods or ("zegclip",), "benchmarks": ("pascal-5i",), "folds": (0,), "clip": CLIP}
    return Request(**(base | changes))


def only(*methods: str, **changes):
    (run,) = plan(ask(*methods, **changes))
    return run


def line(request: Request) -> str:
    """The one line with which a request is refused."""
    with pytest.raises(UserError) as raised:
        plan(request)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# -- which runs


def test_expansion_and_order() -> None:
    """Fails when a run is left out or doubled, or the order is not benchmark, seed, fold, method as asked."""
    request = ask("zegclip", "random", benchmarks=("voc-15-5", "pascal-5i"), folds=None, seeds=(2, 0))
    found = [(r.train.benchmark, r.train.seed, r.train.fold, r.train.method) for r in plan(request)]
    folds = {"voc-15-5": (0,), "pascal-5i": (0, 1, 2, 3)}
    assert found == [
        (name, *rest)
        for name in ("voc-15-5", "pascal-5i")
        for rest in itertools.product((2, 0), folds[name], ("zegclip", "random"))
    ]


def test_both_specs_are_of_one_fold() -> None:
    """Fails when a run is scored on another fold, benchmark or class set than it was trained for."""
    for run in plan(ask("zegclip", folds=None)):
        assert (run.train.benchmark, run.train.fold) == (run.evaluation.benchmark, run.evaluation.fold)
        assert run.train.side.seen == run.evaluation.side.seen
        assert run.train.side.data.ids_sha256 != run.evaluation.side.data.ids_sha256


def test_keys_differ_and_repeat() -> None:
    """Fails when two runs share a folder, a plan is not the same twice, or runs cannot be keys of a dict."""
    request = ask(*METHODS, folds=None, seeds=(0, 1))
    runs = plan(request)
    assert len({run.train.folder for run in runs}) == len(runs) == 4 * 2 * len(METHODS)
    assert plan(request) == runs
    assert len(dict.fromkeys(runs)) == len(runs)


def test_other_templates_are_another_protocol_on_both_sides() -> None:
    """Fails when --templates reaches only training or only scoring, or leaves keys and so stored runs as they are."""
    usual, other = only(), only(templates="multi")
    assert other.train.side.queries.templates == other.evaluation.side.queries.templates == templates("multi")
    assert usual.train.folder != other.train.folder
    assert usual.evaluation.key != other.evaluation.key
    assert only(templates="single") == usual
    assert "there are: shapes, single, multi" in line(ask(templates="many"))


def test_benchmarks_twice_is_once() -> None:
    """Fails when a name given twice starts two jobs over one folder."""
    assert len(plan(ask(benchmarks=("pascal-5i", "pascal-5i")))) == 1


def test_names_of_methods() -> None:
    """Fails when `all` or an ablation group is not what `list` says, or a name given twice runs twice."""
    assert methods_named(["all"]) == COMPARED
    ablations = methods_named(["ablation:zegclip"])
    assert set(ablations) == {name for name, e in METHODS.items() if e.group == "ablation:zegclip"}
    assert "zegclip-without-rd" in ablations
    assert methods_named(["zegclip", "all", "zegclip"]) == ("zegclip", *(m for m in COMPARED if m != "zegclip"))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("zegclipp", "did you mean zegclip "),
        ("ablation:clip", "did you mean ablation:"),
        ("", ""),
        ("ALL", "mean all?"),
    ],
)
def test_unknown_method(name: str, meant: str) -> None:
    """Fails when a typing error is not answered, in one line, with what was meant and where all names stand."""
    with pytest.raises(UserError, match=r"^no method is called .*`list methods` names all$") as caught:
        methods_named([name])
    assert meant in str(caught.value)


def test_unknown_benchmark_fold_part_and_scale() -> None:
    """Fails when something that does not exist is planned."""
    assert line(ask(benchmarks=("voc",))).startswith(
        "no benchmark is called 'voc'; did you mean voc21 or voc20 or voc-15-5? `list"
    )
    assert line(ask(folds=(0, 4))) == "pascal-5i has no fold 4; it has 0, 1, 2, 3"
    assert line(ask(part="tune")) == (
        "pascal-5i has no part 'tune'; it has: val; to tune on, give --benchmarks pascal-5i-tune"
    )
    assert line(ask(benchmarks=("voc-15-5",), folds=None, part="tune")) == "voc-15-5 has no part 'tune'; it has: val"
    assert "no trial scale" in line(ask(benchmarks=("shapes-5i",), scale="trial"))


# -- variants


def test_variants_carry_what_makes_them() -> None:
    """Fails when an ablation is planned as the full method."""
    for name, entry in METHODS.items():
        if not entry.fixed:
            continue
        run = only(name)
        assert config_of(run.train).model_dump() | entry.fixed == config_of(run.train).model_dump()
        if entry.group == "training-free":
            continue
        # the method whose config at its defaults is the whole
        wholes = ("zegclip", "chimera-seg", "cascade-clip", "otseg")
        family = next((m for m in wholes if name.startswith(m)), "clip-to-seg")
        full = config_of(only(family).train)
        assert {field: run.train.config[field] for field in entry.fixed} == entry.fixed
        changed = {f for f, v in config_of(run.train).model_dump().items() if v != full.model_dump()[f]}
        assert changed == set(entry.fixed)


@pytest.mark.parametrize("method", METHODS)
def test_configs_hold_what_differs_and_come_back(method: str) -> None:
    """Fails when a default is written into a key, or a stored config does not give the full one back."""
    for bench, scale in (("pascal-5i", "native"), ("pascal-5i", "trial"), ("shapes-5i", "native")):
        spec = only(method, benchmarks=(bench,), scale=scale).train
        defaults = config_class(method)().model_dump(mode="json")
        assert all(defaults[name] != value for name, value in spec.config.items())
        assert config_of(spec).model_dump(mode="json") == defaults | spec.config


# -- overrides


def test_overrides_reach_their_method_alone() -> None:
    """Fails when a setting goes to another method, or does not change the key."""
    request = ask("zegclip", "zegclip-without-rd", overrides=("zegclip.prompt_tokens=100", "zegclip.seen_shift=0.2"))
    changed, left = plan(request)
    assert changed.train.config == {"prompt_tokens": 100, "seen_shift": 0.2}
    assert left.train == only("zegclip-without-rd").train
    assert changed.train.key != only("zegclip").train.key


def test_override_with_the_default_changes_nothing() -> None:
    """Fails when saying the default aloud makes another run."""
    assert only(overrides=("zegclip.prompt_tokens=10",)).train.key == only().train.key


def test_overrides_of_the_recipe() -> None:
    """Fails when a changed recipe is still called by its old name, or one is made up for what is not trained."""
    run, floor = plan(ask("zegclip", "random", overrides=("recipe.iterations=600", "recipe.betas=[0.8,0.99]")))
    assert (run.train.recipe.iterations, run.train.recipe.betas) == (600, (0.8, 0.99))
    assert run.train.recipe.name == "changed paper"
    assert run.train.recipe.lr == only().train.recipe.lr
    assert floor.train == only("random").train


def test_text_and_none_as_values() -> None:
    """Fails when words or null cannot be given."""
    config = only(overrides=("zegclip.class_embedding=single", "zegclip.focal_alpha=null")).train.config
    assert config == {"class_embedding": "single", "focal_alpha": None}


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("zegclip.prompts=3", "zegclip has no setting 'prompts'; did you mean prompt_tokens"),
        ("zegclip.prompt_tokens=many", "zegclip: prompt_tokens: "),
        ("zegclip.prompt_tokens=1.5", "zegclip: prompt_tokens: "),
        ("zegclip.prompt_tokens=true", "zegclip: prompt_tokens: "),
        ('zegclip.prompt_tokens="7"', "zegclip: prompt_tokens: "),
        ("zegclip.prompt_tokens=", "zegclip: prompt_tokens: "),
        ("zegclip.prompt_tokens=0", "zegclip: prompt_tokens: "),
        ("zegclip.seen_shift=NaN", "zegclip: seen_shift: "),
        ("zegclip.seen_shift=1e999", "zegclip: seen_shift: "),
        ("zegclip.class_embedding=tripled", "zegclip: class_embedding: "),
        ("zegclip.setting=transductive", "use --setting"),
        ("zegclip.prompt_tokens", "expected METHOD.SETTING=VALUE"),
        ("prompt_tokens=3", "expected METHOD.SETTING=VALUE: write zegclip.prompt_tokens=3"),
        ("iterations=3", "expected METHOD.SETTING=VALUE: write recipe.iterations=3"),
        (".x=3", "expected METHOD.SETTING=VALUE"),
        ("clip.readout=plain", "'clip' is none of what is run; did you mean zegclip"),
        ("recipe.speed=3", "recipe has no setting 'speed'"),
        ("recipe.name=paper", "recipe has no setting 'name'"),
        ("recipe.lr=fast", "--set recipe.lr=fast: not a valid Recipe: lr: "),
        ("recipe.lr=0", "--set recipe.lr=0: not a valid Recipe: lr: "),
        ("recipe.iterations=1.5", "iterations: "),
        ("recipe.augmentation.crop=3", "recipe has no setting 'augmentation.crop'"),
        ('recipe.augmentation={"crops": 3}', "augmentation.crops: "),
    ],
)
def test_wrong_overrides_are_one_line(override: str, reason: str) -> None:
    """Fails when an unknown field, a wrong type or a typing error is taken, or reason otherwise than in one line."""
    assert reason in line(ask(overrides=(override,)))


def test_what_makes_a_variant_cannot_be_overridden() -> None:
    """Fails when a run could be stored and tabulated under the name of a variant that it is not."""
    reason = line(ask("zegclip-baseline", overrides=("zegclip-baseline.encoder=prompts",)))
    assert "encoder is what makes it zegclip-baseline" in reason


# -- settings, scales, CLIP, evaluation, limits


def test_setting_is_in_side_and_config() -> None:
    """Fails when a method is built for another setting than the labels it gets."""
    run = only(setting="transductive")
    assert run.train.side.setting == "transductive"
    assert run.train.config["setting"] == "transductive"
    assert run.train.key != only().train.key


def test_scale_defaults() -> None:
    """Fails when the tiny CLIP is shown photos it cannot see, or a real one is tried at its size."""
    assert only().evaluation.side.inference.short_side == 512
    assert only(scale="trial").evaluation.side.inference.short_side == 96
    tiny = only(clip=BUILTIN)
    assert (tiny.evaluation.side.inference.short_side, tiny.train.recipe.name) == (96, "trial")
    assert only(clip=BUILTIN, scale="native").evaluation.side.inference.short_side == 512
    assert only(benchmarks=("shapes-5i",), clip=BUILTIN).train.recipe.name == "shapes"


def test_clip_is_named_where_it_is_used() -> None:
    """Fails when methods without a CLIP are run again for every CLIP, or one with it forgets which."""
    assert only("zegclip").train.clip == CLIP
    assert only("random").train.clip is None
    assert only("random", clip=BUILTIN, scale="native").train.key == only("random").train.key


@builtin
def test_the_built_in_clip_is_the_default() -> None:
    """Fails when no CLIP at all is planned where none is named."""
    found = only("clip", benchmarks=("shapes-5i",), clip=None).train.clip
    assert found is not None
    assert (found.pretrained, len(found.sha256)) == ("builtin", 64)


def test_evaluation_fields_change_only_the_evaluation() -> None:
    """Fails when another way of scoring would train anew, or does not have a key of its own."""
    plain = only()
    changes = (
        ("flips", True),
        ("short_side", 520),
        ("stride", 341),
        ("absent_class", "skip-absent-in-truth"),
    )
    others = [only(inference=(change,)) for change in changes]
    assert {other.train.key for other in others} == {plain.train.key}
    assert len({other.evaluation.key for other in [plain, *others]}) == 5
    assert others[3].evaluation.side.absent_class == "skip-absent-in-truth"


@pytest.mark.parametrize(
    ("bench", "inference"),
    [
        ("shapes-5i", (("window", 32),)),
        ("shapes-5i", (("stride", 32),)),
        ("pascal-5i", (("stride", 600),)),
        ("pascal-5i", (("window", 100),)),
        ("pascal-5i", (("short_side", 0),)),
    ],
)
def test_impossible_evaluations_are_refused_before_training(bench: str, inference: tuple) -> None:
    """Fails when windows that leave gaps, or have no stride, are found out only after a run was trained."""
    assert "the evaluation asked for: not a valid Inference" in line(ask(benchmarks=(bench,), inference=inference))


@pytest.mark.parametrize(
    "choice", [("training_images", "drop"), ("crop_decision", "full"), ("border", "unlabelled")], ids=lambda c: c[0]
)
def test_what_may_be_learned_from_changes_the_training(choice: tuple[str, str]) -> None:
    """Fails when weights of one training side are taken for another's, or a misspelt choice falls to the default."""
    plain, other = only(), only(training=(choice,))
    assert getattr(other.train.side, choice[0]) == choice[1]
    assert other.train.key != plain.train.key
    assert other.evaluation.key == plain.evaluation.key
    assert "the training side" in line(ask(training=((choice[0], "x"),)))


def test_names_of_classes_reach_both_sides() -> None:
    """Fails when a renamed class is asked about under one name and learned under another, or stays as it is."""
    run = only(names="renamed")
    for side in (run.train.side, run.evaluation.side):
        assert side.classes == only().train.side.classes
        assert dict(zip(side.classes, side.queries.texts, strict=True))["pottedplant"] == "potted plant"
    assert "has no renamed classes" in line(ask(benchmarks=("shapes-5i",), names="renamed"))


def test_choices_that_a_benchmark_has_not() -> None:
    """Fails when background is scored where the masks have none, items where none are listed, or another edition."""
    below = (("background", "class"), ("background_below", 0.5))
    assert only(inference=below).evaluation.side.background_below == 0.5
    data = Data(root=str(PROJECT), year="2017")
    assert "have one edition only" in line(ask(data=data))
    items = (("kind", "episodic-binary"),)
    assert only(inference=items).evaluation.side.kind == "episodic-binary"
    assert only(inference=items).train.key == only().train.key
    assert "no episodic lists" in line(ask(benchmarks=("shapes-5i",), inference=items))
    assert "HSNet's Pascal test" in line(ask(inference=(("items", "hsnet-1000"),)))
    assert "--background-below" in line(ask(inference=below[:1]))
    stuff = ask(benchmarks=("context-50-10",), inference=below)
    with pytest.raises(UserError, match="its masks have no background to score"):
        plan(stuff)


def test_limit_is_in_both_keys() -> None:
    """Fails when a trial run could be taken for, or overwrite, a whole one."""
    plain, trial, other = only(), only(limit=3), only(limit=4)
    assert len({run.train.key for run in (plain, trial, other)}) == 3
    assert len({run.evaluation.key for run in (plain, trial, other)}) == 3


def test_seed_and_part_are_in_their_keys() -> None:
    """Fails when seeds share weights, or tune scores are taken for val scores."""
    assert only(seeds=(1,)).train.key != only().train.key
    tune, val = (only("random", benchmarks=("shapes-5i",), part=part) for part in ("tune", "val"))
    assert tune.train.key == val.train.key
    assert tune.evaluation.key != val.evaluation.key


def test_ranks_make_another_run_of_what_is_trained() -> None:
    """Fails when several processes share the key of one, their number renames a recipe, or what trains nothing gets
    another key, or ranks that nothing would come of are let through.
    """
    (alone, clip), (together, same) = (plan(ask("zegclip", "clip", ranks=count)) for count in (1, 4))
    assert "ranks" not in str(alone.train.essence())
    assert alone.train.key != together.train.key
    assert together.train.recipe == alone.train.recipe.model_copy(update={"ranks": 4})
    assert clip == same
    assert "batches of 16" in line(ask(ranks=3))
    assert "nothing is trained" in line(ask("clip", ranks=2))
    assert "nothing is trained" in line(ask(ranks=2, weights="0" * 64))
    assert "use --ranks" in line(ask(overrides=("recipe.ranks=2",)))


def test_batch_norm_is_asked_for_by_name() -> None:
    """Fails when a mode is not in the run's key, or another word is not answered with those there are."""
    configs = [only("clip-to-seg", overrides=(f"clip-to-seg.body_batch_norm={mode}",)).train.config for mode in MODES]
    assert [config.get("body_batch_norm") for config in configs] == [None, "sync", "fixed"]
    assert "expected 'local', 'sync' or 'fixed'" in line(
        ask("clip-to-seg", overrides=("clip-to-seg.body_batch_norm=frozen",))
    )


def test_micro_batches_make_another_run_of_what_is_trained() -> None:
    """Fails when accumulated gradients share the key of whole batches, reach what trains nothing, rename a recipe whose
    batches they are those of, or leave others their names; or when a number of micro-batches is let through that a
    rank's share cannot be cut into.
    """
    (whole, clip), (cut, same) = (plan(ask("zegclip", "clip", accumulate=count)) for count in (1, 4))
    assert "accumulate" not in str(whole.train.essence())
    assert whole.train.key != cut.train.key
    assert cut.train.recipe == whole.train.recipe.model_copy(update={"accumulate": 4})
    assert (whole.train.recipe.micro_batch, cut.train.recipe.micro_batch) == (16, 4)
    assert only(ranks=2, accumulate=4).train.recipe.micro_batch == 2
    assert only("zegclip-baseline", accumulate=2).train.recipe.name == "zegclip's"
    assert only("clip-to-seg", accumulate=2).train.recipe.name == "changed reading"
    assert only("zegclip", accumulate=2, setting="transductive").train.recipe.name == "changed paper"
    assert only("clip-to-seg", accumulate=2, overrides=("recipe.lr=0.1",)).train.recipe.name == "changed reading"
    assert clip == same
    assert "batches of 16, which cannot be cut" in line(ask(accumulate=3))
    assert "8 images on each of 2 ranks" in line(ask(ranks=2, accumulate=16))
    assert "batches of 6" in line(ask(accumulate=4, overrides=("recipe.batch=6",)))
    assert "nothing is trained" in line(ask("clip", accumulate=2))
    assert "use --accumulate" in line(ask(overrides=("recipe.accumulate=2",)))


def test_status_of_nothing(tmp_path: Path) -> None:
    """Fails when a run that nobody started is anything but planned, or looking leaves a trace."""
    assert status(only(), tmp_path).state == "planned"
    assert list(tmp_path.iterdir()) == []


# -- no torch


def without_torch(script: str, tmp_path: Path) -> None:
    """Run a script in a fresh process; it must not have imported torch (or what imports it)."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n{script}\nheavy = {{'torch', 'open_clip', 'mmseg', 'mmcv'}} & set(sys.modules)\n"
            "assert not heavy, heavy",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_planning_needs_no_torch(tmp_path: Path) -> None:
    """Fails when planning every method on every benchmark, or asking for its sources' digest, loads torch."""
    script = """
from benchmarks.catalogue import BENCHMARKS
from benchmarks.spec import ClipId
from methods.registry import METHODS
from results.launch.plan.runs import plan
from results.launch.run.status import status
from results.launch.plan.request import Request
from results.store.provenance import sources_sha256
from pathlib import Path
known = tuple(name for name, b in BENCHMARKS.items() if b.split.train_list or not b.photos)
assert len(known) >= 4
runs = plan(Request(tuple(METHODS), known, clip=ClipId(model="ViT-B-16", pretrained="openai")))
assert runs and all(status(run, Path("runs")).state == "planned" for run in runs[:20])
assert len({sources_sha256(name) for name in METHODS}) > 1
"""
    without_torch(script, tmp_path)


REFERENCE = PROJECT / "results" / "reference"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["list"],
        ["list", "methods"],
        ["data", "prepare", "pascal-5i"],
        ["data", "verify", "shapes-5i"],
        ["status", "--methods", "random", "--benchmarks", "shapes-5i", "--runs", "here"],
        ["run", "--methods", "random", "--benchmarks", "shapes-5i", "--runs", "here", "--dry-run", "--device", "cpu"],
        ["tables", "--from", "here"],
        pytest.param(
            ["tables", "--from", str(REFERENCE)],
            marks=pytest.mark.skipif(not REFERENCE.is_dir(), reason="no reference records are stored"),
        ),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_commands_that_need_no_torch(arguments: list[str], tmp_path: Path) -> None:
    """Fails when looking at help, lists, states or tables takes the seconds that loading torch takes."""
    script = f"import harness\ntry:\n    harness.main({arguments!r})\nexcept SystemExit:\n    pass\n"
    without_torch(script, tmp_path)


def test_sources_are_those_that_python_would_import() -> None:
    """Fails when a method's digest leaves out a file of its own, found here by Python's import system instead."""
    from importlib.util import find_spec

    from results.store.provenance import _source_of

    for module in (
        "methods.zegclip",
        "methods.zegclip.zegclip",
        "methods.clip.model",
        "methods.training_free.floors",
        "methods.nothing",
    ):
        spec = find_spec(module)
        assert _source_of(module) == (Path(spec.origin) if spec and spec.origin else None)
    assert _source_of("torch.nn") is None
    assert _source_of("methods.method.Method") is None
