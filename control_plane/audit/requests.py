"""The one place where a request becomes an entry of the audit log, so that no route can forget it.

Whoever owns the request's transaction calls it when the answer has been made and before the commit. What people send,
in a body or a query, has no way into an entry.
"""

import logging
from collections.abc import Collection

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.audit.service import Origin, record
from control_plane.auth.permissions import EXECUTION, WORKER_SESSION, Permission
from control_plane.auth.principals import Principal
from control_plane.db import enter

logger = logging.getLogger(__name__)

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_MACHINES = WORKER_SESSION | EXECUTION
"""The worker protocol has its own record: the events of an execution."""

_SIGNS_OF_LIFE = frozenset({"/worker-sessions/{session_id}/renew"})
"""Every worker sends them all day, and they only keep what its joining began, which has an entry."""


async def record_request(
    request: Request, response: Response, *, session: AsyncSession, principal: Principal, permission: Permission
) -> None:
    """Write down a change that a person's request has made, in the transaction that made it; and who exports it all."""
    # A POST that only needs a permission to read is a dry run. One that can do several things says what it did.
    reading = request.method in _READING or permission.endswith(":read") or getattr(request.state, "reading", False)
    if permission in _OF_MACHINES or (reading and permission is not Permission.ORGANIZATIONS_EXPORT):
        return
    if _template(request) in _SIGNS_OF_LIFE:
        return
    resource_type, resource_id = _resource(request, response)
    await record(
        session,
        origin(request, principal),
        action=permission,
        resource_type=resource_type,
        resource_id=resource_id,
        status=response.status_code,
    )


async def record_presence(
    request: Request, session: AsyncSession, *, principals: Collection[Principal], action: str, provider: str | None
) -> None:
    """Write down that a browser was signed in or out: with the word of an identity provider or, if None, with a key.

    A session of a person is in no organization, since each request names one. So every organization that it opens
    has an entry, and learns nothing of the others. Somebody who is a member of none is for the server's own log.
    """
    if not principals:
        logger.warning(
            "%s by %s in no organization, request %s", action, provider or "API key", request.scope["request_id"]
        )
    for principal in principals:
        await enter(session, principal.organization_id)
        await record(
            session,
            origin(request, principal),
            action=action,
            resource_type="identity-providers" if provider else "api-keys",
            resource_id=provider or str(principal.credential_id),
            status=303,
        )


def origin(request: Request, principal: Principal) -> Origin:
    """Who sends the request, from where, and what it is called."""
    return Origin(
        actor=principal.label,
        credential_id=principal.credential_id,
        member_id=principal.member_id,
        method=request.method,
        route=_template(request),
        request_id=request.scope["request_id"],
        client_address=request.client.host if request.client else None,
    )


def _template(request: Request) -> str:
    template: str = request.scope["route"].path
    return template.removeprefix("/api/v1")  # depends on the version of FastAPI


def _resource(request: Request, response: Response) -> tuple[str, str | None]:
    """The collection and the id or name in it: of what was created, else of what the path names last."""
    if location := response.headers.get("Location"):
        *_, collection, identity = location.split("/")
        return collection, identity
    collection = ""
    found: tuple[str, str | None] | None = None
    for segment in _template(request).strip("/").split("/"):
        if segment.startswith("{"):
            found = collection, str(request.path_params[segment.strip("{}")])
        else:
            collection = segment
    return found or (collection, None)
