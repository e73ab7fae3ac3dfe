"""What makes a table the property of one organization, for use in revisions."""

from alembic import op

APPLICATION_ROLE = "control_plane_app"
SYSTEM_ROLE = "control_plane_system"

_CURRENT = "(SELECT NULLIF(current_setting('app.organization_id', true), '')::uuid)"
_PROJECTS = "(SELECT string_to_array(NULLIF(current_setting('app.project_ids', true), ''), ',')::uuid[])"


def protect(table: str, *, grants: str = "SELECT, INSERT, UPDATE, DELETE", column: str = "organization_id") -> None:
    """Let the application role see and write only the rows of the organization that its transaction has entered."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY organization ON {table} TO {APPLICATION_ROLE} "
        f"USING ({column} = {_CURRENT}) WITH CHECK ({column} = {_CURRENT})"
    )
    op.execute(f"GRANT {grants} ON {table} TO {APPLICATION_ROLE}")


def keep_to_projects(table: str, *, condition: str) -> None:
    """Let a transaction that names projects see and write only the rows for which `condition` holds as well."""
    rows = f"organization_id = {_CURRENT} AND ({_PROJECTS} IS NULL OR ({condition}))"
    op.execute(f"ALTER POLICY organization ON {table} USING ({rows}) WITH CHECK ({rows})")


def keep_to_projects_no_more(table: str) -> None:
    """Take `keep_to_projects` back."""
    rows = f"organization_id = {_CURRENT}"
    op.execute(f"ALTER POLICY organization ON {table} USING ({rows}) WITH CHECK ({rows})")


def in_projects(column: str) -> str:
    """The condition that a column is one of the transaction's projects."""
    return f"{column} = ANY (({_PROJECTS})::uuid[])"


def visible(parent: str, *, of: str, by: str) -> str:
    """The condition that a row of the table `of` belongs, by its column `by`, to a row of `parent` that one sees."""
    return (
        f"EXISTS (SELECT FROM {parent} WHERE {parent}.organization_id = {of}.organization_id"
        f" AND {parent}.id = {of}.{by})"
    )


def keep_outside(table: str, *, grants: str) -> None:
    """Let the application role see and write this table in a transaction that has entered no organization, only."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY outside ON {table} TO {APPLICATION_ROLE} "
        f"USING ({_CURRENT} IS NULL) WITH CHECK ({_CURRENT} IS NULL)"
    )
    op.execute(f"GRANT {grants} ON {table} TO {APPLICATION_ROLE}")


def let_system_read(table: str, *, columns: str, again: bool = False) -> None:
    """Let the functions that work across organizations read these columns of a table, and nothing more.

    `again` adds columns to those of an earlier revision.
    """
    if not again:
        op.execute(f"CREATE POLICY system ON {table} FOR SELECT TO {SYSTEM_ROLE} USING (true)")
    op.execute(f"GRANT SELECT ({columns}) ON {table} TO {SYSTEM_ROLE}")


def system_function(signature: str, *, returns: str, body: str) -> None:
    """A function that the application may call and that runs as the system role: the only way across organizations."""
    name = signature.split("(", 1)[0]
    op.execute(
        f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE sql STABLE SECURITY DEFINER "
        f"SET search_path = public, pg_temp AS $body$ {body} $body$"
    )
    op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO {APPLICATION_ROLE}")
    op.execute(f"ALTER FUNCTION {name} OWNER TO {SYSTEM_ROLE}")
