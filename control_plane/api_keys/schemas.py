"""REST bodies of API keys, and of what all keys have in common."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from control_plane.contract import Body, Name, Read, Slug, example
from control_plane.organizations.schemas import IssuedKey, KeyEnd, KeyHint, KeyMaker, KeyRevocation


class ApiKeyCreate(Body):
    """A new API key: with a role of its own (in one project if named), or with those of a service account."""

    model_config = example(name="laptop", role="developer")

    name: Name
    role: Slug | None = Field(default=None, description="Name of a built-in or custom role.", examples=["developer"])
    project_id: UUID | None = Field(default=None, description="Where it has the role. Null: in the whole organization.")
    service_account_id: UUID | None = Field(default=None, description="Whose roles it has, in place of one of its own.")
    expires_at: Annotated[AwareDatetime | None, Field(description="When it stops working. Default: never.")] = None

    @model_validator(mode="after")
    def _one_source_of_roles(self) -> Self:
        if (self.role is None) == (self.service_account_id is None):
            raise ValueError("needs either a role or a service_account_id")
        if self.project_id is not None and self.role is None:
            raise ValueError("project_id narrows a role; a service account has its own projects")
        return self


class ApiKeyRead(Read):
    """An API key, never the key itself. `hint` is its end. `role` is null for one of a service account."""

    organization_id: UUID
    name: str
    hint: KeyHint
    role: str | None = Field(description="Null for one of a service account, whose roles it has.")
    project_id: UUID | None = Field(description="Where it has the role. Null: in the whole organization.")
    service_account_id: UUID | None
    created_by: KeyMaker
    expires_at: KeyEnd
    last_used_at: datetime | None = Field(description="To the minute. Null: not yet.")
    revoked_at: KeyRevocation


class ApiKeyIssued(ApiKeyRead):
    """A new API key. `key` is shown this once."""

    key: IssuedKey
