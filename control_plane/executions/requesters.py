"""Who asked for an execution, and what they may do as of now: an execution acts for them, long after they have left."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Credential
from control_plane.auth.permissions import Permission
from control_plane.auth.principals import Kind, Principal
from control_plane.executions.models import Execution
from control_plane.members.models import Member
from control_plane.problems import Forbidden
from control_plane.roles import grants
from control_plane.roles.grants import Holder
from control_plane.service_accounts.models import ServiceAccount


async def check(session: AsyncSession, execution: Execution, permission: Permission) -> None:
    """Raise `Forbidden` unless whoever asked for the execution has the permission in its project, as of now.

    A key that has expired or was rotated doesn't end what it has begun, as all things end in time; one that was revoked
    does, which is said of what can't be trusted.
    """
    holder = await _holder(session, execution)
    if holder is not None:
        held = tuple(one.grant for one in await grants.held_by(session, holder))
        principal = Principal(Kind.MEMBER, execution.requested_by, execution.organization_id, grants=held)
        if permission in principal.permissions_in(execution.project_id):
            return
    raise Forbidden(
        f"{execution.requested_by}, who asked for this execution, no longer has the permission {permission} in the"
        f" project, so nothing more can be started in that name."
    )


async def _holder(session: AsyncSession, execution: Execution) -> Holder | None:
    if execution.requester_member_id is not None:
        return await session.scalar(select(Member).where(Member.id == execution.requester_member_id))
    credential = await session.scalar(
        select(Credential).where(
            Credential.id == execution.requester_credential_id,
            Credential.kind == Kind.API_KEY,
            Credential.revoked_at.is_(None),
        )
    )
    if credential is None or credential.service_account_id is None:
        return credential
    return await session.scalar(
        select(ServiceAccount).where(
            ServiceAccount.id == credential.service_account_id, ServiceAccount.disabled_at.is_(None)
        )
    )
