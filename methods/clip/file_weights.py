"""The tensors of a file into a CLIP that is built: open_clip's own conversions, and one line where they do not fit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from open_clip.convert import convert_state_dict  # type: ignore[import-untyped]
from open_clip.model import (  # type: ignore[import-untyped]
    convert_to_custom_text_state_dict,
    resize_pos_embed,
    resize_text_pos_embed,
)
from torch import Tensor

from methods.clip.known_files import Known, known, openai_archives
from methods.downloads import first_line
from methods.weight_file import precision_words, read_tensors, refuse_not_finite, unprefixed
from methods.weight_fit import misfit

ARCHIVE_ONLY = ("input_resolution", "context_length", "vocab_size")  # of OpenAI's archives, no weights
COUNTER = "text.transformer.embeddings.position_ids"  # of older text towers, no weights
IMAGE, TEXT, CUSTOM_TEXT = "visual.positional_embedding", "positional_embedding", "text.positional_embedding"
SCALARS = ("logit_scale", "logit_bias")  # of shape () or (1,)


def load_weights(network: Any, path: Path, model: str, sha256: str, *, original: bool = False) -> tuple[str, ...]:
    """Load a file into an open_clip model; half precision is cast by the copy. Returns what to know of it.

    original: the file is the model, no copy of weights that were published in more digits.

    Raises ValueError, one line, where tensors are missing, unknown, misshapen or not finite.
    """
    published = known(sha256)
    state = _archived(path) if sha256 in openai_archives() else unprefixed(read_tensors(path))
    words = "" if published or original else precision_words(state)
    remarks = [f"CLIP {model} is {words}"] if words else []
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    refuse_not_finite(state, path)
    try:
        state = _as_open_clip_has_it(network, state)
        sizes = {name: len(state[name]) for name in (IMAGE, TEXT, CUSTOM_TEXT) if name in state}
        resize_pos_embed(state, network)
        resize_text_pos_embed(state, network)
    except (RuntimeError, ValueError, AttributeError, AssertionError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{path} does not hold the weights of {model}: {first_line(error)}") from None
    if wrong := misfit(network.state_dict(), state):
        raise ValueError(
            f"{path} does not hold the weights of {model}: of its {len(state)} tensors {wrong.words()}"
            f"{_instead(state, published)}"
        )
    network.load_state_dict(state)
    return (
        *remarks,
        *(_resized(model, name, size, len(state[name])) for name, size in sizes.items() if size != len(state[name])),
    )


def _archived(path: Path) -> dict[str, Tensor]:
    """The tensors of a TorchScript archive of OpenAI."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, OpenAI's files stay as they are
        state = torch.jit.load(path, map_location="cpu").state_dict()
    return {name: value for name, value in state.items() if name not in ARCHIVE_ONLY}


def _as_open_clip_has_it(network: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names and shapes of other writers of the same tensors, by open_clip's own rules (`open_clip.load_checkpoint`)."""
    state = dict(convert_state_dict(network, state))
    if TEXT in state and not hasattr(network, TEXT):
        state = convert_to_custom_text_state_dict(state)
    ours = network.state_dict()
    for name in SCALARS:
        if name in state and name in ours:
            state[name] = state[name].reshape(ours[name].shape)
    if "logit_bias" in ours and "logit_bias" not in state:
        state["logit_bias"] = torch.zeros_like(ours["logit_bias"])
    if COUNTER not in ours:
        state.pop(COUNTER, None)
    return state


def _resized(model: str, name: str, before: int, after: int) -> str:
    """What was done to a table of positions."""
    if name != IMAGE:
        return f"CLIP {model}: the positions of its text were resized from {before} to {after}"
    sides = [round((size - 1) ** 0.5) for size in (before, after)]
    return (
        f"CLIP {model}: its image positions were resized from {sides[0]} x {sides[0]} to {sides[1]} x {sides[1]}, as "
        "the model has them (name the model of the file's image size to keep them)"
    )


def _instead(state: dict[str, Tensor], published: Known | None) -> str:
    """What the file is likely, where something tells."""
    if published:
        return f"; by its sha256 it is {published.models[0]}/{published.tag}"
    if any(name.startswith(("vision_model.", "text_model.")) for name in state):
        return "; it has the names of transformers' CLIP: give open_clip's file of the same model"
    return "; it is likely another model's, or a part of one"
