"""Values that identify things: frozen, validated, with one canonical JSON form and its sha256.

A field that still has the default it was introduced with is left out of the canonical form, so that a new field does
not rename what was computed before it existed. The other side of that bargain: a default, once released, never changes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from splits.errors import UserError
from splits.near import suggestion

KEY_LENGTH = 8
MANY: Final = 3  # unknown fields that are answered one by one
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
        """A copy with some fields changed, unvalidated; what a value keeps of itself (its digest) is found anew."""
        copied = super().model_copy(update=update, deep=deep)
        for kept in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[kept]
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
            words = explain(error, fields=tuple(cls.model_fields))
            raise UserError(f"{source}: not a valid {cls.__name__}: {words}") from None


def formed(pattern: str, words: str) -> Any:
    """Of a field: its text must be of this form in full, which `words` tell a person."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"expected {words}")
        return value

    return AfterValidator(check)


def explain(error: ValidationError, shown: int | None = None, fields: Sequence[str] = ()) -> str:
    """A validation error in one line: `field: what is wrong (got value)`, of all fields or the first few.

    fields: the names that there are, to tell what an unknown one was meant to be.
    """
    parts, strange = [], [str(item["loc"][0]) for item in error.errors() if fields and _is_strange(item)]
    if len(strange) > MANY:  # of a file of another kind
        parts.append(f"there are no fields {', '.join(strange[:MANY])}, ...; expected {', '.join(fields)}")
    for item in error.errors()[:shown]:
        names = [str(part) for part in item["loc"]]
        where = ".".join(name if name.isprintable() else repr(name) for name in names)
        if fields and _is_strange(item):
            one = f"{where}: there is no such field; {suggestion(names[0], fields)}"
            parts += [one] if len(strange) <= MANY else []
        elif not where:  # the whole value, which the message speaks of
            parts.append(_expected(item))
        else:
            got = "" if item["type"] == "missing" else f" (got {_short(item.get('input'))})"
            parts.append(f"{where}: {_expected(item)}{got}")
    return "; ".join(parts)


def _is_strange(item: Mapping[str, Any]) -> bool:
    return item["type"] == "extra_forbidden" and len(item["loc"]) == 1


_WORDS: Final = {  # by pydantic's types of errors
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected text",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected a table of names and values",
    "model_type": "expected a table of names and values",
    "greater_than": "expected a number above {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected a number below {lt}",
    "less_than_equal": "expected at most {le}",
    "string_pattern_mismatch": "expected text of the form {pattern}",
    "literal_error": "expected {expected}",
    "value_error": "{error}",
}


def _expected(item: Mapping[str, Any]) -> str:
    """What one error of a field says, in the words of this project where it has some."""
    words = _WORDS.get(item["type"])
    return words.format(**item.get("ctx", {})) if words else item["msg"].replace("Input should", "it should", 1)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
