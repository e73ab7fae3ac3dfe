"""REST bodies of secrets. No answer has a value."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from control_plane.contract import Body, Read, example

MOST_BYTES = 65_536


def _bounded(value: SecretStr) -> SecretStr:
    try:
        size = len(value.get_secret_value().encode())
    except UnicodeEncodeError:
        raise ValueError("must not contain lone surrogates") from None
    if not 0 < size <= MOST_BYTES:
        raise ValueError(f"must have 1 to {MOST_BYTES} bytes of UTF-8")
    return value


SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
"""Letters, digits, `_`, `.` and `-`; at most 100."""

Value = Annotated[
    SecretStr,
    AfterValidator(_bounded),
    Field(description=f"1 to {MOST_BYTES} bytes of UTF-8. It is never shown again.", examples=["a-token"]),
]


class SecretCreate(Body):
    """A new secret. With an `environment_id`, executions of that environment get it and no others."""

    model_config = example(name="openweather", value="a-token")

    name: SecretName = Field(description="By which toolsets ask for it.")
    value: Value
    environment_id: UUID | None = Field(default=None, description="Null: for every environment of the organization.")


class SecretReplace(Body):
    """A new value for a secret."""

    model_config = example(value="another-token")

    value: Value


class SecretRead(Read):
    """A secret without its value. `version` counts the values it has had."""

    organization_id: UUID
    name: str
    environment_id: UUID | None = Field(description="The only environment that gets it. Null: all do.")
    version: int
