"""REST bodies of projects."""

from uuid import UUID

from control_plane.contract import Body, Name, Read, Slug


class ProjectCreate(Body):
    """A new project. `slug` is unique in the organization."""

    name: Name
    slug: Slug


class ProjectRead(Read):
    """A project."""

    organization_id: UUID
    name: str
    slug: str
