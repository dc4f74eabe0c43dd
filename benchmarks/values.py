"""Values that identify things: frozen, validated, with one canonical JSON form and its sha256.

A field that still has the default it was introduced with is left out of the canonical form, so that a new field does
not rename what was computed before it existed. The other side of that bargain: a default, once released, never changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from splits.errors import UserError

KEY_LENGTH = 8
_DIGEST = "_digest"  # where a value keeps it; no field


def canonical_json(data: Any) -> str:
    """The one JSON text of a plain value: sorted keys, no spaces, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(data: Any) -> str:
    """The sha256 (hex) of a plain value's canonical JSON."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


def derive_seed(*axes: str | int) -> int:
    """A 63-bit seed from named axes, e.g. `derive_seed("init", 3)`: streams for different uses never meet."""
    return int.from_bytes(hashlib.sha256(canonical_json(list(axes)).encode()).digest()[:8], "big") >> 1


class Value(BaseModel):
    """Base of everything that identifies a run."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    def __hash__(self) -> int:  # pydantic's own fails where a field holds a dict
        return hash(self.digest())

    def essence(self) -> dict[str, Any]:
        """The plain form without fields at their introduced default: what the digest is taken of."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def digest(self) -> str:
        """The sha256 (hex) of the canonical form."""
        if _DIGEST not in self.__dict__:  # frozen: once is enough
            self.__dict__[_DIGEST] = digest(self.essence())
        return self.__dict__[_DIGEST]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed, unvalidated; it has a digest of its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop(_DIGEST, None)
        return copied

    @property
    def key(self) -> str:
        """The first letters of the digest, used in folder names."""
        return self.digest()[:KEY_LENGTH]

    @classmethod
    def parse(cls, data: Any, *, source: str) -> Self:
        """Validate plain data; raises UserError with one line that names the source and each wrong field.

        Strictly as JSON: a number in quotes or a truth value is no number.
        """
        try:
            text = json.dumps(data)
        except (TypeError, ValueError, RecursionError) as error:  # a date of TOML, say
            raise UserError(f"{source}: not a valid {cls.__name__}: {error}") from None
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise UserError(f"{source}: not a valid {cls.__name__}: {explain(error)}") from None


def explain(error: ValidationError, shown: int | None = None) -> str:
    """A validation error in one line: `field: what is wrong (got value)`, of all fields or the first few."""
    parts = []
    for item in error.errors()[:shown]:
        names = (str(part) for part in item["loc"])
        where = ".".join(name if name.isprintable() else repr(name) for name in names) or "value"
        got = repr(item.get("input"))
        parts.append(f"{where}: {item['msg']} (got {got if len(got) <= 80 else got[:77] + '...'})")
    return "; ".join(parts)
