"""Which JSON beside a file of weights is its card."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from results.launch.plan.request import Request
from results.launch.plan.runs import plan
from results.launch.plan.weight_cards import card_of, origin_of, refused_by_kind
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


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when the system's words and number of the error are passed on."""
    (tmp_path / "weights.pt").write_bytes(b"tensors")

    def refuse(path: object, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UserError, match=r"^--weights: .*weights\.pt: you may not read it$"):
        refused_by_kind(tmp_path / "weights.pt", "--weights")


@pytest.mark.parametrize("checksums", [True, False])
def test_a_part_that_changed_in_an_archive_is_refused(tmp_path: Path, checksums: bool) -> None:
    """Fails when weights with a flipped bit, which torch reads without a look, become numbers; or when a whole file is
    refused because its writer left the checksums out.
    """
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pt"
    kept = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(checksums)
    try:
        torch.save({"a": torch.zeros(100)}, path)
    finally:
        torch.serialization.set_crc32_options(kept)
    refused_by_kind(path, "--weights")
    with zipfile.ZipFile(path) as archive:
        (part,) = (one for one in archive.infolist() if one.filename.endswith("data/0"))
    content = bytearray(path.read_bytes())
    content[part.header_offset + 200] ^= 1
    path.write_bytes(content)
    assert torch.load(path)["a"].any()
    if checksums:
        with pytest.raises(UserError, match=r"is damaged in weights/data/0"):
            refused_by_kind(path, "--weights")
