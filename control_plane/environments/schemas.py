"""REST bodies of environments."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from control_plane.contract import Body, Name, Read, Slug, Text


class LlmOverride(Body):
    """The model that answers for every agent of an environment, whatever the agent asks for."""

    provider: Text = Field(min_length=1, max_length=100, examples=["scripted"])
    model: Text = Field(min_length=1, max_length=200, examples=["assistant"])


class EnvironmentCreate(Body):
    """A new environment. `slug` is unique in the organization, since it is part of the work pool's name."""

    name: Name
    slug: Slug
    project_id: UUID
    llm_override: LlmOverride | None = None


class EnvironmentRead(Read):
    """An environment. `provisioning` until its work pool exists, then `ready`."""

    organization_id: UUID
    project_id: UUID
    name: str
    slug: str
    work_pool: str
    llm_override: LlmOverride | None
    status: Literal["provisioning", "ready"]


class WorkerCommand(Body):
    """What to paste on the machine that should work for this environment. All values are strings."""

    install: str
    environment: dict[str, str]
    command: str
