"""Config of ProxyCLIP. Defaults are those of its released code (mc-lan/ProxyCLIP at e7b767f) but for the body."""

from typing import Literal, Self

from pydantic import Field, model_validator

from methods.config import MethodConfig


class ProxyClipConfig(MethodConfig):
    """Whose likeness replaces CLIP's last attention, and how sharp it is; the same for all data sets."""

    # released: DINO ViT-B/8, which recipes for photos set. "clip" is ours: CLIP's own last but one block, for CLIPs of
    # pictures that no DINO knows.
    body: Literal["clip", "dino-b8", "dino-b16", "dino-s8", "dino-s16"] = "clip"
    body_weights: str = "none"  # of a DINO: a file, a URL or "published"
    threshold: float = Field(default=1.2, ge=0)  # released: beta, times the mean likeness is what attention starts at
    sharpness: float = Field(default=3.0, gt=0)  # released: gamma
    pad_to: int = Field(default=56, ge=1)  # released: windows are padded to multiples, which patches of 8 and 14 divide

    @model_validator(mode="after")
    def _weights_of_a_body(self) -> Self:
        if (self.body == "clip") != (self.body_weights == "none"):
            raise ValueError(
                f"body {self.body!r} does not go with body_weights {self.body_weights!r}: CLIP has its "
                "own, a DINO needs a file, a URL or 'published'"
            )
        return self
