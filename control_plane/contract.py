"""What all REST bodies have in common."""

import math
from datetime import datetime
from typing import Annotated, Any, NoReturn, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
)
from pydantic.json_schema import SkipJsonSchema

from control_plane.validation import described, unusable


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

MaxWorkers = Annotated[
    int | None,
    Field(ge=0, le=1_000_000, description="Most workers that may be online at once; who comes then is refused."),
]
"""A limit on the workers of a place. None: as many as come."""


class Body(BaseModel):
    """What a caller sends. A field we don't know is refused rather than dropped."""

    model_config = ConfigDict(extra="forbid")


def example(**values: JsonValue) -> ConfigDict:
    """The configuration of a body that the API's description shows in these words."""
    return ConfigDict(json_schema_extra={"examples": [values]})


SOME_ID = "0b0f6f0e-7b52-4d0c-9f0e-3c2b7d1a9e55"
"""An id in an example, to be replaced by one of the reader's own."""


def _refused(_: object) -> NoReturn:
    raise ValueError("never changes, since other things are named by it or belong to it. Create a new one instead")


Fixed = SkipJsonSchema[Annotated[None, BeforeValidator(_refused)]]
"""A field of a `Patch` that is refused with the reason, rather than as unknown. Write `slug: Fixed = None`."""


ABSENT: Any = None
"""The default of a field that may be left out of a `Patch` and, unless its type says so, may not be null."""


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class Patch(Body):
    """Changes to merge into a resource (RFC 7396): what is absent stays as it is. Every field defaults to `ABSENT`."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    def changes(self) -> dict[str, Any]:
        """What was sent, by the names of the row's attributes."""
        return self.model_dump(exclude_unset=True)


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


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: object, *, location: str) -> Model:
    """`values`, which were put together from a request and something stored, as a `model`. Raises `Invalid`.

    A field that the model doesn't know is refused at every depth; `location` is where in the request they came from.
    """
    try:
        return model.model_validate(values, extra="forbid")
    except ValidationError as error:
        problem = unusable(described(error.errors(), model=model, inside=location.split(".")))
    raise problem
