"""Weights as people have them: every form of a file gives the same tensors, or a line that calls it what it is."""

import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from methods.weight_endings import ENDINGS, has_weight_ending
from methods.weight_file import precision_words, read_tensors, refuse_not_finite, unprefixed

STATE = {"decoder.weight": torch.arange(6.0).reshape(2, 3), "decoder.bias": torch.tensor([-1.0, 0.5])}
META = {
    "score": np.float64(0.5),
    "loss": np.float32(0.25),
    "best": np.bool_(True),
    "iter": np.int64(20000),
    "name": np.str_("VOC"),
    "curve": np.arange(3.0),
    "classes": np.array(["cat", "dog"]),
    "time": "2022-11-05",
}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@settings(deadline=None, max_examples=40)
@given(
    wrappers=st.lists(st.sampled_from(["state_dict", "model_state_dict", "model"]), max_size=3),
    prefixes=st.lists(st.sampled_from(["module.", "model.", "_orig_mod."]), max_size=3),
    ending=st.sampled_from([*ENDINGS, *map(str.upper, ENDINGS)]),
    zipped=st.booleans(),
)
def test_forms_of_one_checkpoint_give_the_same_tensors(tmp_path_factory, wrappers, prefixes, ending, zipped):
    """Fails if a wrapper, a prefix, an ending, or numpy's values beside the tensors keep a file from loading."""
    path = tmp_path_factory.mktemp("w") / f"epoch_3{ending}"
    content = {"".join(prefixes) + name: value for name, value in STATE.items()}
    if "safetensors" in ending.lower():
        save_file(content, path)
    else:
        for name in wrappers:
            content = {name: content, "meta": META, "loss": torch.ones(()), "optimizer": {"step": torch.ones(1)}}
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert has_weight_ending(path)
    assert equal(unprefixed(read_tensors(path)), STATE)


def test_values_of_a_numpy_before_2(tmp_path):
    """Fails if the name that numpy 1 wrote for its scalars (`numpy.core`) is another class than today's."""
    path = tmp_path / "w.pth"
    torch.save({"state_dict": STATE, "meta": META}, path, _use_new_zipfile_serialization=False)
    old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in old
    path.write_bytes(old)
    assert equal(read_tensors(path), STATE)


def test_a_prefix_that_some_names_lack_stays():
    """Fails if part of the names is cut, so that two tensors could become one."""
    state = {"module.a": torch.zeros(1), "a": torch.ones(1)}
    assert equal(unprefixed(state), state)


class History:
    """As a training library keeps its logs."""


class Harmful:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("value", "name"), [(History(), r"[\w.]*History"), (Harmful(), r"[\w.]*print")])
def test_other_classes_are_named_and_not_made(tmp_path, capsys, value, name, zipped):
    """Fails if code of a file is run, or its refusal does not name the class and the way to save tensors alone."""
    path = tmp_path / "w.pth"
    torch.save({"state_dict": STATE, "hub": value}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=rf"holds objects of ({name}) beside.*torch\.save\(.*'state_dict'\]") as error:
        read_tensors(path)
    assert "code ran" not in capsys.readouterr().out
    assert not {"\n", "\x1b"} & set(str(error.value))


def test_arrays_of_python_objects_are_not_made(tmp_path):
    """Fails if more of numpy than numbers and strings is admitted."""
    torch.save({"state_dict": STATE, "meta": np.array([{}], dtype=object)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"objects of numpy\.ndarray of Python objects"):
        read_tensors(tmp_path / "w.pth")


def saved(path, **options):
    torch.save(STATE, path, **options)
    return path.read_bytes()


def zipped(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return path.read_bytes()


def test_files_that_are_no_weights_are_called_what_they_are(tmp_path):
    """Fails if a download's page, a pointer or part of a file ends in a library's words."""
    whole, plain = saved(tmp_path / "a"), saved(tmp_path / "b", _use_new_zipfile_serialization=False)
    save_file(STATE, tmp_path / "c")
    tensors = (tmp_path / "c").read_bytes()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 598641023\n"
    for content, words in (
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><head>", "is an HTML page"),
        (b"<html lang='en'>", "is an HTML page"),
        (pointer, r"is a Git-LFS pointer.*git lfs pull"),
        (b'{"message": "Not Found"}', "is a text that begins with"),
        (whole[:-200], "is cut off after"),
        (whole[: len(whole) // 2], "is cut off after"),
        (plain[: len(plain) // 2], "cannot be read as weights"),
        (tensors[:-4], r"is cut off: \d+ of \d+ bytes"),
        (tensors[:40], "is cut off"),
        (b"junk" + bytes(range(256)), "cannot be read as weights"),
        (b"\x1f\x8b" + bytes(40), "compressed by gzip"),
        (bytes(257) + b"ustar" + bytes(300), "tar archive"),
        (zipped(tmp_path / "d", w_pth="x"), r"is a zip of w\.pth; unpack it"),
    ):
        path = tmp_path / "w.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=words) as error:
            read_tensors(path)
        assert str(path) in str(error.value)
        assert len(str(error.value).splitlines()) == 1
        assert len(str(error.value)) < 400
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        read_tensors(tmp_path / "none.pth")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, torch.ones(2)])
def test_files_without_named_tensors(tmp_path, content):
    """Fails if a file of something else ends in an AttributeError."""
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="holds no tensors by name"):
        read_tensors(tmp_path / "w.pt")


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "Inf"), (-float("inf"), "Inf")])
def test_not_finite_values_are_refused_by_name(value, word):
    """Fails if weights of a training that broke down are scored."""
    with pytest.raises(ValueError, match=rf"{word} in 1 of 2 values of the tensor 'b'"):
        refuse_not_finite({"a": torch.ones(1), "b": torch.tensor([1.0, value]), "c": torch.ones(1, dtype=int)}, "f")
    refuse_not_finite(STATE, "f")


def test_precision_in_words():
    """Fails if a rounding is kept quiet, or float32 beside it hides it."""
    half = {"a": torch.ones(1), "b": torch.ones(1, dtype=torch.float16), "c": torch.ones(1, dtype=torch.bfloat16)}
    assert precision_words(half) == (
        "stored in bfloat16, rounded to 8 significant bits and stored in float16, rounded to 11 significant bits"
    )
    assert precision_words(STATE) == ""
