"""All data of one organization, as lines of JSON."""

from collections.abc import AsyncIterator, Iterable
from uuid import UUID

from sqlalchemy import LargeBinary, Table, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db import Database
from control_plane.organizations.models import Organization

NDJSON = "application/x-ndjson"
_AT_ONCE = 100
"""Rows that are held at once: a plan or an event may be large."""

EXPORTED = {"exported": True}
"""What a binary column says that is exported all the same, in base64."""


async def exported(database: Database, organization_id: UUID, tables: Iterable[Table]) -> AsyncIterator[str]:
    """A line `{"table": …, "row": {…}}` for each row of the organization, of one moment, however long it takes.

    Binary columns are left out: they hold the hashes of credentials and the encrypted values of secrets. What people
    may read anyway says so and is exported in base64.
    """
    async with database.snapshot(organization_id) as session:
        for table in tables:
            if table.name == Organization.__tablename__ or "organization_id" in table.columns:
                async for line in _lines(session, table):
                    yield line


async def _lines(session: AsyncSession, table: Table) -> AsyncIterator[str]:
    binary = [column for column in table.columns if isinstance(column.type, LargeBinary)]
    written = [func.encode(column, "base64").label(column.name) for column in binary if column.info.get("exported")]
    row = select(*(column for column in table.columns if column not in set(binary)), *written).subquery()
    # Row-level security leaves the rows of the organization that the transaction is in.
    statement = select(cast(func.row_to_json(row.table_valued()), Text))
    at_once = 1 if written else _AT_ONCE  # such a row may be megabytes
    async for line in await session.stream_scalars(statement, execution_options={"yield_per": at_once}):
        yield f'{{"table":"{table.name}","row":{line}}}\n'
