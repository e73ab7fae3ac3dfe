"""`/usage`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from control_plane.auth.dependencies import Db, MayReadUsage
from control_plane.contract import Text
from control_plane.pagination import Paged
from control_plane.transactions import TenantRoute
from control_plane.usage import service as usage
from control_plane.usage.schemas import Bucket, Group, UsageRead

router = APIRouter(prefix="/usage", tags=["budgets"], route_class=TenantRoute)

_SO_FAR_BACK = timedelta(days=30)


@router.get("")
async def get_usage(
    _: MayReadUsage,
    session: Db,
    page: Paged,
    since: Annotated[
        AwareDatetime | None, Query(description="From the hour on that this is in. Default: 30 days before `until`.")
    ] = None,
    until: Annotated[AwareDatetime | None, Query(description="To the hour that this is in. Default: now.")] = None,
    group_by: Annotated[
        list[Group], Query(max_length=len(Group), description="Told apart by these; sent once for each.")
    ] = [],  # noqa: B006 - FastAPI copies it
    bucket: Annotated[Bucket | None, Query(description="Told apart by these stretches of time (UTC).")] = None,
    project_id: Annotated[UUID | None, Query(description="Only of this project.")] = None,
    environment_id: Annotated[UUID | None, Query(description="Only of this environment.")] = None,
    agent_id: Annotated[UUID | None, Query(description="Only of this agent.")] = None,
    provider: Annotated[Text | None, Query(description="Only of this provider.")] = None,
    model: Annotated[Text | None, Query(description="Only of this model, as `provider/model`.")] = None,
) -> list[UsageRead]:
    """What models were used for, in calls, tokens and USD: in sum, or for each group and stretch of time, newest first.

    A call counts in the hour in which it began, once it has ended. Where nothing was used there is no row.
    """
    until = until or datetime.now(UTC)
    rows = await usage.summed(
        session,
        page,
        since=since or _before(until),
        until=until,
        group_by=group_by,
        bucket=bucket,
        equal={
            "project_id": project_id,
            "environment_id": environment_id,
            "agent_id": agent_id,
            "provider": provider,
            "model": model,
        },
    )
    return [UsageRead.model_validate(row) for row in rows]


def _before(moment: datetime) -> datetime:
    try:
        return moment - _SO_FAR_BACK
    except OverflowError:
        return moment
