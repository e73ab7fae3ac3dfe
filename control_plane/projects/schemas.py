"""REST bodies of projects."""

from uuid import UUID

from pydantic import Field

from control_plane.contract import ABSENT, Body, Fixed, Name, Patch, Read, Slug, example


class ProjectCreate(Body):
    """A new project. `slug` is unique in the organization."""

    model_config = example(name="Web shop", slug="shop")

    name: Name
    slug: Slug = Field(description="It never changes.")


class ProjectPatch(Patch):
    """Changes to a project."""

    name: Name = ABSENT
    slug: Fixed = None


class ProjectRead(Read):
    """A project."""

    organization_id: UUID
    name: str
    slug: str
