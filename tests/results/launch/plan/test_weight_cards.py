"""Which JSON beside a file of weights is its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.plan.weight_cards import card_of, origin_of
from splits.errors import UserError
from splits.hashing import file_sha256


def test_a_card_is_of_these_weights(tmp_path: Path) -> None:
    """Fails when another program's JSON is taken for a card, or the card of other weights says what these have seen."""
    weights, card = tmp_path / "model.safetensors", tmp_path / "model.json"
    weights.write_bytes(b"tensors")
    sha256 = file_sha256(weights)
    for log in ({"lr": 0.1}, [{"lr": 0.1}]):
        card.write_text(json.dumps(log))
        assert card_of(weights) is origin_of(weights, sha256) is None
    spec = plan(Request(methods=("constant",), benchmarks=("shapes-5i",), folds=(0,)))[0].train
    told = {"weights_sha256": hashlib.sha256(b"tensors").hexdigest(), "train": spec.model_dump(mode="json")}
    card.write_text(json.dumps(told))
    assert (card_of(weights), origin_of(weights, sha256)) == (card, spec)
    weights.write_bytes(b"others")
    with pytest.raises(UserError, match=r"model\.json: is the card of other weights"):
        origin_of(weights, file_sha256(weights))
