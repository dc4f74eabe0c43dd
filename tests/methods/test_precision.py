"""In what products are computed: said explicitly, and put back."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from methods.check_subject import SEEN, UNSEEN, small_clip, words  # noqa: E402
from methods.precision import float32_products, forward_in  # noqa: E402


def settings() -> tuple[str, bool, bool]:
    """What torch would compute float32 products in: as it says, of CUDA's products, of cuDNN's convolutions."""
    return (
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
    )


@pytest.mark.parametrize("before", ["highest", "high"])
def test_tf32_is_off_unless_asked_for_and_put_back(before: str) -> None:
    """Fails when torch's own default (convolutions take TF32) or a caller's setting decides, or is lost."""
    first = settings()
    torch.set_float32_matmul_precision(before)
    torch.backends.cudnn.allow_tf32 = True
    try:
        with float32_products():
            assert settings() == ("highest", False, False)
        with float32_products(tf32=True):
            assert settings()[1:] == (True, True)
        assert settings() == (before, before == "high", True)
    finally:
        torch.set_float32_matmul_precision(first[0])
        torch.backends.cudnn.allow_tf32 = first[2]


@pytest.mark.parametrize(("precision", "expected"), [("float32", 32), ("tf32", 32), ("bf16", 16)])
def test_a_forward_pass_is_computed_in_what_is_said(precision: str, expected: int) -> None:
    """Fails when bf16 is not bf16, or float32 is computed in bf16 within an outer autocast's absence."""
    a = torch.ones(4, 4)
    with forward_in(precision, torch.device("cpu")):
        assert torch.finfo((a @ a).dtype).bits == expected
        assert settings()[1:] == (precision == "tf32",) * 2


def test_what_is_kept_of_texts_serves_every_precision() -> None:
    """Fails when text prototypes, which are kept in memory and on disk, are computed in what the first caller had."""
    expected = small_clip().text_prototypes(words(SEEN + UNSEEN).texts, ("a {}",))
    with forward_in("bf16", torch.device("cpu")):
        found = small_clip().text_prototypes(words(SEEN + UNSEEN).texts, ("a {}",))
    assert torch.equal(found, expected)


def test_texts_are_computed_without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when text prototypes take TF32 from the first caller: no CPU's product would tell."""
    clip, seen = small_clip(), []
    encode = clip.model.encode_text
    monkeypatch.setattr(clip.model, "encode_text", lambda tokens: (seen.append(settings()), encode(tokens))[1])
    with forward_in("tf32", torch.device("cpu")):
        clip.text_prototypes(words(SEEN).texts, ("a {}",))
    assert set(seen) == {("highest", False, False)}
