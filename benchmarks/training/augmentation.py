"""What happens to a training sample, as values that identify a run; `transforms` applies them. No torch, no Pillow."""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from benchmarks.values import Value, derive_seed


class Augmentation(Value):
    """What happens to a training sample. The default is nothing at all: the picture as it is."""

    resize: tuple[PositiveInt, PositiveInt] | None = None
    """Long and short side of the box a picture is fitted into, before the ratio."""
    resize_ratio: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    """The box is scaled by a factor drawn from this range."""
    crop: int | None = Field(default=None, ge=1)
    """Side of the square crop; smaller pictures are padded to it."""
    cat_max_ratio: float = Field(default=0.75, gt=0, le=1)
    """Ten tries for a crop in which no class has more than this."""
    flip: float = Field(default=0.0, ge=0, le=1)
    """Probability of exchanging left and right."""
    photometric: bool = False
    """Brightness, contrast, saturation, hue."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.resize_ratio[0] > self.resize_ratio[1]:
            raise ValueError(f"resize_ratio {list(self.resize_ratio)}: expected the lower end first")
        return self


PHOTOS: Final = Augmentation(resize=(2048, 512), crop=512, flip=0.5, photometric=True)  # ZegCLIP's, and its followers'


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """The seed of one sample's augmentation in one epoch of a run."""
    return derive_seed("augment", seed, epoch, index)
