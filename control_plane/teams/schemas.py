"""REST bodies of teams."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from control_plane.agents.schemas import Description, VersionRead
from control_plane.contract import ABSENT, SOME_ID, Body, Fixed, Name, Patch, Read, Text, example

Instructions = Annotated[
    Text, Field(max_length=20_000, description="For the leader, besides its own: how to work with the members.")
]
Leader = Annotated[UUID, Field(description="The agent that an execution of the team runs, of the same environment.")]
MaxDelegations = Annotated[
    int, Field(ge=1, le=1_000, description="How often the leader may ask a member in one execution.")
]


class TeamMemberBody(Body):
    """An agent of the same project, in any of its environments, and what it is there for."""

    agent_id: UUID
    role: Text = Field(default="", max_length=2_000, description="What the leader may ask it for.")


def _each_once(members: list[TeamMemberBody]) -> list[TeamMemberBody]:
    ids = [member.agent_id for member in members]
    if twice := sorted({str(one) for one in ids if ids.count(one) > 1}):
        raise ValueError(f"must name each agent once, but {', '.join(twice)} comes again")
    return members


Members = Annotated[
    list[TeamMemberBody],
    Field(min_length=1, max_length=50, description="The agents that the leader may ask, each once."),
    AfterValidator(_each_once),
]


class TeamContent(Body):
    """What a team consists of."""

    name: Name
    description: Description = ""
    instructions: Instructions = ""
    leader_agent_id: Leader
    members: Members
    max_delegations: MaxDelegations = 20


class TeamCreate(TeamContent):
    """A new team. `name` is unique among the teams of the environment."""

    model_config = example(
        name="Release",
        description="Brings a change to production",
        environment_id=SOME_ID,
        leader_agent_id=SOME_ID,
        members=[{"agent_id": "6f0d7a52-4f0c-4c64-8f5b-0f4a8a3c1d22", "role": "Writes and runs tests"}],
        instructions="Have everything tested before you deploy.",
    )

    environment_id: UUID


class TeamUpdate(Patch):
    """Changes of a team. The list of members is replaced; the team stays in its environment."""

    environment_id: Fixed = None
    name: Name = ABSENT
    description: Description = ABSENT
    instructions: Instructions = ABSENT
    leader_agent_id: Leader = ABSENT
    members: Members = ABSENT
    max_delegations: MaxDelegations = ABSENT


class TeamRead(Read):
    """A team. An agent that was deleted stays in the list of members, but can't be asked any more."""

    organization_id: UUID
    project_id: UUID
    environment_id: UUID
    name: str
    version: VersionRead
    description: str
    instructions: str
    leader_agent_id: UUID
    members: list[TeamMemberBody]
    max_delegations: int
