"""Scoring in bf16: the forward pass alone, for every method, and never without a word."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from benchmarks.protocol import Inference  # noqa: E402
from benchmarks.scoring import evaluate as module  # noqa: E402
from benchmarks.scoring.evaluate import best_classes, evaluate  # noqa: E402
from benchmarks.scoring.planes import views  # noqa: E402
from methods.check_subject import SEEN, UNSEEN, words  # noqa: E402
from methods.registry import METHODS  # noqa: E402
from results.launch.run.doctor.agreement import subject  # noqa: E402
from tests.benchmarks.scoring.readers import Blocks  # noqa: E402

WORDS = words(SEEN + UNSEEN)
WINDOWS = Inference(short_side=32, window=32, stride=20)
# Of scores of unit vectors' products and logits: what a rounding to 8 bits in every layer may leave. A wrong operation
# leaves more than the spread of the scores itself.
SHARE = 0.2


@pytest.mark.parametrize("name", METHODS)
def test_every_method_scores_in_bf16(name: str) -> None:
    """Fails when a method raises under autocast, gives scores of half precision, or loses more than rounding."""
    method, image = subject(name).build().eval(), Blocks(1).read(0).image
    with torch.inference_mode():
        full = views(method, image, WORDS, WINDOWS).grids[0]
        half = views(method, image, WORDS, WINDOWS, precision="bf16").grids[0]
    assert half.dtype == torch.float32
    spread = float((full - full.mean()).norm())
    assert float((half - full).norm()) <= SHARE * max(spread, 1e-6)


def test_the_precision_reaches_the_forward_pass() -> None:
    """Fails when the option is accepted and ignored: by an evaluation, or by a single picture."""
    method, image = subject("zegclip").build().eval(), Blocks(1).read(0).image
    with torch.inference_mode():
        full, half = (
            best_classes(method, image, WORDS, WINDOWS, (40, 56), precision=p)[0][0] for p in ("float32", "bf16")
        )
    assert not torch.equal(full, half)
    asked = []
    plain = module.best_classes

    def noted(*arguments):
        asked.append(arguments[-1])
        return plain(*arguments)

    table = np.full(256, 252, dtype=np.uint8)
    table[:5] = range(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "best_classes", noted)
        evaluate(method, Blocks(2, (0, 1, 2, 3, 4)), WORDS, WINDOWS, table, precision="bf16")
    assert asked == ["bf16", "bf16"]
