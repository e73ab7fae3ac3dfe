"""`/worker/queues/current/offers`: where workers wait for something to do. Its bodies are in `control_plane.wire`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from control_plane.auth.dependencies import MayClaimExecutions, StillValid
from control_plane.db import Database
from control_plane.events.notifications import Notifications
from control_plane.executions import wake
from control_plane.wire.executions import MOST_OFFERS, Offers

router = APIRouter(prefix="/worker/queues/current", tags=["worker protocol"])


@router.get("/offers")
async def offers(
    request: Request,
    worker: MayClaimExecutions,
    still_valid: StillValid,
    most: Annotated[int, Query(ge=1, le=MOST_OFFERS)] = 1,
    wait_seconds: Annotated[float, Query(ge=0, le=wake.LONGEST_WAIT.total_seconds(), allow_inf_nan=False)] = 0,
    *,
    in_place: Annotated[
        bool, Query(description="Only what can run in the place of an execution that this worker carries out already.")
    ] = False,
) -> Offers:
    """The executions that wait for a worker of this environment; waits for the first one if there is none."""

    async def present() -> bool:
        return not await request.is_disconnected() and await still_valid()

    database: Database = request.app.state.database
    notifications: Notifications = request.app.state.notifications
    found = await wake.wait(
        database, notifications, worker, most=most, seconds=wait_seconds, in_place=in_place, present=present
    )
    return Offers(offers=found)
