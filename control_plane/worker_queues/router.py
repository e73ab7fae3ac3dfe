"""`/worker-queues` and `/environments/{environment_id}/worker-queues`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from control_plane.auth.dependencies import Db, MayReadWorkerQueues, MayWriteWorkerQueues
from control_plane.contract import Text
from control_plane.db import after_commit
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Conflict, Invalid, NotFound, problems
from control_plane.transactions import TenantRoute
from control_plane.worker_queues import service as worker_queues
from control_plane.worker_queues.models import WorkerQueue
from control_plane.worker_queues.schemas import QueueCreate, WorkerQueueCreate, WorkerQueuePatch, WorkerQueueRead

router = APIRouter(tags=["worker queues"], route_class=TenantRoute)


@router.post("/worker-queues", status_code=201, responses=problems(AlreadyExists, Conflict, Invalid) | CREATED)
async def create_worker_queue(
    body: WorkerQueueCreate, _: MayWriteWorkerQueues, session: Db, request: Request, response: Response
) -> WorkerQueueRead:
    """Create a queue. It follows in the environment's work pool right afterwards."""
    queue = await worker_queues.create(session, body)
    after_commit(session, request.app.state.dispatcher.reconcile_soon)
    return _created(queue, response)


@router.get("/worker-queues")
async def list_worker_queues(
    _: MayReadWorkerQueues,
    session: Db,
    page: Paged,
    environment_id: Annotated[UUID | None, Query(description="Only those of this environment.")] = None,
    name: Annotated[Text | None, Query(description="Only those of exactly this name.")] = None,
) -> list[WorkerQueueRead]:
    """Queues, newest first."""
    found = await worker_queues.listed(session, page, environment_id=environment_id, name=name)
    return [WorkerQueueRead.of(queue) for queue in found]


@router.get("/worker-queues/{queue_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_worker_queue(
    queue_id: UUID, _: MayReadWorkerQueues, session: Db, conditional: Conditional
) -> WorkerQueueRead:
    """One queue."""
    return conditional.answer(WorkerQueueRead.of(await worker_queues.get(session, queue_id)))


@router.patch("/worker-queues/{queue_id}", responses=problems(NotFound, PreconditionFailed) | TAGGED)
async def change_worker_queue(
    queue_id: UUID,
    body: WorkerQueuePatch,
    _: MayWriteWorkerQueues,
    session: Db,
    if_match: IfMatch,
    request: Request,
    response: Response,
) -> WorkerQueueRead:
    """Change a queue's priority, limits or description; pause it, or let it go on. Its name never changes."""
    queue = await worker_queues.get(session, queue_id, lock=True)
    if_match.check(queue)
    changed = await worker_queues.change(session, queue, body)
    after_commit(session, request.app.state.dispatcher.reconcile_soon)
    return tagged(response, WorkerQueueRead.of(changed))


@router.delete("/worker-queues/{queue_id}", status_code=204, responses=problems(NotFound, Conflict, PreconditionFailed))
async def delete_worker_queue(
    queue_id: UUID, _: MayWriteWorkerQueues, session: Db, if_match: IfMatch, request: Request
) -> None:
    """Delete a queue. The default queue of an environment stays as long as the environment."""
    queue = await worker_queues.get(session, queue_id, lock=True)
    if_match.check(queue)
    await worker_queues.remove(session, queue)
    after_commit(session, request.app.state.dispatcher.reconcile_soon)


@router.post(
    "/environments/{environment_id}/worker-queues",
    status_code=201,
    responses=problems(NotFound, AlreadyExists, Conflict) | CREATED,
)
async def create_worker_queue_in_environment(
    environment_id: UUID,
    body: QueueCreate,
    _: MayWriteWorkerQueues,
    session: Db,
    request: Request,
    response: Response,
) -> WorkerQueueRead:
    """Create a queue in this environment."""
    queue = await worker_queues.create_in(session, environment_id, body)
    after_commit(session, request.app.state.dispatcher.reconcile_soon)
    return _created(queue, response)


@router.get("/environments/{environment_id}/worker-queues", responses=problems(NotFound))
async def list_worker_queues_of_environment(
    environment_id: UUID, _: MayReadWorkerQueues, session: Db, page: Paged
) -> list[WorkerQueueRead]:
    """The queues of this environment, newest first."""
    return [WorkerQueueRead.of(queue) for queue in await worker_queues.listed_in(session, environment_id, page)]


def _created(queue: WorkerQueue, response: Response) -> WorkerQueueRead:
    response.headers["Location"] = f"/api/v1/worker-queues/{queue.id}"
    return tagged(response, WorkerQueueRead.of(queue))
