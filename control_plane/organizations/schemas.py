"""REST bodies of organizations and their API keys."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from control_plane.contract import Body, Name, Read

OrganizationSlug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{1,29}$")]
"""Letters and digits only: without hyphens, `env-<organization>-<environment>` can be read in one way only."""


class OrganizationCreate(Body):
    """A new tenant."""

    name: Name
    slug: OrganizationSlug


class OrganizationRead(Read):
    """A tenant."""

    name: str
    slug: str


class KeyCreate(Body):
    """A new API key or worker key."""

    name: Name
    expires_at: Annotated[AwareDatetime | None, Field(description="When it stops working. Default: never.")] = None


class KeyIssued(Read):
    """A new key. `key` is shown this once."""

    organization_id: UUID
    name: str
    hint: str
    expires_at: datetime | None
    key: str
