"""What every method's config is: a frozen pydantic model with documented fields."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Setting = Literal["inductive", "transductive", "transductive-known-extent", "fully-supervised"]


class MethodConfig(BaseModel):
    """Settings of a method that can change its result. Each field says what it is and whose choice its default is."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
