"""REST bodies of policies."""

from uuid import UUID

from pydantic import Field

from control_plane.contract import Body, Read, Text


class PolicyCreate(Body):
    """A new policy: one Rego module that defines `deny` or `require_approval`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")
    description: Text = Field(default="", max_length=2_000)
    module: Text = Field(min_length=1, max_length=200_000, description="Rego v1 source.")


class PolicyRead(Read):
    """A policy in its current version."""

    organization_id: UUID
    name: str
    description: str
    version: int
    module: str
