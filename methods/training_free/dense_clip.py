"""CLIP without training: each position is the class whose text is nearest to its dense token.

The floor every learned method must beat; with the value read-out it is MaskCLIP (Zhou et al. 2022, arXiv 2112.01071)
without its key smoothing and prompt denoising.
"""

from __future__ import annotations

from torch import Tensor

from methods.clip import Clip, Readout
from methods.interpolations import Interpolation
from methods.method import Images, Method, Vocabulary
from methods.precision import wide_product
from methods.training_free.dense_clip_config import ClipConfig
from methods.training_free.scale import SCALE


class TrainingFree(Method):
    """Scores are 100 times the cosine of dense token and text prototype; no seen class is treated differently."""

    seen_shift = 0.0
    shift_span = 20.0  # a fifth of the whole range of a cosine

    def __init__(self, *, clip: Clip) -> None:
        super().__init__()
        self.clip = clip

    def dense(self, images: Images) -> Tensor:
        """`(B, d, h, w)` dense tokens in text space, of unit norm; no gradient."""
        raise NotImplementedError

    def losses(self, images: Images, labels: Tensor, *, progress: float) -> dict[str, Tensor]:
        """Nothing to learn."""
        return {}

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """`(B, C, h, w)` on the patch grid, in [-100, 100]."""
        dense = self.dense(images)
        text = self.clip.text_prototypes(vocabulary.texts, vocabulary.templates).to(dense)
        return SCALE * wide_product(text, dense.flatten(2)).unflatten(2, dense.shape[-2:])


class DenseClip(TrainingFree):
    """CLIP's tokens as they are, or by the value path of the last block."""

    def __init__(self, *, clip: Clip, readout: Readout, positions: Interpolation = "bilinear") -> None:
        super().__init__(clip=clip)
        clip.tower()  # refuses a tower without dense tokens now rather than at the first picture
        self.readout = readout
        self.positions = positions

    def dense(self, images: Images) -> Tensor:
        """`(B, d, h, w)` of unit norm."""
        return self.clip.tokens(images, readout=self.readout, positions=self.positions).normalised().dense


def build(*, clip: Clip, vocabulary: Vocabulary, config: ClipConfig) -> DenseClip:
    """The training-free read-out; the training vocabulary does not matter to it."""
    return DenseClip(clip=clip, readout=config.readout, positions=config.positions)
