"""Checkpoints: whole and this run's, or refused in one line; never a silent start from zero."""

import hashlib
import io
import os
import pickle
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from benchmarks.training.checkpoint import SCHEMA, BadCheckpoint, Checkpoints  # noqa: E402
from splits.errors import UserError  # noqa: E402


def store(folder: Path, spec: str = "abc") -> Checkpoints:
    return Checkpoints(folder, spec, lambda path, content: path.write_bytes(content) and None)


def state(step: int) -> dict:
    generator = torch.Generator().manual_seed(step)
    return {
        "trained": {"w": torch.randn(3, 5, generator=generator, dtype=torch.float64)},
        "curve": [(step, {"a": 0.1})],
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def two(tmp_path: Path) -> Checkpoints:
    """A run with checkpoints of steps 10 and 20."""
    kept = store(tmp_path)
    for step in (10, 20):
        kept.save(step, state(step))
    return kept


def test_comes_back_bit_for_bit(two: Checkpoints) -> None:
    """Fails when a tensor, its type, or a float of the curve is changed by storing."""
    found, problems = two.latest()
    assert problems == []
    assert found is not None
    assert found["step"] == 20
    assert torch.equal(found["trained"]["w"], state(20)["trained"]["w"])
    assert found["trained"]["w"].dtype == torch.float64
    assert found["curve"][0][1] == {"a": 0.1}


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    """Fails when checkpoints pile up, or the wrong ones go (10 sorts before 9 as text)."""
    kept = store(tmp_path)
    for step in (8, 9, 10, 100):
        kept.save(step, state(step))
    assert names(tmp_path) == ["checkpoint-10.pt", "checkpoint-100.pt"]
    assert kept.latest()[0]["step"] == 100
    kept.clear()
    assert names(tmp_path) == []
    assert kept.latest() == (None, [])


def test_nothing_there(tmp_path: Path) -> None:
    """Fails when a fresh run needs its folder to be there already."""
    assert store(tmp_path / "not yet").latest() == (None, [])


def test_other_files_are_left_alone(two: Checkpoints) -> None:
    """Fails when a draft of an interrupted write or a foreign file is read or deleted."""
    for name in (".checkpoint-30.pt.x.tmp", "checkpoint-last.pt", "checkpoint-.pt", "model.safetensors"):
        (two.folder / name).write_bytes(b"?")
    assert two.latest()[0]["step"] == 20
    two.save(30, state(30))
    assert len(names(two.folder)) == 4 + 2


def damage(folder: Path, step: int, change) -> None:
    path = folder / f"checkpoint-{step}.pt"
    path.write_bytes(change(path.read_bytes()))


def sealed(payload: bytes) -> bytes:
    """A file whose checksum is right, whatever is in it."""
    return hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


DAMAGES = {
    "empty": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "one byte more": lambda content: content + b"\0",
    "zeros": lambda content: bytes(len(content)),
    "without its checksum": lambda content: content.split(b"\n", 1)[1],
    "checksum in capitals": lambda content: content[:64].upper() + content[64:],
    "sealed junk": lambda content: sealed(b"junk"),
    "sealed nothing": lambda content: sealed(b""),
    "a list": lambda content: sealed(saved([1, 2])),
    "another schema": lambda content: sealed(saved({"schema": SCHEMA + 1, "spec": "abc", "step": 20})),
    "no schema": lambda content: sealed(saved({"spec": "abc", "step": 20})),
    "another spec": lambda content: sealed(saved({"schema": SCHEMA, "spec": "abd", "step": 20})),
    "no step": lambda content: sealed(saved({"schema": SCHEMA, "spec": "abc"})),
    "another step": lambda content: sealed(saved({"schema": SCHEMA, "spec": "abc", "step": 30})),
    "a step in words": lambda content: sealed(saved({"schema": SCHEMA, "spec": "abc", "step": "20"})),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_the_previous_one_is_used(two: Checkpoints, kind: str) -> None:
    """Fails when a damaged or foreign newest checkpoint is gone on from, or costs the whole run."""
    damage(two.folder, 20, DAMAGES[kind])
    found, problems = two.latest()
    assert found is not None
    assert found["step"] == 10
    assert torch.equal(found["trained"]["w"], state(10)["trained"]["w"])
    assert len(problems) == 1
    assert problems[0].startswith("checkpoint-20.pt ")
    assert "\n" not in problems[0]


def test_all_bad_is_one_clear_error(two: Checkpoints) -> None:
    """Fails when nothing can be trusted and the run silently starts from zero, or the message is not one line."""
    damage(two.folder, 20, DAMAGES["cut in half"])
    damage(two.folder, 10, DAMAGES["another spec"])
    with pytest.raises(BadCheckpoint) as raised:
        two.latest()
    message = str(raised.value)
    assert isinstance(raised.value, UserError)
    assert "\n" not in message
    for part in ("checkpoint-20.pt is damaged", "checkpoint-10.pt belongs to another spec", "--force"):
        assert part in message


def test_a_distrusted_checkpoint_does_not_displace_good_ones(two: Checkpoints) -> None:
    """Fails when a broken file of a later step counts as one of the last two and the good ones are deleted for it."""
    damage(two.folder, 20, DAMAGES["zeros"])
    for step in (11, 12, 13):
        two.save(step, state(step))
    assert names(two.folder) == ["checkpoint-12.pt", "checkpoint-13.pt"]
    found, problems = two.latest()
    assert found is not None
    assert (found["step"], problems) == (13, [])


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    store(folder).save(20, state(20))
    return (folder / "checkpoint-20.pt").read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_found(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Fails when a single flipped bit anywhere goes unnoticed."""
    position, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    content = bytearray(whole)
    content[position] ^= 1 << bit
    (tmp_path / "checkpoint-20.pt").write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"checkpoint-20\.pt is damaged"):
        store(tmp_path).latest()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_cut_is_found(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Fails when a file that ends early goes unnoticed."""
    (tmp_path / "checkpoint-20.pt").write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(BadCheckpoint, match="damaged"):
        store(tmp_path).latest()


class Trap:
    """Makes a folder when unpickled without care."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("how", ["torch.save", "pickle"])
def test_malicious_content_does_nothing(two: Checkpoints, how: str) -> None:
    """Fails when loading runs code that somebody put into a checkpoint with a right checksum."""
    target = two.folder / "trapped"
    content = {"schema": SCHEMA, "spec": "abc", "step": 20, "trained": Trap(str(target))}
    payload = saved(content) if how == "torch.save" else pickle.dumps(content, protocol=2)
    damage(two.folder, 20, lambda _: sealed(payload))
    found, problems = two.latest()
    assert not target.exists()
    assert found is not None
    assert found["step"] == 10
    assert "cannot be loaded" in problems[0]
    # the trap is a real one
    pickle.loads(pickle.dumps(Trap(str(target))))
    assert target.exists()


def test_a_refused_write_deletes_nothing(two: Checkpoints) -> None:
    """Fails when losing the folder, or a full disk, costs the checkpoints that are there."""

    def refuse(path: Path, content: bytes) -> None:
        raise OSError("disk is full")

    with pytest.raises(OSError, match="full"):
        Checkpoints(two.folder, "abc", refuse).save(30, state(30))
    assert names(two.folder) == ["checkpoint-10.pt", "checkpoint-20.pt"]


def test_a_copied_folder_of_another_run(two: Checkpoints, tmp_path_factory) -> None:
    """Fails when a folder copied from another run is gone on from."""
    other = tmp_path_factory.mktemp("other") / "run"
    shutil.copytree(two.folder, other)
    with pytest.raises(BadCheckpoint, match="belongs to another spec"):
        store(other, spec="xyz").latest()


def test_who_lost_the_folder_deletes_nothing_of_the_next_owner(two: Checkpoints) -> None:
    """Fails when an owner that slept after its write deletes what was saved since by whoever took over."""

    def write_and_sleep(path: Path, content: bytes) -> None:
        path.write_bytes(content)
        for step in (40, 50):  # the next owner goes on from 30
            two.save(step, state(step))

    Checkpoints(two.folder, "abc", write_and_sleep).save(30, state(30))
    assert {"checkpoint-40.pt", "checkpoint-50.pt"} <= set(names(two.folder))
