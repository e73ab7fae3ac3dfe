"""REST bodies of roles and of their grants."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from control_plane.auth.permissions import Permission
from control_plane.contract import ABSENT, Body, Patch, Read, Slug, Text, example

Description = Annotated[Text, Field(max_length=2_000, description="What it is for, in words for people.")]
Permissions = Annotated[
    list[Permission], Field(min_length=1, max_length=len(Permission), description="What its holders may do.")
]


class RoleGranted(Body):
    """A role by its name, in one project or, without, in the whole organization."""

    role: Slug = Field(description="Name of a built-in or custom role.", examples=["developer"])
    project_id: UUID | None = Field(default=None, description="Null: in the whole organization.")


Grants = Annotated[list[RoleGranted], Field(max_length=100, description="Roles, each in one place.")]


class RoleCreate(Body):
    """A new role. It may hold only permissions that you have yourself."""

    model_config = example(name="on-call", permissions=["executions:read", "executions:cancel"])

    name: Slug = Field(description="By which it is granted.")
    description: Description = ""
    permissions: Permissions


class RolePatch(Patch):
    """Changes of a role."""

    name: Slug = ABSENT
    description: Description = ABSENT
    permissions: Permissions = ABSENT


class RoleRead(Read):
    """A custom role. `permissions` are sorted."""

    organization_id: UUID
    name: str
    description: str
    permissions: list[str]


class BuiltInRoleRead(BaseModel):
    """A role that every organization has."""

    name: str
    description: str
    permissions: list[Permission] = Field(description="What it gives in the whole organization.")
    in_projects: list[Permission] = Field(description="What it gives when it is granted on one project.")
