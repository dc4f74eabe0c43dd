"""The interface: batches, vocabularies, what a checkpoint of a method holds; and the registry."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from methods.method import Images, Method, Vocabulary
from methods.registry import METHODS, build_method, config_class, entry


def test_vocabulary_refuses_what_cannot_be_asked():
    """Fails if a wrong vocabulary is only noticed as a shape error much later."""
    with pytest.raises(ValueError, match="as many names"):
        Vocabulary(("a",), (True, True), ("a",), ("{}",))
    with pytest.raises(ValueError, match="as many names"):
        Vocabulary((), (), (), ("{}",))
    with pytest.raises(ValueError, match="differ"):
        Vocabulary(("a", "a"), (True, True), ("a", "b"), ("{}",))
    with pytest.raises(ValueError, match="template"):
        Vocabulary(("a",), (True,), ("a",), ("a photo",))
    with pytest.raises(ValueError, match="template"):
        Vocabulary(("a",), (True,), ("a",), ())


def test_images_are_normalised_before_padding_is_zeroed():
    """Fails if padding becomes -mean/std, which a network sees as a dark frame."""
    images = Images(torch.full((2, 3, 4, 6), 10, dtype=torch.uint8), torch.tensor([[4, 6], [2, 3]]))
    out = images.normalised((4.0, 5.0, 6.0), (2.0, 1.0, 0.5))
    assert out[0, :, 3, 5].tolist() == [3.0, 5.0, 8.0]
    assert out[1, :, 1, 2].tolist() == [3.0, 5.0, 8.0]
    assert not out[1, :, 2:].any()
    assert not out[1, :, :, 3:].any()
    assert images.valid().sum((1, 2)).tolist() == [24, 6]


class Known(nn.Module):
    known_by_hash = True

    def __init__(self):
        super().__init__()
        self.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
        self.register_buffer("table", torch.zeros(2))


class Some(Method):
    def __init__(self):
        super().__init__()
        self.known = Known()
        self.again = self.known  # one module under two names
        self.layer = nn.Linear(2, 1)
        self.layer.bias.requires_grad_(False)
        self.register_buffer("bank", torch.zeros(3))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)


def test_trained_state_holds_what_training_changed():
    """Fails if frozen weights are stored again, or a bank of a method is lost."""
    assert Some().trained_state().keys() == {"layer.weight", "bank"}


def test_load_trained_state_names_every_difference():
    """Fails if a wrong file loads in part, or its error names only the first difference."""
    method = Some()
    before = method.bank.clone()
    wrong = {"bank": torch.ones(3), "layer.weight": torch.ones(5), "other": torch.ones(1)}
    with pytest.raises(ValueError, match=r"1 unknown \(other\).*layer.weight \(5,\) instead of \(1, 2\)"):
        method.load_trained_state(wrong)
    with pytest.raises(ValueError, match=r"1 missing \(layer.weight\)"):
        method.load_trained_state({"bank": torch.ones(3)})
    with pytest.raises(ValueError, match=r"layer\.weight int8 instead of float32"):
        method.load_trained_state({"bank": torch.ones(3), "layer.weight": torch.ones(1, 2, dtype=torch.int8)})
    assert torch.equal(method.bank, before)


def test_weights_of_any_form_load_under_our_names(tmp_path):
    """Fails if a run's tensors that somebody saved again are refused, or their rounding is not said."""
    state = {"bank": torch.arange(3.0), "layer.weight": torch.tensor([[0.5, 1.0]])}
    for prefix, dtype in (("", torch.float32), ("module.model.", torch.float16)):
        content = {prefix + name: value.to(dtype) for name, value in state.items()}
        torch.save({"model_state_dict": content, "epoch": 3}, tmp_path / "w.ckpt")
        method = Some()
        remarks = method.import_weights(tmp_path / "w.ckpt")
        assert all(torch.equal(value, state[name]) for name, value in method.trained_state().items())
        assert bool(remarks) == (dtype == torch.float16)


def test_default_activation_shifts_seen_classes_alone():
    """Fails if the shift is added, or reaches unseen classes."""
    method = Method()
    scores = torch.zeros(1, 2, 1, 1)
    assert method.activate(scores, torch.tensor([True, False])) is scores
    method.seen_shift = 0.25
    assert method.activate(scores, torch.tensor([True, False])).flatten().tolist() == [-0.25, 0]


def test_unknown_methods_are_named_with_those_that_exist():
    """Fails if a typo is a KeyError."""
    with pytest.raises(ValueError, match=r"no method is called 'zegklip'; did you mean zegclip"):
        entry("zegklip")


@pytest.mark.parametrize("name", METHODS)
def test_every_entry_builds(name, make_clip, vocabulary, pictures):
    """Fails if a line of the registry names something that does not exist or switches that do not."""
    config = config_class(name)(**METHODS[name].fixed)
    free = "decoder_heads" in type(config).model_fields and config_class(name)().decoder_heads != 1
    config = config.model_copy(update={"decoder_heads": 2} if free else {})
    clip = None if METHODS[name].needs == "nothing" else make_clip(vision={"layers": 4})
    method = build_method(name, clip=clip, vocabulary=vocabulary(2), config=config)
    method.eval()
    assert method.scores(pictures(1, 32, 32), vocabulary(3)).shape[:2] == (1, 3)
    assert config_class(name).model_validate_json(config.model_dump_json()) == config
    groups = {f"ablation:{method}" for method, e in METHODS.items() if e.group in ("comparison", "rivals")}
    assert METHODS[name].group in {"comparison", "training-free", "rivals", *groups}


def test_planning_imports_no_torch():
    """Fails if listing methods or reading their configs loads torch, which costs seconds."""
    code = (
        "import sys; from methods.registry import METHODS, config_class; [config_class(n)() for n in METHODS]; "
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parent.parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_configs_refuse_unknown_fields_and_wrong_types():
    """Fails if a misspelt override is silently ignored."""
    with pytest.raises(ValueError, match="prompt_token"):
        config_class("zegclip")(prompt_token=3)
    with pytest.raises(ValueError, match="encoder"):
        config_class("zegclip")(encoder="frosen")
