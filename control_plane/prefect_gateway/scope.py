"""How far a credential reaches into Prefect: one work pool, or one execution on it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from control_plane.auth.principals import Principal
from control_plane.db import Database
from control_plane.environments.models import Environment
from control_plane.executions.models import Execution
from control_plane.prefect_gateway.remembered import Remembered
from control_plane.problems import Forbidden
from control_plane.worker_queues.models import WorkerQueue

_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Scope:
    """What a credential opens. Everything in it comes from the credential, nothing from the request.

    A worker's session has a `work_queue` and reaches every flow run of its pool; an execution token has an
    `execution_id` and reaches the flow runs of that execution. A worker that is `draining` gets nothing new.
    """

    organization_id: UUID
    environment_id: UUID
    work_pool: str
    work_queue: str | None = None
    execution_id: UUID | None = None
    draining: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """What never changes about an execution or a queue: where in Prefect it is."""

    environment_id: UUID
    work_pool: str
    work_queue: str | None = None


class Scopes:
    """Finds scopes. Whether a credential still counts is asked elsewhere; here only what can't change is remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._places: Remembered[UUID, _Place] = Remembered(_MOST)

    async def of(self, principal: Principal) -> Scope:
        """The scope of a worker's session or an execution token. Raises `Forbidden` for any other credential."""
        if principal.execution_id:
            place = await self._place(principal.tenant, principal.execution_id, _of_execution(principal.execution_id))
            return Scope(principal.tenant, place.environment_id, place.work_pool, execution_id=principal.execution_id)
        if principal.session_id and principal.worker_queue_id:
            place = await self._place(principal.tenant, principal.worker_queue_id, _of_queue(principal.worker_queue_id))
            return Scope(
                principal.tenant,
                place.environment_id,
                place.work_pool,
                work_queue=place.work_queue,
                draining=principal.draining,
            )
        raise Forbidden("Only the session of a worker or an execution token opens Prefect. Join with the worker key.")

    async def _place(self, organization_id: UUID, key: UUID, query: Select[*tuple[Any, ...]]) -> _Place:
        place = self._places.get(key)
        if place is None:
            async with self._database.tenant(organization_id) as session:
                row = (await session.execute(query)).one_or_none()
            if row is None:
                raise Forbidden("What this credential opened doesn't exist any more.")
            place = _Place(*row)
            self._places.put(key, place)
        return place


def _of_execution(execution_id: UUID) -> Select[*tuple[Any, ...]]:
    return (
        select(Environment.id, Environment.work_pool)
        .join(Execution, Execution.environment_id == Environment.id)
        .where(Execution.id == execution_id)
    )


def _of_queue(queue_id: UUID) -> Select[*tuple[Any, ...]]:
    return (
        select(Environment.id, Environment.work_pool, WorkerQueue.name)
        .join(WorkerQueue, WorkerQueue.environment_id == Environment.id)
        .where(WorkerQueue.id == queue_id)
    )
