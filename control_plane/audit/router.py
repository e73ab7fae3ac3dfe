"""`/organizations/{organization_id}/audit-log`."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from control_plane.audit import service as audit
from control_plane.audit.schemas import AuditEntryRead
from control_plane.audit.service import Filters
from control_plane.auth.dependencies import MayReadAudit, OrganizationDb
from control_plane.contract import Text
from control_plane.pagination import Paged
from control_plane.problems import NotFound, problems
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/organizations/{organization_id}/audit-log", tags=["audit"], route_class=TenantRoute)


@router.get("", responses=problems(NotFound))
async def list_audit_entries(
    _: MayReadAudit,
    session: OrganizationDb,
    page: Paged,
    actor: Annotated[Text | None, Query(description="Kind and name of a credential or member: `api_key:ci`.")] = None,
    action: Annotated[Text | None, Query(description="`agents:write`, `secrets:release`, `auth:sign-in`, …")] = None,
    resource_type: Annotated[Text | None, Query(description="A collection: `agents`, `secrets`, …")] = None,
    resource_id: Annotated[Text | None, Query(description="Id, or the name of a secret, in that collection.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Only entries of this moment or later.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Only entries before this moment.")] = None,
) -> list[AuditEntryRead]:
    """What was changed, which secrets were released and who signed in and out in a browser, newest first."""
    filters = Filters(
        actor=actor,
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        since=since,
        until=until,
    )
    return [AuditEntryRead.model_validate(entry) for entry in await audit.listed(session, page, filters)]
