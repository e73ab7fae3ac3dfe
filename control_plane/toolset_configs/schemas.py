"""REST bodies of toolset configurations."""

import json
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from control_plane.contract import ABSENT, SOME_ID, Body, Fixed, Json, Patch, Read, Text, example
from control_plane.secrets.schemas import SecretName

MOST_SETTINGS_BYTES = 65_536
"""As JSON. They are part of the plan of every execution."""

ToolsetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
"""Lower-case letters, digits and `_`; at most 31."""


def _bounded(settings: dict[str, Json]) -> dict[str, Json]:
    if len(json.dumps(settings, ensure_ascii=False).encode()) > MOST_SETTINGS_BYTES:
        raise ValueError(f"must take at most {MOST_SETTINGS_BYTES} bytes as JSON")
    return settings


Settings = Annotated[
    dict[Text, Json],
    AfterValidator(_bounded),
    Field(
        description="Checked against what the toolset declares, here if this server has it and by each worker before an"
        " execution begins. Everybody who may read configurations sees them, so passwords belong into secrets.",
        examples=[{"read_only": True}],
    ),
]
Secrets = Annotated[
    dict[SecretName, SecretName],
    Field(
        max_length=100,
        description="The name that the toolset asks by → the name of a secret that it is given. A name that it declares"
        " and that isn't here is given the secret of the same name.",
        examples=[{"github_token": "github_token_of_staging"}],
    ),
]
Enabled = Annotated[bool, Field(description="False: no execution that needs the toolset is accepted there.")]


class ToolsetConfigCreate(Body):
    """What a toolset may do in an environment, in a project, or with neither of both in the whole organization.

    The narrowest counts, alone: what a wider one says isn't merged into it.
    """

    model_config = example(toolset="files", environment_id=SOME_ID, settings={"read_only": True})

    toolset: ToolsetName = Field(description="The name of its plugin.")
    project_id: UUID | None = Field(default=None, description="For every environment of this project.")
    environment_id: UUID | None = Field(default=None, description="For this environment.")
    settings: Settings = Field(default={})
    secrets: Secrets = Field(default={})
    enabled: Enabled = True

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        if self.project_id is not None and self.environment_id is not None:
            raise ValueError("name an environment or a project, not both: an environment is in one already")
        return self


class ToolsetConfigUpdate(Patch):
    """Changes to a configuration. `settings` and `secrets` are replaced as a whole."""

    model_config = example(settings={"read_only": True})

    toolset: Fixed = None
    project_id: Fixed = None
    environment_id: Fixed = None
    settings: Settings = ABSENT
    secrets: Secrets = ABSENT
    enabled: Enabled = ABSENT


class ToolsetConfigRead(Read):
    """A configuration. `project_id` is also told for an environment, which is in one."""

    organization_id: UUID
    toolset: str
    project_id: UUID | None
    environment_id: UUID | None
    settings: dict[str, Json]
    secrets: dict[str, str]
    enabled: bool
    note: str | None = Field(description="What couldn't be checked here, if anything; null if all is well.")
