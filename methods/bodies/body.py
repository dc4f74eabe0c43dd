"""What a segmentation body is to a method: pixels in, dense features in CLIP's text space out."""

from __future__ import annotations

from torch import Tensor, nn

from methods.bodies.paramwise import Paramwise
from methods.imagenet import IMAGENET_MEAN, IMAGENET_STD


class Body(nn.Module):
    """A trained segmentor whose classifier is replaced by a 1x1 convolution into text space.

    Attributes:
      name: its name in `methods.body_names`.
      stride: pixels per position; `(H, W)` pixels give `(ceil(H / stride), ceil(W / stride))` positions.
      out_channels: width of the text space.
      mean, std: what pixels are normalised by (`Images.normalised`), on the scale 0..255: ImageNet's.
      weights_sha256: of the file the weights came from; None where they were drawn.
    """

    mean = IMAGENET_MEAN
    std = IMAGENET_STD

    def __init__(self, *, name: str, out_channels: int, stride: int, paramwise: Paramwise) -> None:
        super().__init__()
        self.name = name
        self.out_channels = out_channels
        self.stride = stride
        self.paramwise = paramwise
        self.weights_sha256: str | None = None

    def forward(self, pixels: Tensor) -> Tensor:
        """Dense features `(B, out_channels, h, w)`, not normalised, of normalised pixels `(B, 3, H, W)`."""
        raise NotImplementedError

    def parameter_groups(self) -> list[dict]:
        """Groups for the optimiser, every trainable parameter once: `params`, `lr_scale`, and `weight_decay` 0 or none.

        A group without `weight_decay` has the recipe's.
        """
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                groups.setdefault(self.paramwise.of(name), []).append(parameter)
        return [
            {"params": parameters, "lr_scale": scale} | ({} if decays else {"weight_decay": 0.0})
            for (scale, decays), parameters in groups.items()
        ]
