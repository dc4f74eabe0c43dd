"""Costs against hand counts."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from benchmarks.training import train  # noqa: E402
from benchmarks.training.costs import forget_peak, gmacs, parameters, peak_memory_mib  # noqa: E402
from methods.method import Images, Method, Vocabulary  # noqa: E402

WORDS = Vocabulary(("a", "b"), (True, False), ("a", "b"), ("{}",))


class Net(Method):
    """A convolution of 4x4 patches into 8 channels, attention over them, a linear layer; texts are cached."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 2, bias=False)
        self.text = nn.Linear(8, 8).requires_grad_(False)
        self.again = self.head  # the same layer under a second name
        self.register_buffer("bank", torch.zeros(100))
        self.cache: torch.Tensor | None = None

    def scores(self, images: Images, vocabulary: Vocabulary) -> torch.Tensor:
        if self.cache is None:
            self.cache = self.text(torch.ones(1000, 8))  # many products, once
        x = self.patches(images.pixels.float())
        b, _, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        tokens, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return self.head(tokens).transpose(1, 2).view(b, 2, h, w)


def test_parameters_count_once() -> None:
    """Fails when a layer under two names counts twice, frozen ones count as trained, or buffers count at all."""
    conv, attention, head = 3 * 16 * 8 + 8, (3 * 64 + 24) + (64 + 8), 16
    assert parameters(Net()) == (conv + attention + head, conv + attention + head + 72)


def test_parameters_of_nothing() -> None:
    """Fails when a method without parameters cannot be counted."""
    assert parameters(Method()) == (0, 0)


@pytest.mark.parametrize("side", [16, 32])
def test_gmacs_by_hand(side: int) -> None:
    """Fails when additions count as well (twice the figure), attention counts as nothing, or cached texts count."""
    tokens = (side // 4) ** 2
    by_hand = (
        tokens * 8 * 3 * 16  # patches
        + 4 * tokens * 8 * 8  # query, key, value, output
        + 2 * tokens * tokens * 8  # products of queries and keys, of weights and values
        + tokens * 8 * 2  # head
    )
    method = Net()
    assert gmacs(method, WORDS, side) == pytest.approx(by_hand / 1e9, rel=1e-12)
    assert gmacs(method, WORDS, side) == pytest.approx(by_hand / 1e9, rel=1e-12)


def test_counting_leaves_no_trace() -> None:
    """Fails when the switch of attention's fast path stays turned, also after an error, or gradients are kept."""

    class Failing(Net):
        def scores(self, images, vocabulary):
            if self.cache is not None:
                raise RuntimeError("second pass")
            return super().scores(images, vocabulary)

    before = torch.backends.mha.get_fastpath_enabled()
    gmacs(Net(), WORDS, 16)
    with pytest.raises(RuntimeError, match="second pass"):
        gmacs(Failing(), WORDS, 16)
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_peak_memory_is_in_mib() -> None:
    """Fails when the figure is in another unit: this process needs more than 50 MiB and less than 50 GiB."""
    first = peak_memory_mib(torch.device("cpu"))
    assert 50 < first < 50 * 1024
    held = torch.ones(64 * 2**20 // 4)
    assert peak_memory_mib(torch.device("cpu")) >= first
    del held


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_peak_memory_on_a_gpu_is_the_allocators() -> None:
    """Fails when a GPU's peak is another than its allocator's, or that of an earlier run."""
    device = torch.device("cuda", 0)
    del_soon = torch.ones(64 << 20, device=device)
    assert peak_memory_mib(device) >= 256
    del del_soon
    forget_peak(device)
    assert peak_memory_mib(device) == torch.cuda.max_memory_allocated(device) / 2**20 < 256


def test_the_rate_leaves_the_warm_up_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when the slow first steps count into images per second, or a step too many or too few after them."""
    now = [0.0]
    monkeypatch.setattr(train.time, "perf_counter", lambda: now[0])
    clock = train._Clock(batch=16)
    for step in range(train.WARMUP_STEPS + 4):
        assert clock.rate() is None or step > train.WARMUP_STEPS
        now[0] += 100.0 if step < train.WARMUP_STEPS else 0.5
        clock.tick()
    assert clock.rate() == pytest.approx(16 / 0.5)
    assert clock.seconds() == pytest.approx(100 * train.WARMUP_STEPS + 2)
