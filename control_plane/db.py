"""The one seam between the application and PostgreSQL: every transaction belongs to one organization, or to none.

Each transaction enters the role `control_plane_app` (neither owner of a table nor exempt from row-level security) and
names its organization for the row policies, and its projects if not all. That holds for this transaction only, so a
pooled connection carries nothing over, and a transaction without an organization sees no rows.
"""

import select as polling
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from pydantic_core import from_json
from sqlalchemy import Connection, DateTime, ForeignKey, MetaData, Text, event, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, SessionTransaction, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

APPLICATION_ROLE = "control_plane_app"
ORGANIZATION_SETTING = "app.organization_id"
PROJECTS_SETTING = "app.project_ids"

_ENTER = (
    f"SELECT set_config('role', '{APPLICATION_ROLE}', true), set_config('{ORGANIZATION_SETTING}', %s, true),"
    f" set_config('{PROJECTS_SETTING}', %s, true)"
)
_MOVE = text("SELECT set_config(:setting, :organization, true)")
_NO_PROJECT = str(UUID(int=0))


class Base(DeclarativeBase):
    """All tables of the control plane."""

    # What the database computes is read back with the statement that changes a row; nothing is loaded by surprise.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - SQLAlchemy reads it as a class variable

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a class variable
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: JSONB,
    }


class Identified:
    """A UUID of its own, made here so that it is known before the row is stored."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


class Listed(Identified):
    """A row with an id and a time of its own, as the API lists it: newest first."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Resource(Listed):
    """A listed row that may change. Both times are of the database's clock."""

    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.clock_timestamp())


class TenantOwned:
    """A row of one organization. The migration gives each such table its row policy; a test checks that it did."""

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))


class TenantSession(Session):
    """A session whose transactions begin by entering the application role and the organization in `info`."""


@event.listens_for(TenantSession, "after_begin")
def _enter_tenant(session: TenantSession, _transaction: SessionTransaction, connection: Connection) -> None:
    organization_id = session.info.get("organization_id")
    projects = session.info.get("projects")
    # An empty setting means all projects, so that none at all has to be said with an id that no project has.
    named = "" if projects is None else ",".join(map(str, projects)) or _NO_PROJECT

    async def enter(raw: psycopg.AsyncConnection[Any]) -> None:
        # In a pipeline BEGIN and this statement share one round trip; alone they cost a third of the throughput.
        async with raw.pipeline():
            await raw.execute(_ENTER, [str(organization_id) if organization_id else "", named])

    adapted: Any = connection.connection.dbapi_connection
    try:
        adapted.run_async(enter)
    except psycopg.Error as error:
        # We went round SQLAlchemy, which would have raised this.
        raise OperationalError(_ENTER, None, error) from error


def _refuse_dead_connection(_connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Replace the pool's connections when the server has closed them, before a request stumbles over one.

    An idle connection has nothing to read unless the server said goodbye. Asking the kernel takes microseconds; a ping
    of the server would take a round trip.
    """
    driver: Any = record.driver_connection
    if driver.closed:
        raise InvalidatePoolError
    watched = polling.poll()
    watched.register(driver.fileno(), polling.POLLIN)
    if watched.poll(0):
        raise InvalidatePoolError


class Database:
    """A connection pool. Make one per process; `await close()` at the end."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=False,
            json_deserializer=from_json,  # three times as fast as Python's own
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_dead_connection)
        self._sessions = async_sessionmaker(self.engine, sync_session_class=TenantSession, expire_on_commit=False)

    @asynccontextmanager
    async def tenant(
        self, organization_id: UUID | None, *, projects: Collection[UUID] | None = None
    ) -> AsyncIterator[AsyncSession]:
        """One transaction inside an organization (or inside none): committed at the end, rolled back on an error.

        With `projects`, what belongs to the organization's other projects does not exist in it and can't be made.
        """
        info = {"organization_id": organization_id, "projects": projects}
        async with self._sessions(info=info) as session, session.begin():
            yield session

    @asynccontextmanager
    async def snapshot(self, organization_id: UUID) -> AsyncIterator[AsyncSession]:
        """One transaction that reads an organization as it is at this moment, however long the reading takes."""
        reading = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with self._sessions(bind=reading, info={"organization_id": organization_id}) as session, session.begin():
            yield session

    async def once(
        self, organization_id: UUID | None, statement: str, parameters: Sequence[Any]
    ) -> list[dict[str, Any]]:
        """The rows of a single statement in a transaction of its own inside an organization: one round trip for all.

        In psycopg's words (`%s`), since it goes round SQLAlchemy, whose errors it raises.
        """
        async with self.engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                async with driver.pipeline():
                    await driver.execute(_ENTER, [str(organization_id) if organization_id else "", ""])
                    cursor = driver.cursor(row_factory=dict_row)
                    await cursor.execute(statement, parameters)
                    await driver.commit()
                return list(await cursor.fetchall()) if cursor.description else []
            except psycopg.Error as error:
                raise DBAPIError.instance(statement, None, error, psycopg.Error) from error

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def sqlalchemy_url(url: str) -> str:
    """A `postgresql://` URL as SQLAlchemy wants it for psycopg. Raises `ValueError` for anything else."""
    return _with_driver(url, "postgresql+psycopg")


def psycopg_url(url: str) -> str:
    """The same URL as libpq wants it."""
    return _with_driver(url, "postgresql")


def _with_driver(url: str, driver: str) -> str:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # Not the text of the error: it quotes the URL, which holds a password.
        raise ValueError("it must be postgresql://login:password@host:port/database") from error
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError(f"it must be postgresql://…, not {parsed.get_backend_name()}://…")
    return parsed.set(drivername=driver).render_as_string(hide_password=False)


@asynccontextmanager
async def pipelined(session: AsyncSession, *, commit: bool = False) -> AsyncIterator[None]:
    """Send the statements of the block without waiting for each: one round trip for all. None has a result to read.

    What is wrong with any of them is raised at the end of the block, as SQLAlchemy would raise it. With `commit` the
    transaction is committed by the same round trip, and the session's own commit, which must follow, costs none.
    """
    driver: Any = (await (await session.connection()).get_raw_connection()).driver_connection
    try:
        async with driver.pipeline():
            yield
            if commit:
                # Not the session's: that gives the connection back to the pool, for somebody else, in our pipeline.
                await driver.commit()
    except psycopg.Error as error:
        raise DBAPIError.instance("one of several statements", None, error, psycopg.Error) from error


def after_commit(session: AsyncSession, call: Callable[[], None]) -> None:
    """Call once the session's present transaction is committed, and not if it is rolled back."""
    event.listen(session.sync_session, "after_commit", lambda _: call(), once=True)


async def enter(session: AsyncSession, organization_id: UUID | None) -> None:
    """Go on in an organization that the transaction has just made, or in none after it has removed its own."""
    session.info["organization_id"] = organization_id
    await session.execute(
        _MOVE, {"setting": ORGANIZATION_SETTING, "organization": str(organization_id) if organization_id else ""}
    )


@asynccontextmanager
async def outside(session: AsyncSession) -> AsyncIterator[None]:
    """Leave the organization for a few statements, to write what belongs to none of them; then the session is back."""
    before = await session.scalar(select(func.current_setting(ORGANIZATION_SETTING)))
    await session.execute(_MOVE, {"setting": ORGANIZATION_SETTING, "organization": ""})
    yield
    await session.execute(_MOVE, {"setting": ORGANIZATION_SETTING, "organization": before})


async def now(session: AsyncSession) -> datetime:
    """The database's clock, which all processes share."""
    moment: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return moment
