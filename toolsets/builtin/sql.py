"""A PostgreSQL database, read-only unless its settings say otherwise. `sql_connection` says what that is worth."""

import re

from toolsets import ToolFailed, Toolset, hookimpl
from toolsets.builtin.sql_connection import query_rows, refuse_functions, rows, transaction
from toolsets.builtin.sql_settings import Context, SqlSettings

_CHANGES = {"alter", "comment", "create", "delete", "drop", "insert", "merge", "refresh", "truncate", "update", "with"}
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(\w+)", re.DOTALL)

_TABLES = """
SELECT n.nspname AS "schema", c.relname AS "name",
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
            ELSE 'table' END AS "type",
       nullif(c.reltuples::bigint, -1) AS "rows_estimated", obj_description(c.oid, 'pg_class') AS "comment"
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
  AND CASE WHEN cardinality($1::text[]) > 0 THEN n.nspname = ANY ($1)
      ELSE n.nspname NOT IN ('pg_catalog', 'information_schema') END
ORDER BY 1, 2 LIMIT $2
"""
_COLUMNS = """
SELECT a.attname AS "name", format_type(a.atttypid, a.atttypmod) AS "type", NOT a.attnotnull AS "nullable",
       pg_get_expr(d.adbin, d.adrelid) AS "default", col_description(a.attrelid, a.attnum) AS "comment"
FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
ORDER BY a.attnum
"""
_CONSTRAINTS = """
SELECT conname AS "name", pg_get_constraintdef(oid) AS "definition" FROM pg_constraint WHERE conrelid = $1 ORDER BY 1
"""
_INDEXES = """
SELECT c.relname AS "name", pg_get_indexdef(i.indexrelid) AS "definition"
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1 ORDER BY 1
"""

sql = Toolset(
    "sql",
    description="A PostgreSQL database.",
    settings=SqlSettings,
    secrets=lambda settings: (settings.secret,),
)


@sql.tool(effect="read")
async def query(context: Context, statement: str) -> dict[str, object]:
    """Read from the database with one SELECT (or WITH, VALUES, TABLE). Returns its columns and rows.

    `more` says that there are rows which were not returned: aggregate, or use LIMIT and OFFSET. Times are ISO 8601,
    exact numbers are text.
    """
    refuse_functions(statement)
    async with transaction(context, read_only=True) as connection:
        return await query_rows(connection, statement, context.settings)


@sql.tool(effect="read")
async def explain(context: Context, statement: str) -> str:
    """Show how PostgreSQL would carry out a statement, without carrying it out."""
    refuse_functions(statement)
    async with transaction(context, read_only=True) as connection:
        # After the options in parentheses none can follow that would have it carried out.
        found = await connection.prepare(f"EXPLAIN (FORMAT TEXT) {statement}")
        return "\n".join(row[0] for row in await found.fetch())


@sql.tool(effect="read")
async def tables(context: Context) -> list[dict[str, object]]:
    """List the tables and views that can be read, with the number of their rows as PostgreSQL estimates it."""
    async with transaction(context, read_only=True) as connection:
        found = await connection.fetch(_TABLES, [*context.settings.schemas], context.settings.max_rows)
        return [dict(row) for row in found]


@sql.tool(effect="read")
async def describe(context: Context, table: str) -> dict[str, object]:
    """Show the columns, constraints and indexes of a table or view, such as orders or sales.orders."""
    async with transaction(context, read_only=True) as connection:
        found = await connection.fetchrow(
            "SELECT c.oid, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.oid = to_regclass($1) AND has_schema_privilege(n.oid, 'USAGE')"
            " AND has_any_column_privilege(c.oid, 'SELECT')",
            table,
        )
        schemas = context.settings.schemas
        if found is None or (schemas and found["nspname"] not in schemas):
            raise ToolFailed(f"There is no table {table!r} that can be read. List the tables to see their names.")
        return {
            what: [dict(row) for row in await connection.fetch(statement, found["oid"])]
            for what, statement in (("columns", _COLUMNS), ("constraints", _CONSTRAINTS), ("indexes", _INDEXES))
        }


@sql.tool(effect="destroy")
async def execute(context: Context, statement: str) -> dict[str, object]:
    """Change data or tables with one statement, such as INSERT, UPDATE, DELETE or CREATE TABLE.

    It is committed if it succeeds. Use RETURNING to see rows that were changed.
    """
    if not context.settings.writable:
        raise ToolFailed("This database can only be read here. Use query, and say what would have to be changed.")
    refuse_functions(statement)
    first = _FIRST_WORD.match(statement)
    if not first or first[1].lower() not in _CHANGES:
        raise ToolFailed(f"A statement must begin with one of {', '.join(sorted(_CHANGES))}. Use query to read.")
    async with transaction(context, read_only=False) as connection:
        return await rows(connection, statement, context.settings)


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `sql`."""
    return sql
