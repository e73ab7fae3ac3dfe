"""How the work of an environment is shared out among its workers."""

from uuid import UUID

from sqlalchemy.orm import Mapped

from control_plane.db import Base, Resource, TenantOwned

DEFAULT_QUEUE = "default"
"""The queue that every environment has from the beginning and never loses."""


class WorkerQueue(Base, Resource, TenantOwned):
    """A queue in the work pool of an environment. Of two queues the one with the smaller `priority` is served first."""

    __tablename__ = "worker_queues"

    project_id: Mapped[UUID]
    environment_id: Mapped[UUID]
    name: Mapped[str]
    description: Mapped[str]
    priority: Mapped[int]
    concurrency_limit: Mapped[int | None]
    max_workers: Mapped[int | None]
    paused: Mapped[bool]
