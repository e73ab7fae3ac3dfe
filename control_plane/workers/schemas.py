"""REST bodies of workers and of the tokens that they join with."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from control_plane.contract import Body, Name, Read, example
from control_plane.organizations.schemas import IssuedKey, KeyHint, KeyMaker, KeyRevocation


class WorkerStatus(StrEnum):
    """Whether a worker gives signs of life, and whether it takes anything new."""

    ONLINE = "online"
    DRAINING = "draining"
    OFFLINE = "offline"


class WorkerRead(Read):
    """A worker. What it measures is null until it has said it."""

    organization_id: UUID
    project_id: UUID
    environment_id: UUID
    worker_queue_id: UUID
    name: str
    status: WorkerStatus
    joined_with: str = Field(description="The key, as `worker_key:name`.")
    version: str = Field(description="Of agent-control-plane on its machine.")
    python_version: str
    prefect_version: str
    platform: str = Field(description="Its operating system, as the worker says.")
    hostname: str = Field(description="Of its machine, as the worker says.")
    slots: int | None = Field(description="Executions it carries out at once. Null: it sets itself no limit.")
    running: int | None = Field(description="Executions that it has under way.")
    free_slots: int | None = Field(description="Further executions that it would take.")
    cpu_percent: float | None = Field(description="That it uses; 100 is one processor.")
    memory_bytes: int | None = Field(description="Memory that it holds.")
    last_seen_at: datetime = Field(description="Its latest sign of life.")
    session_expires_at: datetime = Field(description="Unless the session is renewed before.")
    drain_requested_at: datetime | None = Field(description="Since when it is to take nothing new. Null: it isn't.")
    ended_at: datetime | None = Field(description="When it left or was revoked.")


class JoinTokenCreate(Body):
    """A token with which one worker can join, once."""

    model_config = example(name="build machine", expires_in_seconds=3600)

    name: Name = Field(description="For people, who will find it in lists and in the audit log.")
    expires_in_seconds: int = Field(
        default=3600, ge=1, le=86_400, description="How long a worker can join with it: at most 24 hours."
    )


class JoinTokenRead(Read):
    """A join token, never the token itself. `hint` is its end."""

    organization_id: UUID
    environment_id: UUID
    name: str
    hint: KeyHint
    created_by: KeyMaker
    expires_at: datetime = Field(description="Until when it can be redeemed; then, until when its worker may stay.")
    redeemed_at: datetime | None = Field(description="When a worker joined with it. Null: none has.")
    revoked_at: KeyRevocation


class JoinTokenIssued(JoinTokenRead):
    """A new join token. `token` is shown this once."""

    token: IssuedKey
