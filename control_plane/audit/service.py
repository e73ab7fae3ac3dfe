"""Writing the audit log, and reading it."""

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.audit.models import AuditEntry
from control_plane.pagination import Page

logger = logging.getLogger(__name__)

# Made once: making it costs more than sending it.
_RECORD = insert(AuditEntry.__table__)  # type: ignore[arg-type] # it is declared as FromClause, and is a Table


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts, and through which request. `route` is the template, so that nothing a path carries is kept.

    `member_id` is set for people who are signed in, `credential_id` for whoever has a key.
    """

    actor: str
    credential_id: UUID | None
    method: str
    route: str
    request_id: str
    client_address: str | None
    member_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries to read. None doesn't narrow; `since` is included, `until` is not."""

    actor: str | None = None
    action: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def record(
    session: AsyncSession,
    origin: Origin,
    *,
    action: str,
    resource_type: str,
    resource_id: str | None,
    status: int,
) -> None:
    """Add an entry to the log of the organization that the transaction is in; both are committed, or neither.

    A transaction in no organization, or that has just deleted its own, has no log to write to: the server's own log
    takes the entry.
    """
    organization_id = session.info["organization_id"]
    if organization_id is None:
        logger.warning(
            "%s by %s in no organization: %s %s, request %s", action, origin.actor, resource_type, resource_id,
            origin.request_id,
        )  # fmt: skip
        return
    entry = {
        "id": uuid4(),
        "organization_id": organization_id,
        "actor": origin.actor,
        "credential_id": origin.credential_id,
        "member_id": origin.member_id,
        "action": action,
        "method": origin.method,
        "route": origin.route,
        "resource_type": resource_type,
        "resource_id": resource_id,
        "request_id": origin.request_id,
        "client_address": origin.client_address,
        "status": status,
    }
    await session.execute(_RECORD, entry)


async def listed(session: AsyncSession, page: Page, filters: Filters) -> list[AuditEntry]:
    """A page of entries, newest first."""
    statement = select(AuditEntry)
    for name in ("actor", "action", "resource_type", "resource_id"):
        if (wanted := getattr(filters, name)) is not None:
            statement = statement.where(getattr(AuditEntry, name) == wanted)
    if filters.since is not None:
        statement = statement.where(AuditEntry.created_at >= filters.since)
    if filters.until is not None:
        statement = statement.where(AuditEntry.created_at < filters.until)
    return await page.fetch(session, statement, AuditEntry)
