"""REST bodies of environments."""

import shlex
from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from control_plane import install_command
from control_plane.contract import ABSENT, SOME_ID, Body, Fixed, MaxWorkers, Name, Patch, Read, Slug, Text, example
from control_plane.organizations.schemas import IssuedKey, KeyEnd, KeyHint, KeyMaker, KeyRevocation


class LlmOverride(Body):
    """The model that answers for every agent of an environment, whatever the agent asks for."""

    provider: Text = Field(
        min_length=1, max_length=100, description="By LiteLLM's name, or `scripted`.", examples=["scripted"]
    )
    model: Text = Field(min_length=1, max_length=200, description="As the provider calls it.", examples=["assistant"])


class EnvironmentCreate(Body):
    """A new environment. `slug` is unique in the organization, since it is part of the work pool's name."""

    model_config = example(name="Staging", slug="staging", project_id=SOME_ID)

    name: Name
    slug: Slug = Field(description="It ends the name of the work pool, and never changes.")
    project_id: UUID = Field(description="The project that it stays in.")
    llm_override: LlmOverride | None = Field(default=None, description="Null: each agent's own model answers.")
    max_workers: MaxWorkers = None


class LlmOverridePatch(Patch):
    """Changes to an override; without one yet, all of it."""

    provider: Text = Field(
        default=ABSENT, min_length=1, max_length=100, description="By LiteLLM's name, or `scripted`."
    )
    model: Text = Field(default=ABSENT, min_length=1, max_length=200, description="As the provider calls it.")


class EnvironmentPatch(Patch):
    """Changes to an environment. `llm_override` is merged too; null removes it."""

    name: Name = ABSENT
    llm_override: LlmOverridePatch | None = Field(default=ABSENT, description="Null: each agent's own model answers.")
    max_workers: MaxWorkers = ABSENT
    slug: Fixed = None
    project_id: Fixed = None


class EnvironmentRead(Read):
    """An environment. `provisioning` until its work pool exists, then `ready`."""

    organization_id: UUID
    project_id: UUID
    name: str
    slug: str
    work_pool: str = Field(description="Its name in the orchestrator, for `prefect worker start --pool`.")
    llm_override: LlmOverride | None = Field(description="Null: each agent's own model answers.")
    max_workers: MaxWorkers
    status: Literal["provisioning", "ready"]


class WorkerCommand(Body):
    """What to paste on the machine that should work for this environment. All values are strings.

    `line` is `command` with its `environment` before it.
    """

    install: str = Field(description="Once on the machine.")
    environment: dict[str, str] = Field(description="Variables to set; the key is left for you to fill in.")
    command: str = Field(description="What starts the worker.")
    line: str

    @classmethod
    def of(cls, work_pool: str, *, url: str) -> Self:
        """The command for one work pool of the control plane at `url`."""
        environment = {
            "CONTROL_PLANE_URL": url,
            "CONTROL_PLANE_API_KEY": "<worker key of this environment>",
            "PREFECT_PLUGINS_ENABLED": "1",  # else Prefect asks no plugin, so nothing joins
        }
        command = f"prefect worker start --pool {work_pool}"
        settings = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
        return cls(
            install=install_command("worker"),
            environment=environment,
            command=command,
            line=" ".join([*settings, command]),
        )


class WorkerKeyRead(Read):
    """A worker key, never the key itself. `hint` is its end."""

    organization_id: UUID
    environment_id: UUID
    name: str
    hint: KeyHint
    created_by: KeyMaker
    expires_at: KeyEnd
    last_used_at: datetime | None = Field(description="To the minute. Null: not yet.")
    revoked_at: KeyRevocation


class WorkerKeyIssued(WorkerKeyRead):
    """A new worker key. `key` is shown this once."""

    key: IssuedKey
