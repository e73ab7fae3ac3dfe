"""REST bodies of policies."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from control_plane.contract import ABSENT, Body, Fixed, Json, Patch, Read, Text, example
from control_plane.wire.decisions import Outcome

PolicyName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
"""The name of a policy: lower-case letters, digits and underscores."""

_MODULE = """package no_production

import rego.v1

deny contains "nothing runs in production" if input.environment.name == "production"
"""

Description = Annotated[Text, Field(max_length=2_000, description="What it is for, in words for people.")]
Version = Annotated[int, Field(description="Counts from 1, one up with each new module.")]
Module = Annotated[Text, Field(min_length=1, max_length=200_000, description="Rego v1 source.")]


class PolicyCreate(Body):
    """A new policy: one Rego module that defines `deny` or `require_approval`."""

    model_config = example(name="no_production", module=_MODULE)

    name: PolicyName
    description: Description = ""
    module: Module


class PolicyUpdate(Patch):
    """Changes of a policy. Another `module` makes a new version; the name stays, since agents refer to it."""

    name: Fixed = None
    description: Description = ABSENT
    module: Module = ABSENT


class PolicyRead(Read):
    """A policy in its current version."""

    organization_id: UUID
    name: str
    description: str
    version: Version
    module: str = Field(description="Rego v1 source.")


class PolicyVersionRead(BaseModel):
    """One version of a policy, as it was and stays."""

    model_config = ConfigDict(from_attributes=True)

    policy_id: UUID
    version: Version
    module: str = Field(description="Rego v1 source.")
    created_at: datetime


class BundledPolicyRead(BaseModel):
    """A policy that comes with the product. Agents and bindings name it like one of the organization's own."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    version: Version
    module: str = Field(description="Rego v1 source.")


class ModuleCheck(Body):
    """A Rego module to check without storing it."""

    model_config = example(module=_MODULE)

    module: Module


class ModuleError(BaseModel):
    """What is wrong with a module. Lines and columns count from 1."""

    line: int
    column: int
    message: str


class ValidationRead(BaseModel):
    """Whether a module can be used, and if not why."""

    valid: bool
    errors: list[ModuleError] = Field(description="None if it is valid.")


class GivenModule(Body):
    """A module that isn't stored, under the name by which the reasons tell it."""

    name: PolicyName
    module: Module


class Evaluation(Body):
    """A dry run: what would these policies decide together? `policies` are names, own or bundled."""

    model_config = example(modules=[{"name": "no_production", "module": _MODULE}])

    policies: list[PolicyName] = Field(default=[], max_length=50, description="Names of policies that are stored.")
    modules: list[GivenModule] = Field(default=[], max_length=20, description="Modules that decide beside them.")
    input: dict[Text, Json] = Field(
        default={},
        description="The input document. A member that is left out is taken from the documented example.",
        examples=[{"tool": {"name": "files_delete", "toolset": "files", "effect": "destroy", "idempotent": False}}],
    )

    @model_validator(mode="after")
    def _something_to_ask(self) -> Self:
        if not self.policies and not self.modules:
            raise ValueError("needs at least one policy in `policies`, or a module in `modules`")
        return self


class EvaluationReason(BaseModel):
    """One rule that spoke. `version` is 0 for a module that isn't stored."""

    model_config = ConfigDict(from_attributes=True)

    policy: str
    version: int
    rule: str = Field(
        description="`deny`, `require_approval`, the rule's own name, or `engine` if none could be asked."
    )
    reason: str = Field(description="In the policy's words, or why it could not be asked.")


class EvaluationRead(BaseModel):
    """The joint answer, and the reasons for it. `duration_ms` is the time the engine took."""

    model_config = ConfigDict(from_attributes=True)

    outcome: Outcome = Field(description="Any deny denies, else any request for approval waits, else it is allowed.")
    reasons: list[EvaluationReason]
    duration_ms: float
