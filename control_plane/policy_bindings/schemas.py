"""REST bodies of policy bindings."""

from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from control_plane.contract import SOME_ID, Body, Read, example
from control_plane.policies.schemas import PolicyName


class Scope(StrEnum):
    """What a policy is bound to."""

    ORGANIZATION = "organization"
    PROJECT = "project"
    ENVIRONMENT = "environment"
    AGENT = "agent"


class PolicyBindingCreate(Body):
    """Let a policy decide over everything in one place, whatever the agents there name themselves.

    `scope` says what kind of place, and the id of that kind says which; for the organization there is none to give.
    """

    model_config = example(policy="no_destructive_tools", scope="project", project_id=SOME_ID)

    policy: PolicyName = Field(description="The name of a policy, own or bundled.")
    scope: Scope
    project_id: UUID | None = Field(default=None, description="With the scope `project` only.")
    environment_id: UUID | None = Field(default=None, description="With the scope `environment` only.")
    agent_id: UUID | None = Field(default=None, description="With the scope `agent` only.")

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        given = [
            name
            for name, value in (
                ("project_id", self.project_id),
                ("environment_id", self.environment_id),
                ("agent_id", self.agent_id),
            )
            if value is not None
        ]
        wanted = [] if self.scope is Scope.ORGANIZATION else [f"{self.scope}_id"]
        if given != wanted:
            raise ValueError(
                f"the scope {self.scope} goes with {' and '.join(wanted) or 'no id'}, not with"
                f" {' and '.join(given) or 'no id'}"
            )
        return self


class PolicyBindingRead(Read):
    """Where a policy applies. `project_id` is also told for an environment and an agent, which are in one.

    `policy_id` is null for a policy that comes with the product.
    """

    organization_id: UUID
    policy: str = Field(description="Its name.")
    policy_id: UUID | None
    scope: Scope
    project_id: UUID | None
    environment_id: UUID | None
    agent_id: UUID | None
