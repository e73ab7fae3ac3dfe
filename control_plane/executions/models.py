"""One run of an agent."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Resource, TenantOwned


class Execution(Base, Resource, TenantOwned):
    """One run of one version of an agent, with everything it may use frozen in `plan`.

    One that another execution started has that one as its parent; `ancestor_ids` are its parents from the first to the
    last, `root_execution_id` the first of them and `depth` their number. All are empty for the first: the whole tree is
    what has the same `coalesce(root_execution_id, id)`. `child_key` is the call in the parent that started it, and
    `lent_by_execution_id` the ancestor in whose place it runs while that waits.

    `attend_at` is when the reconciler looks at it next: null once it has ended and nothing is left to do. `fence`
    counts claims, `run_attempt` the runs that were lost before a claim; `event_count` is the number of the newest
    event; `reported_sequence` counts what this claim reported.
    """

    __tablename__ = "executions"

    project_id: Mapped[UUID]
    environment_id: Mapped[UUID]
    agent_id: Mapped[UUID]
    agent_version: Mapped[int]
    workflow_type: Mapped[str]
    status: Mapped[str]
    input: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    requested_by: Mapped[str]
    requester_credential_id: Mapped[UUID | None]
    requester_member_id: Mapped[UUID | None]
    parent_execution_id: Mapped[UUID | None]
    root_execution_id: Mapped[UUID | None]
    ancestor_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"), default=list)
    depth: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    child_key: Mapped[str | None]
    child_count: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    lent_by_execution_id: Mapped[UUID | None]
    team_id: Mapped[UUID | None]
    response: Mapped[str | None]
    output: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[str | None]
    error_code: Mapped[str | None]
    usage: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    budget: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    flow_run_id: Mapped[UUID | None]
    fence: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    claim_id: Mapped[UUID | None]
    claimed_by: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    event_count: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    reported_sequence: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    run_attempt: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    dispatch_attempts: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    dispatch_error: Mapped[str | None]
    attend_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
