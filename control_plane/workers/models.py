"""The processes that have joined an environment to carry out its executions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Resource, TenantOwned


class Worker(Base, Resource, TenantOwned):
    """One process from joining to leaving; its id is its session's too. Started again, it is another worker.

    `credential_id` is what it joined with, `ended_at` when it left or was revoked. What it says of itself is for people
    to read. A session that is neither ended nor renewed is over at `session_expires_at`.
    """

    __tablename__ = "workers"

    project_id: Mapped[UUID]
    environment_id: Mapped[UUID]
    worker_queue_id: Mapped[UUID]
    credential_id: Mapped[UUID]
    joined_with: Mapped[str]
    name: Mapped[str]
    version: Mapped[str]
    python_version: Mapped[str]
    prefect_version: Mapped[str]
    platform: Mapped[str]
    hostname: Mapped[str]
    slots: Mapped[int | None]
    running: Mapped[int | None]
    free_slots: Mapped[int | None]
    cpu_percent: Mapped[float | None]
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    last_seen_at: Mapped[datetime]
    session_expires_at: Mapped[datetime]
    drain_requested_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
