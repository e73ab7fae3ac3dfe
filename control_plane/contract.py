"""What all REST bodies have in common."""

import math
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, StringConstraints


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain lone surrogates") from None
    return value


Text = Annotated[str, AfterValidator(_storable)]
"""Text that PostgreSQL can store."""


def _storable_json(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        _storable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must not contain numbers that JSON doesn't have")
    elif isinstance(value, list):
        for item in value:
            _storable_json(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _storable(key)
            _storable_json(item)
    return value


Json = Annotated[JsonValue, AfterValidator(_storable_json)]
"""A JSON value that PostgreSQL can store."""


def _trimmed(value: str) -> str:
    if value != value.strip():
        raise ValueError("must not begin or end with white space")
    return value


Name = Annotated[Text, StringConstraints(min_length=1, max_length=200), AfterValidator(_trimmed)]
"""A name for people."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""A name for machines: lower-case letters, digits and hyphens, at most 40."""


class Body(BaseModel):
    """What a caller sends. A field we don't know is refused rather than dropped."""

    model_config = ConfigDict(extra="forbid")


class Read(BaseModel):
    """What a caller gets. Computed fields are never null."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, *rows: object, **computed: object) -> Self:
        """Made from the attributes of `rows` (an earlier row wins) and from what was computed."""
        values = dict(computed)
        for name in cls.model_fields:
            for row in rows:
                if name not in values and hasattr(row, name):
                    values[name] = getattr(row, name)
        return cls.model_validate(values)
