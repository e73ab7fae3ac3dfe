"""REST bodies of service accounts."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from control_plane.contract import ABSENT, Body, Name, Patch, Read, example
from control_plane.roles.schemas import Description, Grants, RoleGranted


class ServiceAccountCreate(Body):
    """A new service account. It gets its keys at `api-keys`."""

    model_config = example(name="ci", grants=[{"role": "operator"}])

    name: Name = Field(description="Unique in the organization.")
    description: Description = ""
    grants: Grants = Field(default_factory=list)


class ServiceAccountPatch(Patch):
    """Changes of a service account. `grants` replaces all of its roles."""

    name: Name = ABSENT
    description: Description = ABSENT
    grants: Grants = ABSENT
    disabled: bool = Field(default=ABSENT, description="While true, none of its keys works.")


class ServiceAccountRead(Read):
    """A service account."""

    organization_id: UUID
    name: str
    description: str
    grants: list[RoleGranted]
    disabled_at: datetime | None = Field(description="Since when none of its keys works. Null: they do.")
