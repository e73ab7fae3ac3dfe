"""The way to the database: one connection a call, one statement a transaction, within bounds that PostgreSQL keeps.

Reading happens in a transaction that PostgreSQL itself holds to reading. What a query can still do besides is call
functions: some end sessions, read the server's files or reach other servers. Those that PostgreSQL and its extensions
bring are refused by name. That is a second line, which a function that somebody has made goes round; the first is the
login, which should be allowed no more than it needs.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from toolsets.builtin.sql_settings import Context, SqlSettings
from toolsets.builtin.sql_values import as_json, document
from toolsets.failures import Retryable, ToolFailed

try:
    import asyncpg
except ImportError as error:
    raise ImportError("it needs the extra sql: pip install 'agent-control-plane[sql]'") from error

_CONNECT_SECONDS = 10
_PART_ROWS = 100
_MAX_CHARACTERS = 2_000_000
"""Of all rows together. More is of no use to a model."""

_REFUSED = re.compile(
    r"\b(pg_(terminate|cancel)_backend|pg_(reload_conf|rotate_logfile|promote|switch_wal|create_restore_point|notify)"
    r"|pg_(read|ls|stat)_(binary_)?(file|dir)\w*|pg_ls_\w+|pg_stat_reset\w*|pg_current_logfile|pg_logical_\w+"
    r"|pg_replication_\w+|pg_(create|drop|copy)_\w+|pg_(try_)?advisory_\w+|pg_(backup|wal)_\w+|pg_export_snapshot"
    r"|pg_file_\w+|pg_logdir_ls|set_config|dblink\w*"
    r"|lo_(close|creat|create|export|from_bytea|get|import|lseek\w*|open|put|tell\w*|truncate\w*|unlink)|lowrite"
    r"|loread|(table|query|cursor|schema|database)_to_xml\w*|ts_stat|ts_rewrite|crosstab\w*"
    r"|connectby|xpath_table|http_(get|post|put|patch|delete|head))\b",
    re.IGNORECASE,
)
"""Functions with an effect beyond the rows of a query, and those that carry out a query given as text."""

_STRONG_ROLES = [
    "pg_checkpoint",
    "pg_create_subscription",
    "pg_execute_server_program",
    "pg_read_server_files",
    "pg_signal_backend",
    "pg_write_server_files",
]


def refuse_functions(statement: str) -> None:
    """Raise `ToolFailed` if a statement names a function that does more than read."""
    if re.search(r'\bU&"', statement, re.IGNORECASE):
        raise ToolFailed('Names with escapes (U&"…") can\'t be used here. Write the name out.')
    if found := _REFUSED.search(statement):
        raise ToolFailed(f"{found[0]} can't be used here, not even as a name or in a text. Leave it out.")


@asynccontextmanager
async def transaction(context: Context, *, read_only: bool) -> AsyncIterator[asyncpg.Connection]:
    """A connection in a transaction that is committed at the end. Raises `ToolFailed` with what PostgreSQL says."""
    settings = context.settings
    try:
        async with asyncio.timeout(settings.timeout_seconds + _CONNECT_SECONDS) as limit:
            async with _connection(context) as connection:
                if not settings.privileged:
                    await _refuse_strong_login(connection)
                async with connection.transaction(isolation="read_committed", readonly=read_only):
                    await _bind(connection, settings)
                    yield connection
    except TimeoutError as error:
        if not limit.expired():
            raise ToolFailed("The statement was ended, because it took too long. Ask for less at once.") from error
        raise ToolFailed("The database didn't answer in time. Ask for less at once.") from error
    except asyncpg.PostgresError as error:
        raise ToolFailed(_explained(error)) from error


async def rows(connection: asyncpg.Connection, statement: str, settings: SqlSettings) -> dict[str, object]:
    """The columns and rows of one statement. PostgreSQL refuses several."""
    prepared = await connection.prepare(statement, timeout=settings.timeout_seconds)
    found = await prepared.fetch(timeout=settings.timeout_seconds)
    most = settings.max_rows
    return {
        "columns": [attribute.name for attribute in prepared.get_attributes()],
        "rows": [[as_json(value) for value in row] for row in found[:most]],
        "more": len(found) > most,
        "status": prepared.get_statusmsg(),
    }


async def query_rows(connection: asyncpg.Connection, statement: str, settings: SqlSettings) -> dict[str, object]:
    """The columns and rows of a query, fetched in parts until there are enough."""
    # Only a query can follow these words: PostgreSQL refuses everything else, and changes inside of WITH.
    declared = await connection.prepare(
        f"DECLARE answer NO SCROLL CURSOR FOR {statement}", timeout=settings.timeout_seconds
    )
    await declared.fetch(timeout=settings.timeout_seconds)
    fetch = await connection.prepare(f"FETCH {_PART_ROWS} FROM answer", timeout=settings.timeout_seconds)
    told: list[list[Any]] = []
    characters = 0
    more = False
    while not more:
        found = await fetch.fetch(timeout=settings.timeout_seconds)
        for row in found:
            if more := len(told) >= settings.max_rows or characters > _MAX_CHARACTERS:
                break
            told.append([as_json(value) for value in row])
            characters += len(str(told[-1]))
        if len(found) < _PART_ROWS:
            break
    return {"columns": [attribute.name for attribute in fetch.get_attributes()], "rows": told, "more": more}


@asynccontextmanager
async def _connection(context: Context) -> AsyncIterator[asyncpg.Connection]:
    address = await context.secret(context.settings.secret)
    try:
        connection = await asyncpg.connect(
            address,
            timeout=_CONNECT_SECONDS,
            command_timeout=context.settings.timeout_seconds,
            statement_cache_size=0,
            server_settings={"application_name": "agent-control-plane"},
        )
    except (ValueError, asyncpg.InterfaceError) as error:
        # Its text may hold the address, and so the password.
        raise ToolFailed(
            f"The secret {context.settings.secret} isn't the address of a database such as"
            " postgresql://user:password@host:5432/name. Say that it has to be mended."
        ) from error
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
        raise Retryable("The database can't be reached. Try again later.") from error
    try:
        for name in ("json", "jsonb"):
            await connection.set_type_codec(name, encoder=str, decoder=document, schema="pg_catalog")
        yield connection
        await connection.close(timeout=_CONNECT_SECONDS)
    finally:
        # Where something failed it may still be busy. Nothing happens where it is closed.
        connection.terminate()


async def _bind(connection: asyncpg.Connection, settings: SqlSettings) -> None:
    milliseconds = str(int(settings.timeout_seconds * 1000))
    path = ", ".join(f'"{schema}"' for schema in settings.schemas)
    await connection.fetchval(
        "SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $1, true),"
        " set_config('search_path', coalesce(nullif($2, ''), current_setting('search_path')), true)",
        milliseconds,
        path,
    )


async def _refuse_strong_login(connection: asyncpg.Connection) -> None:
    strong = await connection.fetchval(
        "SELECT string_agg(rolname, ', ' ORDER BY rolname) FROM pg_roles"
        " WHERE (rolsuper OR rolname = ANY($1)) AND pg_has_role(session_user, oid, 'MEMBER')",
        _STRONG_ROLES,
    )
    if strong:
        raise ToolFailed(
            f"The login of this database may act as {strong}, which reaches beyond its data, so it isn't used. Say that"
            " the toolset needs a login that is no superuser, or the setting `privileged`."
        )


def _explained(error: asyncpg.PostgresError) -> str:
    more = [f"{what.capitalize()}: {said}" for what in ("detail", "hint") if (said := getattr(error, what, None))]
    return f"PostgreSQL refused: {' '.join([str(error), *more])}"
