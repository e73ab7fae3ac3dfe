"""REST bodies of organizations, and of keys."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from control_plane.contract import ABSENT, Body, Fixed, Name, Patch, Read, example

OrganizationSlug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{1,29}$")]
"""Letters and digits only: without hyphens, `env-<organization>-<environment>` can be read in one way only."""

KeyHint = Annotated[str, Field(description="Its last characters, by which people tell two apart.")]
KeyMaker = Annotated[str, Field(description="Kind and name of who made it.", examples=["api_key:laptop"])]
KeyEnd = Annotated[datetime | None, Field(description="When it stops working. Null: never.")]
KeyRevocation = Annotated[datetime | None, Field(description="Since when it is refused. Null: nobody has revoked it.")]
IssuedKey = Annotated[str, Field(description="The key itself: keep it, it is in no other answer.")]


class OrganizationCreate(Body):
    """A new tenant."""

    model_config = example(name="Acme", slug="acme")

    name: Name
    slug: OrganizationSlug = Field(description="Begins the names of its work pools, and never changes.")


class OrganizationPatch(Patch):
    """Changes to a tenant."""

    name: Name = ABSENT
    slug: Fixed = None


class OrganizationRead(Read):
    """A tenant."""

    name: str
    slug: str


class KeyCreate(Body):
    """A new key whose rights are given by where it is made."""

    model_config = example(name="build machine")

    name: Name = Field(description="For people, who will find it in lists and in the audit log.")
    expires_at: Annotated[AwareDatetime | None, Field(description="When it stops working. Default: never.")] = None


class KeyRotation(Body):
    """How long the old key works on next to the new one."""

    overlap_seconds: int = Field(default=0, ge=0, le=2_592_000, description="At most 30 days.")
