"""What every method's config is: a frozen pydantic model with documented fields."""

from pydantic import BaseModel, ConfigDict


class MethodConfig(BaseModel):
    """Settings of a method that can change its result. Each field says what it is and whose choice its default is."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
